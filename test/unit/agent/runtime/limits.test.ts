/** Limits and shares, decided purely: block I/O, namespaces, device rules, user ids, platforms, storage. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { cgroupPath } from '../../../../agent/runtime/ids.ts';
import type { CreateRequest } from '../../../../agent/runtime/port.ts';
import { blkioFiles, blkioLimits, type BlkioLimits, blkioWrites, noBlkio } from '../../../../agent/runtime/spec/blkio.ts';
import { deviceRules, parseDeviceRule } from '../../../../agent/runtime/spec/device-rules.ts';
import { containerMounts } from '../../../../agent/runtime/spec/mounts.ts';
import { containerNamespaces, ipcSharing, joinedContainers, pidSharing } from '../../../../agent/runtime/spec/namespaces.ts';
import { platformWarnings } from '../../../../agent/runtime/spec/platform.ts';
import { resolveResources } from '../../../../agent/runtime/spec/resources.ts';
import { layerSize } from '../../../../agent/runtime/spec/storage.ts';
import { splitSysctls } from '../../../../agent/runtime/spec/sysctls.ts';
import { allocateIds, idsPerPod } from '../../../../agent/runtime/spec/user-ids.ts';
import { layerDirectories } from '../../../../agent/runtime/image-files.ts';
import { relocated, snapshotsDirectory } from '../../../../agent/runtime/layers.ts';

const invalid = expect.objectContaining({ code: 'invalid' }) as unknown as Error;
const unsupported = expect.objectContaining({ code: 'unsupported' }) as unknown as Error;

describe('block I/O', () => {
  const limits: BlkioLimits = blkioLimits(
    { weight: 300, weightDevice: [{ path: '/dev/a', weight: 10 }], deviceReadBps: [{ path: '/dev/a', rate: 1000 }], deviceWriteBps: [], deviceReadIops: [], deviceWriteIops: [{ path: '/dev/b', rate: 7 }] },
    new Map([['/dev/a', '8:0'], ['/dev/b', '8:16']]),
  );
  const bfq = { 'blkio.bfq.weight': '100\n', 'blkio.bfq.weight_device': '', 'blkio.throttle.read_bps_device': '', 'blkio.throttle.write_bps_device': '', 'blkio.throttle.read_iops_device': '', 'blkio.throttle.write_iops_device': '' };
  const lines = (version: 'v1' | 'v2', wanted: BlkioLimits, files: Readonly<Record<string, string>>) => blkioWrites(version, wanted, files).writes.map(({ file, text }) => `${file} ${text}`);
  test('cgroup v1 by BFQ, by the scheduler of old, without any', () => {
    const rates = ['blkio.throttle.read_bps_device 8:0 1000', 'blkio.throttle.write_iops_device 8:16 7'];
    expect(lines('v1', limits, bfq)).toEqual(['blkio.bfq.weight 300', 'blkio.bfq.weight_device 8:0 10', ...rates]);
    expect(lines('v1', limits, { ...bfq, 'blkio.weight': '500\n', 'blkio.weight_device': '' })).toEqual(['blkio.weight 300', 'blkio.weight_device 8:0 10', ...rates]);
    const { 'blkio.bfq.weight': _, ...none } = bfq;
    expect(blkioWrites('v1', limits, none)).toMatchObject({ writes: [{}, {}], warnings: [expect.stringContaining('BFQ')] });
    expect(blkioWrites('v1', limits, {}).warnings).toHaveLength(3);
    expect(blkioWrites('v1', noBlkio, {})).toEqual({ writes: [], warnings: [] });
  });
  test('cgroup v2', () => {
    expect(lines('v2', limits, { 'io.bfq.weight': 'default 100\n', 'io.max': '' })).toEqual(['io.bfq.weight 300', 'io.bfq.weight 8:0 10', 'io.max 8:0 rbps=1000 wbps=max riops=max wiops=max', 'io.max 8:16 rbps=max wbps=max riops=max wiops=7']);
    expect(lines('v2', { ...limits, weight: 1000 }, { 'io.weight': 'default 100\n', 'io.max': '' }).slice(0, 2)).toEqual(['io.weight 10000', 'io.weight 8:0 1']);
    expect(blkioWrites('v2', limits, {}).warnings).toHaveLength(2);
  });
  test('what is set and not asked for is taken back', () => {
    expect(lines('v1', noBlkio, { ...bfq, 'blkio.bfq.weight': '300\n', 'blkio.bfq.weight_device': '100\n8:0 10\n', 'blkio.throttle.read_bps_device': '8:0 1000\n' })).toEqual([
      'blkio.bfq.weight 100', 'blkio.bfq.weight_device 8:0 default', 'blkio.throttle.read_bps_device 8:0 0',
    ]);
    expect(lines('v2', noBlkio, { 'io.bfq.weight': 'default 300\n8:0 10\n', 'io.max': '8:0 rbps=1000 wbps=max riops=max wiops=max\n' })).toEqual(['io.bfq.weight 100', 'io.bfq.weight 8:0 default', 'io.max 8:0 rbps=max wbps=max riops=max wiops=max']);
  });
  test('only files that were looked at are written', () => {
    for (const version of ['v1', 'v2'] as const) {
      const files = Object.fromEntries(blkioFiles(version).map((file) => [file, '']));
      for (const { file } of blkioWrites(version, limits, files).writes) expect(blkioFiles(version)).toContain(file);
    }
  });
});

describe('namespaces', () => {
  const of = (spec: object, rest: object = {}) => containerNamespaces({ spec, netns: '/n', users: null, cgroup: 'v2', peers: { main: 7 }, ...rest }).map(({ type, path }) => (path === undefined ? type : `${type}=${path}`)).join(' ');
  test.each([
    [{}, {}, 'pid ipc uts mount cgroup network=/n'],
    [{}, { cgroup: 'hybrid' }, 'pid ipc uts mount network=/n'],
    [{ cgroupns: 'private' }, { cgroup: 'v1' }, 'pid ipc uts mount cgroup network=/n'],
    [{ cgroupns: 'host' }, {}, 'pid ipc uts mount network=/n'],
    [{ pid: 'host', ipc: 'host', uts: 'host' }, { netns: null }, 'mount cgroup'],
    [{ pid: 'container:main', ipc: 'container:main' }, {}, 'pid=/proc/7/ns/pid ipc=/proc/7/ns/ipc uts mount cgroup network=/n'],
    [{ ipc: 'none' }, { users: '/u' }, 'pid ipc uts mount cgroup user=/u network=/n'],
    [{ ipc: 'shareable', pid: 'private' }, {}, 'pid ipc uts mount cgroup network=/n'],
  ])('%j %j: %s', (spec, rest, result) => {
    expect(of(spec, rest)).toBe(result);
  });
  test('who is joined, and what makes no sense', () => {
    expect(joinedContainers({ pid: 'container:a', ipc: 'container:a' })).toEqual(['a']);
    expect(joinedContainers({ pid: 'host' })).toEqual([]);
    for (const pid of ['none', 'shareable', 'container:', 'x']) expect(() => pidSharing(pid), pid).toThrow(invalid);
    for (const ipc of ['container:', 'service:x']) expect(() => ipcSharing(ipc), ipc).toThrow(invalid);
  });
});

describe('device rules', () => {
  test.each([
    ['c 1:3 rwm', { allow: true, type: 'c', major: 1, minor: 3, access: 'rwm' }],
    ['b 8:* r', { allow: true, type: 'b', major: 8, access: 'r' }],
    [' a *:* rwm ', { allow: true, type: 'a', access: 'rwm' }],
  ])('%s', (text, rule) => {
    expect(parseDeviceRule(text)).toEqual(rule);
  });
  test.each(['', 'c 1:3', 'x 1:3 rwm', 'c 1 rwm', 'c 1:3 rwx', 'c -1:3 r'])('%j is invalid', (text) => {
    expect(() => parseDeviceRule(text)).toThrow(invalid);
  });
  test('nothing but what is given, and everything to the privileged', () => {
    expect(deviceRules(false, [], ['c 1:3 r'])).toEqual([{ allow: false, access: 'rwm' }, { allow: true, type: 'c', major: 1, minor: 3, access: 'r' }]);
    expect(deviceRules(true, [], ['c 1:3 r'])).toEqual([{ allow: true, access: 'rwm' }]);
  });
});

describe('memory, as far as the kernel goes', () => {
  test('cgroup v1 takes swappiness and the OOM switch, v2 warns', () => {
    const limits = { memory: 1 << 30, memorySwappiness: 10, oomKillDisable: true };
    expect(resolveResources(limits, { cgroup: 'hybrid', swapLimits: false })).toEqual({ resources: { memory: { limit: 1 << 30, swappiness: 10, disableOOMKiller: true } }, warnings: [] });
    expect(resolveResources(limits, { cgroup: 'v2', swapLimits: false })).toMatchObject({ resources: { memory: { limit: 1 << 30 } }, warnings: [{}, {}] });
    expect(resolveResources({ oomKillDisable: true }, { cgroup: 'v1', swapLimits: true }).warnings).toEqual([expect.stringContaining('all of the host')]);
    for (const memorySwappiness of [-1, 101, 1.5]) expect(() => resolveResources({ memorySwappiness }, { cgroup: 'v1', swapLimits: true })).toThrow(invalid);
  });
});

describe('mounts', () => {
  const base = { privileged: false, readOnly: false, shm: { kind: 'own', size: undefined }, hostSys: false, resolved: [], mounts: [], init: null } as const;
  const at = (target: string, changes: object) => containerMounts({ ...base, ...changes }).find((mount) => mount.destination === target);
  test('tmpfs options replace what they contradict', () => {
    const options = (given: readonly string[]) => at('/t', { mounts: [{ kind: 'tmpfs', target: '/t', readOnly: false, size: 5, mode: 0o700, options: given }] })?.options;
    expect(options([])).toEqual(['nosuid', 'noexec', 'nodev', 'size=5', 'mode=700']);
    expect(options(['exec', 'size=1m', 'uid=7', 'noatime'])).toEqual(['nosuid', 'nodev', 'mode=700', 'exec', 'size=1m', 'uid=7', 'noatime']);
    expect(at('/t', { mounts: [{ kind: 'tmpfs', target: '/t', readOnly: true, options: ['rw'] }] })?.options).not.toContain('ro');
  });
  test('/dev/shm', () => {
    expect(at('/dev/shm', {})?.options).toContain('size=67108864');
    expect(at('/dev/shm', { shm: { kind: 'shared', source: '/s' } })).toMatchObject({ type: 'bind', source: '/s', options: ['rbind', 'nosuid', 'noexec', 'nodev', 'rprivate'] });
    expect(at('/dev/shm', { shm: { kind: 'none' } })).toBeUndefined();
  });
  test('layers elsewhere', () => {
    const s = '/r/x/snapshots';
    const mounts = [{ type: 'overlay', source: 'overlay', target: '', options: ['index=off', `workdir=${s}/3/work`, `upperdir=${s}/3/fs`, `lowerdir=${s}/2/fs:${s}/1/fs`] }];
    expect(snapshotsDirectory(mounts)).toBe(`${s}/`);
    expect(relocated(mounts, `${s}/`, '/m')).toEqual([{ ...mounts[0], options: ['index=off', `workdir=${s}/3/work`, `upperdir=${s}/3/fs`, 'lowerdir=/m/2/fs:/m/1/fs'] }]);
    expect(layerDirectories(relocated([{ type: 'bind', source: `${s}/1/fs`, target: '', options: ['ro', 'rbind'] }], `${s}/`, '/m'))).toEqual(['/m/1/fs']);
    expect(() => snapshotsDirectory([{ type: 'bind', source: '/elsewhere', target: '', options: [] }])).toThrow();
  });
});

describe('user ids', () => {
  test('ranges lie apart, whoever comes first', () => {
    fc.assert(fc.property(fc.uniqueArray(fc.string(), { maxLength: 60 }), (pods) => {
      const taken = new Set<number>();
      for (const pod of pods) taken.add(allocateIds(pod, taken));
      expect(taken.size).toBe(pods.length);
      for (const start of taken) expect([start % idsPerPod, start >= 2 ** 30, start + idsPerPod <= 1_879_048_192]).toEqual([0, true, true]);
    }));
  });
  test('the same pod has the same again', () => {
    expect(allocateIds('p1', new Set())).toBe(allocateIds('p1', new Set([allocateIds('p2', new Set())])));
  });
});

describe('what a container needs of the host', () => {
  const image = (architecture: string, os = 'linux') => ({ reference: 'x', config: { architecture, os } }) as unknown as Parameters<typeof platformWarnings>[0];
  test('platforms', () => {
    const host = { arch: 'amd64', emulated: ['arm64'] };
    for (const fine of ['amd64', '386', '']) expect(platformWarnings(image(fine), host)).toEqual([]);
    expect(platformWarnings(image('arm64'), host)).toEqual([expect.stringContaining('emulator')]);
    expect(() => platformWarnings(image('s390x'), host)).toThrow(unsupported);
    expect(() => platformWarnings(image('amd64', 'windows'), host)).toThrow(unsupported);
  });
  test('storage options', () => {
    expect([layerSize(undefined), layerSize({}), layerSize({ size: '10G' })]).toEqual([null, null, 10 * 2 ** 30]);
    for (const options of [{ size: 'big' }, { size: '0' }, { other: '1' }]) expect(() => layerSize(options as unknown as Record<string, string>)).toThrow(invalid);
  });
  test('settings that only root of the host may make', () => {
    expect(splitSysctls({ 'net.core.somaxconn': '1', 'kernel.shmmax': '2', 'kernel.domainname': 'd' })).toEqual({ inside: { 'kernel.shmmax': '2' }, network: { 'net.core.somaxconn': '1' }, domainname: 'd' });
    expect(splitSysctls({})).toEqual({ inside: {}, network: {} });
  });
  test('cgroup parents', () => {
    const path = (cgroupParent?: string) => cgroupPath('tsorch/a', { id: 'p.c.1', podId: 'p', spec: { cgroupParent } } as unknown as CreateRequest);
    expect([path(), path('/x/'), path('a/b.slice')]).toEqual(['/tsorch/a/p/p.c.1', '/tsorch/a/x/p/p.c.1', '/tsorch/a/a/b.slice/p/p.c.1']);
    for (const bad of ['..', 'a/../b', '.hidden', 'a b', 'a\nb']) expect(() => path(bad), bad).toThrow(invalid);
  });
});
