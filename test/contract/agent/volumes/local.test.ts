/** The local driver on the real kernel: devices, binds, memory, what is missing, a full disk, attacks from inside. */
import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, renameSync, symlinkSync } from 'node:fs';
import fs from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { ImageHandle } from '../../../../agent/runtime/port.ts';
import { linuxMounter } from '../../../../agent/volumes/mounter.ts';
import { Plugins } from '../../../../agent/volumes/plugins/plugins.ts';
import { Volumes } from '../../../../agent/volumes/volumes.ts';
import { systemClock } from '../../../../lib/clock.ts';
import { mount as mountRaw, mountFlag } from '../../../../lib/linux/mount.ts';
import type { Assignment } from '../../../../model/assignment.ts';
import type { MountSpec } from '../../../../model/spec.ts';
import { assignment, containerSpec } from '../../../unit/agent/pods/specs.ts';

let directory: string;
let volumes: Volumes;
const loops: string[] = [];

const image: ImageHandle = {
  reference: 'i', digest: 'd', chainId: 'c', config: { architecture: 'amd64', os: 'linux', entrypoint: [], cmd: [], env: [], workingDir: '', user: '', exposedPorts: [], volumes: [], labels: {} },
};
const agent = (stateDir = path.join(directory, 'state')) => new Volumes({
  stateDir, runDir: path.join(directory, 'run'), mounter: linuxMounter, bootId: 'b1', clock: systemClock, plugins: new Plugins({ directories: { sockets: path.join(directory, 'none'), files: [] } }),
  images: { copyUp: async (_image, from, target) => fs.writeFile(path.join(target, 'seed'), from).then(() => true) },
});
type VolumeMount = Extract<MountSpec, { kind: 'volume' }>;
const pod = (id: string, driverOpts: Readonly<Record<string, string>> = {}, mount: Partial<VolumeMount> = {}, extra: readonly MountSpec[] = []): Assignment => assignment(id, {
  template: { containers: [containerSpec({ mounts: [{ kind: 'volume', volume: 'data', target: '/data', readOnly: false, noCopy: false, ...mount }, ...extra] })] },
  volumes: { data: { driver: 'local', driverOpts } },
});
const use = async (of: Assignment, on = volumes): Promise<readonly string[]> => {
  await on.attach(of);
  const [container] = of.template.containers;
  return (await on.prepare(of, container ?? containerSpec(), image)).map(({ source }) => source);
};
const data = () => path.join(directory, 'state/volumes/data/_data');

beforeEach(async () => {
  directory = await fs.realpath(await fs.mkdtemp(path.join(os.tmpdir(), 'tsorch-local-')));
  volumes = agent();
});
afterEach(async () => {
  for (const point of linuxMounter.mountsBelow(directory).toReversed()) linuxMounter.unmount(point);
  for (const loop of loops.splice(0)) execFileSync('losetup', ['-d', loop]);
  await fs.rm(directory, { recursive: true, force: true });
});

async function disk(megabytes: number): Promise<string> {
  const file = path.join(directory, `disk-${loops.length}`);
  await (await fs.open(file, 'w')).close();
  await fs.truncate(file, megabytes << 20);
  execFileSync('mkfs.ext4', ['-q', '-F', file]);
  const loop = execFileSync('losetup', ['--find', '--show', file]).toString().trim();
  loops.push(loop);
  return loop;
}

