import { describe, expect, test } from 'vitest';
import { cgroupUsage, hostReading } from '../../../../agent/stats/parse.ts';
import { type ContainerReading, type Reading, statsBetween } from '../../../../agent/stats/rates.ts';

const all = (version: 'v1' | 'v2') => ({ cpu: version, memory: version, pids: version, block: version });
const mib = 2 ** 20;

describe('cgroup files', () => {
  const v1 = {
    'cpuacct.usage': '123456789\n', 'memory.usage_in_bytes': `${100 * mib}\n`, 'memory.stat': `cache 1\ninactive_file 7\nhierarchical_memory_limit ${200 * mib}\ntotal_inactive_file ${60 * mib}\n`,
    'pids.current': '3\n', 'pids.max': '50\n',
    'blkio.throttle.io_service_bytes_recursive': '8:0 Read 4096\n8:0 Write 8192\n8:0 Sync 1\n8:16 Read 4\n8:16 Total 4\nTotal 12288\n',
  };
  const v2 = {
    'cpu.stat': 'usage_usec 1500\nuser_usec 1000\nsystem_usec 500\n', 'memory.current': '1000\n', 'memory.stat': 'anon 5\ninactive_file 400\n', 'memory.max': '4096\n', 'pids.current': '1\n', 'pids.max': 'max\n',
    'io.stat': '8:0 rbytes=10 wbytes=20 rios=1 wios=1 dbytes=5 dios=0\n253:0 rbytes=1 wbytes=2\n',
  };

  test.each([
    ['v1', all('v1'), v1, { cpuNs: 123_456_789, memory: { used: 40 * mib, limit: 200 * mib }, pids: { current: 3, limit: 50 }, block: { read: 4100, written: 8192 } }],
    ['v2', all('v2'), v2, { cpuNs: 1_500_000, memory: { used: 600, limit: 4096 }, pids: { current: 1, limit: null }, block: { read: 11, written: 22 } }],
    ['some controllers on each', { ...all('v1'), memory: 'v2', block: 'v2' } as const, { ...v1, ...v2, 'pids.max': '50\n', 'pids.current': '3\n' }, { cpuNs: 123_456_789, memory: { used: 600, limit: 4096 }, pids: { current: 3, limit: 50 }, block: { read: 11, written: 22 } }],
    ['nothing counted', all('v1'), {}, { cpuNs: 0, memory: { used: 0, limit: null }, pids: { current: 0, limit: null }, block: { read: 0, written: 0 } }],
    ['files that cannot be read, v2', all('v2'), { 'cpu.stat': null, 'memory.max': null, 'io.stat': null }, { cpuNs: 0, memory: { used: 0, limit: null }, pids: { current: 0, limit: null }, block: { read: 0, written: 0 } }],
    ['no limit, v1', all('v1'), { 'memory.usage_in_bytes': '10', 'memory.stat': 'hierarchical_memory_limit 9223372036854771712\n', 'pids.max': 'max' }, { memory: { used: 10, limit: null }, pids: { current: 0, limit: null } }],
    ['no limit, v2', all('v2'), { 'memory.current': '10', 'memory.max': 'max\n' }, { memory: { used: 10, limit: null } }],
    // The two are not read in one moment.
    ['more cache than memory', all('v2'), { 'memory.current': '10', 'memory.stat': 'inactive_file 11\n' }, { memory: { used: 10, limit: null } }],
    ['no disks touched, v1', all('v1'), { 'blkio.throttle.io_service_bytes_recursive': 'Total 0\n' }, { block: { read: 0, written: 0 } }],
  ])('%s', (_name, versions, texts, expected) => {
    expect(cgroupUsage(versions, texts)).toMatchObject(expected);
  });
});

test('a host', () => {
  const stat = 'cpu  100 10 50 800 40 0 5 5 30 0\ncpu0 50 5 25 400 20 0 3 2 15 0\ncpu1 50 5 25 400 20 0 2 3 15 0\nintr 1 2\nctxt 5\n';
  expect(hostReading(stat, 'MemTotal:        2048 kB\nMemFree:  1 kB\nMemAvailable:    512 kB\n')).toEqual({ busy: 170, total: 1010, cpus: 2, memory: 1536 * 1024 });
  expect(hostReading('', '')).toEqual({ busy: 0, total: 0, cpus: 0, memory: 0 });
});

describe('between two readings', () => {
  const usage = (cpuNs: number) => ({ cpuNs, memory: { used: 1, limit: null }, pids: { current: 1, limit: null }, block: { read: 0, written: 0 } });
  const container = (name: string, at: number, cpuNs: number, attempt = 1): ContainerReading => ({ podId: 'p', container: name, attempt, at, usage: usage(cpuNs) });
  const reading = (containers: readonly ContainerReading[], host: Partial<Reading['host']> = {}): Reading => ({ host: { busy: 0, total: 0, cpus: 2, memory: 5, ...host }, pods: [{ containers, network: { received: 1, sent: 2 } }] });
  const percent = (before: readonly ContainerReading[], after: readonly ContainerReading[]) => statsBetween(reading(before), reading(after)).containers.map(({ cpu }) => cpu.percent);

  test.each([
    ['one CPU whole', [container('a', 1000, 5e9)], [container('a', 2000, 6e9)], [100]],
    ['two of them', [container('a', 1000, 0)], [container('a', 1500, 1e9)], [200]],
    ['hardly any', [container('a', 0, 0)], [container('a', 1000, 1_234_567)], [0.12]],
    ['one that is new', [container('a', 0, 0)], [container('a', 1000, 0), container('b', 1000, 5e8)], [0, null]],
    ['one that was started again', [container('a', 0, 9e9)], [container('a', 1000, 1e8, 2)], [null]],
    ['a counter that went back', [container('a', 0, 9e9)], [container('a', 1000, 1e8)], [null]],
    ['no time between', [container('a', 5, 0)], [container('a', 5, 1)], [null]],
    ['one that has gone', [container('a', 0, 0)], [], []],
  ])('%s', (_name, before, after, expected) => {
    expect(percent(before, after)).toEqual(expected);
  });

  test('the pod\'s interface counts once, the host by its ticks', () => {
    const stats = statsBetween(reading([], { busy: 100, total: 1000 }), reading([container('a', 1, 2e9), container('b', 1, 0)], { busy: 150, total: 1200 }));
    expect(stats.containers.map(({ network }) => network)).toEqual([{ received: 1, sent: 2 }, null]);
    expect(stats.containers[0]?.cpu).toEqual({ percent: null, seconds: 2 });
    expect(stats.host).toEqual({ cpus: 0.5, memory: 5 });
    expect(statsBetween(reading([]), reading([])).host.cpus).toBe(0);
  });
});
