import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { cgroupDirectories, cgroupLayout } from '../../../../agent/runtime/cgroup.ts';
import { daemonConfig, daemonPaths } from '../../../../agent/runtime/daemon-files.ts';
import { runtimeFailure } from '../../../../agent/runtime/failure.ts';
import { containerdId, pathSegment, shimSocket } from '../../../../agent/runtime/ids.ts';
import { findInLayers, layerDirectories, readLayeredFile } from '../../../../agent/runtime/image-files.ts';
import { Limit } from '../../../../lib/limit.ts';
import { parseMounts } from '../../../../agent/runtime/mountinfo.ts';
import { TsorchError } from '../../../../model/errors.ts';

describe('ids', () => {
  test('fitting ones stay, others are told apart by a digest', () => {
    expect(containerdId('pod1.web.1')).toBe('pod1.web.1');
    const long = containerdId('x'.repeat(80));
    expect(long.length).toBeLessThanOrEqual(76);
    expect(containerdId(`${'x'.repeat(80)}y`)).not.toBe(long);
    for (const id of ['a__b', '-a', 'a.', 'ä', '', '---', 'a b']) expect(containerdId(id)).toMatch(/^[A-Za-z0-9]+(?:[._-][A-Za-z0-9]+)*$/);
    expect(pathSegment('a__b')).toBe('a__b');
    for (const name of ['../x', '.', '..', 'a/b', '']) expect(pathSegment(name)).toMatch(/^[A-Za-z0-9][\w.-]*$/);
  });
  test('the shim socket follows containerd\'s rule', () => {
    expect(shimSocket('/run/c.sock', 'ns', 'g')).toMatch(/^\/run\/containerd\/s\/[0-9a-f]{64}$/);
  });
});

describe('cgroups', () => {
  const v1 = '30 20 0:26 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n31 20 0:27 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n';
  const named = '32 20 0:28 / /sys/fs/cgroup/systemd rw - cgroup systemd rw,xattr,name=systemd\n';
  test.each([
    ['v1', v1 + named, { mode: 'v1', v2: null }],
    ['hybrid', `${v1}33 20 0:29 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n`, { mode: 'hybrid', v2: '/sys/fs/cgroup/unified' }],
    ['v2', '34 20 0:30 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n', { mode: 'v2', v2: '/sys/fs/cgroup' }],
    ['v2 with a named v1', `${named}34 20 0:30 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n`, { mode: 'v2' }],
    ['a container\'s part of one does not count', `${v1}35 20 0:31 /docker/x /mnt/cg rw - cgroup2 cgroup2 rw\n`, { mode: 'v1', v2: null }],
  ])('%s', (_, text, result) => {
    expect(cgroupLayout(text)).toMatchObject(result);
  });
  test('directories', () => {
    expect(cgroupDirectories(cgroupLayout(v1), '/tsorch/p')).toEqual(['/sys/fs/cgroup/cpu,cpuacct/tsorch/p', '/sys/fs/cgroup/memory/tsorch/p']);
    expect(cgroupLayout(v1).v1[0]?.controllers).toEqual(['cpu', 'cpuacct']);
  });
  test('blanks in paths', () => {
    expect(parseMounts('1 2 0:1 / /a\\040b rw - ext4 /dev/x rw\nnoise\n')).toEqual([{ root: '/', target: '/a b', type: 'ext4', source: '/dev/x', superOptions: ['rw'] }]);
  });
});

describe('the daemon\'s files', () => {
  test('a path that fits', () => {
    const paths = daemonPaths('/var/lib/tsorch', '/run/tsorch');
    expect(daemonConfig(paths)).toContain('address = "/run/tsorch/containerd.sock"');
    expect(daemonConfig(daemonPaths('/a "b"', '/run/x'))).toContain('root = "/a \\"b\\"/containerd"');
    expect(() => daemonPaths('/x', `/${'r'.repeat(100)}`)).toThrow(expect.objectContaining({ code: 'invalid' }) as unknown as Error);
  });
});