describe('options', () => {
  test('a file system on a device: filled, shared, unmounted with its last pod, there again afterwards', async () => {
    const options = { type: 'ext4', device: await disk(16), o: 'noatime' };
    expect(await use(pod('p1', options))).toEqual([data()]);
    expect(linuxMounter.isMounted(data())).toBe(true);
    expect((await fs.readdir(data())).sort()).toEqual(['lost+found', 'seed']);
    await fs.writeFile(path.join(data(), 'seed'), 'mine');
    await use(pod('p2', options));
    await volumes.release('p1');
    expect(await fs.readFile(path.join(data(), 'seed'), 'utf8')).toBe('mine');
    await volumes.release('p2');
    expect([linuxMounter.isMounted(data()), await fs.readdir(data())]).toEqual([false, []]);
    await use(pod('p3', options));
    expect(await fs.readFile(path.join(data(), 'seed'), 'utf8')).toBe('mine');
    // Another agent after a crash finds it in use; after the pod has left without one, it unmounts it.
    await agent().settle();
    expect(linuxMounter.isMounted(data())).toBe(true);
    await fs.rm(path.join(directory, 'state/pods/p3'), { recursive: true });
    const next = agent();
    await next.settle();
    expect(linuxMounter.isMounted(data())).toBe(false);
    await next.remove('data', 'local');
    expect(existsSync(path.join(directory, 'state/volumes/data'))).toBe(false);
  });

  test('a bind of a directory: removing the volume leaves what it showed', async () => {
    const shown = path.join(directory, 'srv');
    await fs.mkdir(shown);
    await fs.writeFile(path.join(shown, 'precious'), '');
    const options = { type: 'none', o: 'bind', device: shown };
    await use(pod('p1', options));
    expect(await fs.readdir(data())).toEqual(['precious']);
    await volumes.release('p1');
    await volumes.remove('data', 'local');
    expect(await fs.readdir(shown)).toEqual(['precious']);
  });

  test('a size, on a file system that counts by project; another one later', async ({ skip }) => {
    const point = path.join(directory, 'counted');
    await fs.mkdir(point);
    const file = path.join(directory, 'counted.img');
    await fs.writeFile(file, '');
    await fs.truncate(file, 32 << 20);
    execFileSync('mkfs.ext4', ['-q', '-F', '-O', 'quota,project', '-E', 'quotatype=prjquota', file]);
    if (spawnSync('mount', ['-o', 'loop,prjquota', file, point]).status !== 0) return skip('the kernel has no quotas (CONFIG_QFMT_V2)');
    const on = agent(point);
    const [source = ''] = await use(pod('p1', { size: '2m' }), on);
    const write = (megabytes: number) => fs.writeFile(path.join(source, 'x'), Buffer.alloc(megabytes << 20)).then(() => 'written', (error: NodeJS.ErrnoException) => error.code);
    expect([await write(1), await write(4)]).toEqual(['written', 'EDQUOT']);
    await use(pod('p1', { size: '8m' }), on);
    expect(await write(4)).toBe('written');
    await expect(use(pod('p2', {}), on)).resolves.toBeDefined();
    expect(await write(12)).toBe('written');
    await on.release('p1');
    await on.release('p2');
  });

  test('a size where nothing is counted is refused, and so is one for a volume that had none', async () => {
    await use(pod('p0'));
    await expect(use(pod('p1', { size: '1g' }))).rejects.toMatchObject({ code: 'unsupported', message: expect.stringContaining('was made without a size') });
    await volumes.release('p0');
    await volumes.release('p1');
    await volumes.remove('data', 'local');
    await expect(use(pod('p1', { size: '1g' }))).rejects.toMatchObject({ code: 'unsupported', message: expect.stringContaining('cannot limit its size'), hint: expect.stringContaining('pquota') });
  });

  test('memory, with its size and mode', async () => {
    await use(pod('p1', { type: 'tmpfs', device: 'tmpfs', o: 'size=1m,mode=0750,uid=1000' }, { noCopy: true }));
    const stat = await fs.stat(data());
    expect([stat.mode & 0o777, stat.uid, (await fs.statfs(data())).blocks * 4096]).toEqual([0o750, 1000, 1 << 20]);
  });

  test('what is missing is said', async () => {
    const cases = [
      [{ type: 'ext4', device: '/dev/tsorch-nothing' }, 'there is no device /dev/tsorch-nothing on this node'],
      [{ type: 'none', o: 'bind', device: path.join(directory, 'nowhere') }, 'is not on this node'],
      [{ type: 'nosuchfs', device: 'x' }, "this node's kernel has no file system type nosuchfs"],
      [{ type: 'ext4', device: await disk(16), o: 'nonsense=1' }, 'the kernel refused it'],
      [{ type: 'xfs', device: await disk(16) }, 'the kernel refused it'],
    ] as const;
    for (const [index, [options, message]] of cases.entries()) {
      await expect(use(pod(`p${index}`, options)), JSON.stringify(options)).rejects.toMatchObject({ code: 'unavailable', message: expect.stringContaining(message), hint: expect.any(String) });
      await volumes.release(`p${index}`);
    }
    await expect(use(pod('q', { colour: 'red' }))).rejects.toMatchObject({ code: 'invalid', message: expect.stringContaining('knows no option colour') });
    await expect(use(pod('q', { type: 'nfs', device: ':/export' }))).rejects.toMatchObject({ code: 'invalid', message: expect.stringContaining('the server of :/export is not said') });
    await expect(use(pod('q', { type: 'nfs', device: 'no-such-host.invalid:/export' }))).rejects.toMatchObject({ code: 'unavailable', message: expect.stringContaining('finds no address for no-such-host.invalid') });
  });
});

describe('a full disk', () => {
  const small = async (): Promise<string> => {
    const point = path.join(directory, 'small');
    await fs.mkdir(point);
    mountRaw('tmpfs', point, 'tmpfs', mountFlag.noSuid, 'size=256k');
    return point;
  };

  test('is said, what was begun is taken back, and the volume comes once there is room', async () => {
    const state = await small();
    const filled = new Volumes({
      stateDir: state, runDir: path.join(directory, 'run'), mounter: linuxMounter, bootId: 'b1', clock: systemClock, plugins: new Plugins(),
      images: { copyUp: async (_image, _from, target) => fs.writeFile(path.join(target, 'large'), Buffer.alloc(200 << 10)).then(() => true) },
    });
    await fs.writeFile(path.join(state, 'ballast'), Buffer.alloc(150 << 10));
    await expect(use(pod('p1'), filled)).rejects.toMatchObject({ code: 'exhausted', message: "there is no room on this node's disk for volume data" });
    expect(await fs.readdir(path.join(state, 'volumes/data'))).toEqual([]);
    await fs.rm(path.join(state, 'ballast'));
    await use(pod('p1'), filled);
    expect(await fs.readdir(path.join(state, 'volumes/data/_data'))).toEqual(['large']);
  });

  test('a volume on it can still be let go of and removed', async () => {
    const state = await small();
    const on = agent(state);
    await use(pod('p1'), on);
    await fs.writeFile(path.join(state, 'ballast'), Buffer.alloc(1 << 20)).catch(() => {});
    await on.release('p1');
    await on.remove('data', 'local');
    expect(await fs.readdir(path.join(state, 'volumes'))).toEqual([]);
  });
});