describe('failures of the runtime', () => {
  const failure = (text: string) => runtimeFailure(new TsorchError('internal', `containerd Tasks/Create: ${text}`), 'container x') as TsorchError;
  test.each([
    ['failed to create shim task: OCI runtime create failed: crun: executable file `nope` not found in $PATH: No such file or directory: unknown', 'invalid', 'container x: crun: executable file `nope` not found in $PATH: No such file or directory'],
    ['failed to create shim task: OCI runtime create failed: runc create failed: unable to start container process: exec: "nope": executable file not found in $PATH: unknown', 'invalid', undefined],
    ['write /x: no space left on device', 'exhausted', undefined],
    ['something else', 'internal', 'container x: something else'],
  ])('%s', (text, code, message) => {
    expect(failure(text).code).toBe(code);
    if (message !== undefined) expect(failure(text).message).toBe(message);
  });
  test('others pass', () => {
    const error = new TsorchError('unavailable', 'x');
    expect(runtimeFailure(error, 'y')).toBe(error);
  });
});

describe('files of images', () => {
  let base: string;
  const layer = (name: string) => join(base, name);
  beforeAll(async () => {
    base = await mkdtemp(join(tmpdir(), 'tsorch-layers-'));
    await mkdir(join(layer('low'), 'etc/real'), { recursive: true });
    await mkdir(join(layer('top'), 'etc'), { recursive: true });
    await writeFile(join(layer('low'), 'etc/passwd'), 'low');
    await writeFile(join(layer('low'), 'etc/group'), 'low group');
    await writeFile(join(layer('top'), 'etc/passwd'), 'top');
    await writeFile(join(layer('low'), 'etc/real/file'), 'deep');
    await symlink('/etc/real', join(layer('top'), 'alias'));
    await symlink('../../../../../etc/hostname', join(layer('top'), 'escape'));
    await symlink('loop', join(layer('top'), 'loop'));
    await symlink('../alias/../passwd', join(layer('top'), 'etc/around'));
  });
  afterAll(() => rm(base, { recursive: true, force: true }));

  test.each([
    ['/etc/passwd', 'top'], ['/etc/group', 'low group'], ['/alias/file', 'deep'], ['/etc/around', 'top'], ['/escape', null], ['/loop', null], ['/none', null], ['/etc', null], ['/etc/passwd/x', null], ['/../../etc/passwd', 'top'],
  ])('%s is %j', async (path, content) => {
    expect(await readLayeredFile([layer('top'), layer('low')], path)).toBe(content);
  });
  test('directories', async () => {
    expect(await findInLayers([layer('top'), layer('low')], '/alias')).toEqual({ kind: 'directory', path: join(layer('low'), 'etc/real') });
  });
  test('layers from mounts', () => {
    expect(layerDirectories([{ type: 'overlay', source: 'overlay', target: '', options: ['index=off', 'workdir=/w', 'upperdir=/u', 'lowerdir=/b:/a'] }])).toEqual(['/u', '/b', '/a']);
    expect(layerDirectories([{ type: 'bind', source: '/s', target: '', options: ['ro', 'rbind'] }])).toEqual(['/s']);
  });
});

test('a limit lets so many through, in order, failures included', async () => {
  const limit = new Limit(2);
  let running = 0;
  let most = 0;
  const order: number[] = [];
  const results = await Promise.allSettled(
    Array.from({ length: 7 }, (_, index) =>
      limit.run(async () => {
        most = Math.max(most, ++running);
        await Promise.resolve();
        order.push(index);
        running--;
        if (index === 3) throw new Error('x');
      }),
    ),
  );
  expect(most).toBe(2);
  expect(order).toEqual([0, 1, 2, 3, 4, 5, 6]);
  expect(results.map((result) => result.status === 'rejected')).toEqual([false, false, false, true, false, false, false]);
});