describe('from inside', () => {
  test('a directory that turns into a link while it is mounted as a subpath shows nothing of the host', async () => {
    await use(pod('p1'));
    await fs.mkdir(path.join(data(), 'a/b'), { recursive: true });
    await fs.writeFile(path.join(data(), 'a/b/mine'), '');
    const outside = path.join(directory, 'outside');
    await fs.mkdir(path.join(outside, 'b'), { recursive: true });
    await fs.writeFile(path.join(outside, 'b/secret'), '');
    // Swapped back and forth as fast as a container can.
    symlinkSync(outside, path.join(data(), 'link'));
    let over = false;
    const swap = (async () => {
      while (!over) {
        renameSync(path.join(data(), 'a'), path.join(data(), 'real'));
        renameSync(path.join(data(), 'link'), path.join(data(), 'a'));
        await new Promise((resolve) => setImmediate(resolve));
        renameSync(path.join(data(), 'a'), path.join(data(), 'link'));
        renameSync(path.join(data(), 'real'), path.join(data(), 'a'));
        await new Promise((resolve) => setImmediate(resolve));
      }
    })();
    let [shown, refused] = [0, 0];
    try {
      for (let i = 0; i < 200; i++) {
        try {
          const [source = ''] = await use(pod('p2', {}, { subpath: 'a/b' }));
          const seen = await fs.readdir(source);
          expect(seen).not.toContain('secret');
          shown++;
        } catch (error) {
          expect(error).toMatchObject({ code: 'invalid' });
          refused++;
        }
      }
    } finally {
      over = true;
      await swap;
    }
    expect([shown + refused, await fs.readdir(outside)]).toEqual([200, ['b']]);
    expect(shown).toBeGreaterThan(0);
    await volumes.release('p2');
    expect(linuxMounter.mountsBelow(path.join(directory, 'run'))).toEqual([]);
  });

  test('removal follows no link and no mount', async () => {
    const outside = path.join(directory, 'outside');
    await fs.mkdir(outside);
    await fs.writeFile(path.join(outside, 'precious'), '');
    await use(pod('p1', {}, {}, [{ kind: 'volume', target: '/cache', readOnly: false, noCopy: true }]));
    await fs.symlink(outside, path.join(data(), 'link'));
    const [anonymous = ''] = (await use(pod('p1', {}, {}, [{ kind: 'volume', target: '/cache', readOnly: false, noCopy: true }]))).slice(1);
    await fs.symlink(outside, path.join(anonymous, 'link'));
    await fs.mkdir(path.join(data(), 'mounted'));
    linuxMounter.bind(outside, path.join(data(), 'mounted'));
    await volumes.release('p1');
    await expect(volumes.remove('data', 'local')).rejects.toMatchObject({ code: 'conflict', message: `${path.join(data(), 'mounted')} is mounted there by somebody else` });
    linuxMounter.unmount(path.join(data(), 'mounted'));
    await volumes.remove('data', 'local');
    expect([await fs.readdir(outside), existsSync(data()), existsSync(path.join(directory, 'state/pods/p1'))]).toEqual([['precious'], false, false]);
  });

  test('one whose deletion was cut off is deleted by the next agent', async () => {
    mkdirSync(path.join(directory, 'state/volumes/.gone-1/_data/x'), { recursive: true });
    await volumes.settle();
    expect([await fs.readdir(path.join(directory, 'state/volumes')), await volumes.list()]).toEqual([[], []]);
  });
});

test('what it takes, in bytes of disk, links and holes counted as they are', async () => {
  await use(pod('p1'));
  await fs.writeFile(path.join(data(), 'large'), Buffer.alloc(1 << 20, 1));
  await fs.link(path.join(data(), 'large'), path.join(data(), 'again'));
  await fs.truncate(path.join(data(), 'seed'), 1 << 30);
  const used = (await volumes.usage('data')) ?? 0;
  expect(used).toBeGreaterThanOrEqual(1 << 20);
  expect(used).toBeLessThan((1 << 20) + (64 << 10));
  expect(await volumes.usage('none')).toBeNull();
});

test('a directory of the pod, on disk and in memory, goes with it', async () => {
  const shared: MountSpec[] = [{ kind: 'pod', name: 'work', target: '/work', readOnly: false }, { kind: 'pod', name: 'fast', target: '/fast', readOnly: true, medium: 'memory', size: 1 << 20 }];
  const [, work = '', fast = ''] = await use(pod('p1', {}, {}, shared));
  await use(pod('p1', {}, {}, shared));
  expect([(await fs.stat(work)).mode & 0o777, (await fs.stat(fast)).mode & 0o777, (await fs.statfs(fast)).blocks * 4096]).toEqual([0o777, 0o777, 1 << 20]);
  await fs.writeFile(path.join(work, 'x'), '');
  await fs.writeFile(path.join(fast, 'x'), '');
  await volumes.release('p1');
  expect([existsSync(work), existsSync(fast), linuxMounter.mountsBelow(path.join(directory, 'run'))]).toEqual([false, false, []]);
});
