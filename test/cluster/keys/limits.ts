/** How much a container may have: `ulimits`, CPU, memory, processes, in both generations of Compose's keys. */
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { expect } from 'vitest';
import { compare, type Seen } from './seen.ts';
import type { Row, Theme } from './row.ts';

/** Without it limits only go down, and people are told. */
export const mayRaise = (BigInt(`0x${/^CapEff:\s*(\w+)/m.exec(readFileSync('/proc/self/status', 'utf8'))?.[1] ?? '0'}`) & (1n << 24n)) !== 0n;

const quota = 'cg cpu cpu.cfs_quota_us cpu.max; cg cpu cpu.cfs_period_us cpu.max';
const half = /^50000\n100000$|^50000 100000/;
const memory = 'cg memory memory.limit_in_bytes memory.max';

/** A host without the right to do it gives what it may, and says so. */
async function orWarned(seen: Seen, when: boolean, given: RegExp, warning: RegExp): Promise<void> {
  const output = await seen.output();
  if (when) compare(output, given);
  else expect(await seen.warnings()).toMatch(warning);
}

const ulimits: readonly Row[] = [
  { keys: ['services.ulimits'], form: 'one number for both', service: 'ulimits: { nofile: 777, nproc: 5000, core: 0 }', says: 'ulimit -Sn; ulimit -Hn; ulimit -Hc; grep processes /proc/1/limits | tr -s " "', see: /^777\n777\n0\nMax processes 5000 5000/ },
  {
    keys: ['services.ulimits', 'services.ulimits.soft', 'services.ulimits.hard'], form: 'soft and hard',
    service: 'ulimits: { nofile: { soft: 500, hard: 800 }, stack: { soft: 1048576, hard: -1 } }',
    says: 'ulimit -Sn; ulimit -Hn; grep -E "open files|stack size" /proc/1/limits | tr -s " "', see: [/^500\n800\n/, /Max stack size 1048576 unlimited bytes/, /Max open files 500 800 files/],
  },
  {
    keys: ['services.ulimits'], form: 'every one the kernel has',
    service: 'ulimits: { as: 900000000000, cpu: 3600, data: 800000000, fsize: 70000000, locks: 60, memlock: 50000, msgqueue: 4000, nice: 0, rss: 300000, rtprio: 0, rttime: 20000, sigpending: 100 }',
    says: 'tr -s " " </proc/1/limits',
    see: [/cpu time 3600 3600/, /file size 70000000 70000000/, /data size 800000000/, /resident set 300000/, /locked memory 50000/, /address space 900000000000/, /file locks 60/, /pending signals 100/, /msgqueue size 4000/, /nice priority 0/, /realtime priority 0/, /realtime timeout 20000/],
  },
  {
    keys: ['services.ulimits'], form: 'more than the host allows', service: 'ulimits: { memlock: -1 }', says: 'grep "locked memory" /proc/1/limits | tr -s " "',
    see: (seen) => orWarned(seen, mayRaise, /unlimited unlimited/, /ulimit memlock is \d+ instead of unlimited/),
  },
];

const cpu: readonly Row[] = [
  { keys: ['services.cpus'], service: 'cpus: 0.5', says: quota, see: half },
  { keys: ['services.cpus'], form: 'as text', service: 'cpus: "0.5"', says: quota, see: half },
  { keys: ['services.deploy.resources.limits.cpus', 'services.deploy.resources.limits', 'services.deploy.resources', 'services.deploy'], service: 'deploy: { resources: { limits: { cpus: "0.50" } } }', says: quota, see: half },
  { keys: ['services.cpu_quota', 'services.cpu_period'], service: 'cpu_quota: 25000\ncpu_period: 50000', says: quota, see: half },
  { keys: ['services.cpu_quota'], form: 'with the usual period', service: 'cpu_quota: 50000', says: quota, see: half },
  { keys: ['services.cpu_quota'], form: '-1 is no limit', service: 'cpu_quota: -1', says: quota, see: /^(-1|max)/ },
  { keys: ['services.cpu_shares'], service: 'cpu_shares: 73', says: 'cg cpu cpu.shares cpu.weight', see: /^(73|3)$/ },
  { keys: ['services.cpuset'], service: 'cpuset: "0"', says: 'st Cpus_allowed_list; cg cpuset cpuset.cpus cpuset.cpus', see: '0\n0' },
  {
    keys: ['services.cpu_rt_runtime', 'services.cpu_rt_period'], service: 'cpu_rt_runtime: 2000\ncpu_rt_period: 200000',
    see: realtime('cat /sys/fs/cgroup/cpu/cpu.rt_runtime_us /sys/fs/cgroup/cpu/cpu.rt_period_us', '2000\n200000'),
  },
  {
    keys: ['services.cpu_rt_runtime', 'services.cpu_rt_period'], form: 'as durations', service: 'cpu_rt_runtime: 1ms\ncpu_rt_period: 100ms',
    see: realtime('cat /sys/fs/cgroup/cpu/cpu.rt_runtime_us /sys/fs/cgroup/cpu/cpu.rt_period_us', '1000\n100000'),
  },
];

/** A kernel that does not divide realtime time refuses the container, and says why. */
function realtime(script: string, expected: string): Row['see'] {
  return async (seen) => {
    if (/cpu/.test(readFileSync('/proc/mounts', 'utf8')) && readable('/sys/fs/cgroup/cpu/cpu.rt_runtime_us')) compare(await seen.sh(script), expected);
    else await seen.said(/cpu_rt_runtime: the kernel of this host gives no realtime time/);
  };
}

function readable(path: string): boolean {
  try {
    return readFileSync(path, 'utf8') !== '';
  } catch {
    return false;
  }
}

const mem: readonly Row[] = [
  { keys: ['services.mem_limit'], form: 'with a unit', service: 'mem_limit: 50m', says: memory, see: '52428800' },
  { keys: ['services.mem_limit'], form: 'in bytes', service: 'mem_limit: 52428800', says: memory, see: '52428800' },
  { keys: ['services.deploy.resources.limits.memory'], service: 'deploy: { resources: { limits: { memory: 60M } } }', says: memory, see: '62914560' },
  { keys: ['services.memswap_limit'], service: 'mem_limit: 40m\nmemswap_limit: 60m', says: 'cg memory memory.memsw.limit_in_bytes memory.swap.max', see: /^(62914560|20971520)$/ },
  { keys: ['services.memswap_limit'], form: '-1 is no limit', service: 'mem_limit: 40m\nmemswap_limit: -1', says: 'cg memory memory.memsw.limit_in_bytes memory.swap.max', see: /^(9223372036854771712|max)$/ },
  { keys: ['services.mem_reservation'], service: 'mem_reservation: 30m', says: 'cg memory memory.soft_limit_in_bytes memory.low', see: '31457280' },
  {
    keys: ['services.deploy.resources.reservations.memory', 'services.deploy.resources.reservations.cpus', 'services.deploy.resources.reservations'],
    service: 'deploy: { resources: { reservations: { memory: 20M, cpus: "0.25" } } }', says: 'cg memory memory.soft_limit_in_bytes memory.low',
    see: async (seen) => {
      compare(await seen.output(), '20971520');
      const { pod: { node }, ...item } = await seen.pod();
      const found = (await seen.cluster.nodes()).find(({ id }) => id === node);
      expect(item.node).toBe(found?.name);
      expect(found?.allocated.cpus).toBeGreaterThanOrEqual(0.25);
      expect(found?.allocated.memory).toBeGreaterThanOrEqual(20 << 20);
    },
  },
  { keys: ['services.mem_swappiness'], service: 'mem_swappiness: 7', says: 'cat /sys/fs/cgroup/memory/memory.swappiness 2>/dev/null || echo none', see: async (seen) => {
    const output = (await seen.output()).trim();
    if (output === 'none') expect(await seen.warnings()).toMatch(/no swappiness/);
    else expect(output).toBe('7');
  } },
  { keys: ['services.oom_kill_disable'], service: 'mem_limit: 40m\noom_kill_disable: true', says: 'grep oom_kill_disable /sys/fs/cgroup/memory/memory.oom_control 2>/dev/null || echo none', see: async (seen) => {
    const output = (await seen.output()).trim();
    if (output === 'none') expect(await seen.warnings()).toMatch(/cannot switch the OOM killer off/);
    else expect(output).toBe('oom_kill_disable 1');
  } },
  { keys: ['services.oom_score_adj'], service: 'oom_score_adj: 444', says: 'cat /proc/1/oom_score_adj', see: '444' },
  { keys: ['services.oom_score_adj'], form: 'lower than the agent\'s', service: 'oom_score_adj: -300', says: 'cat /proc/1/oom_score_adj', see: (seen) => orWarned(seen, mayRaise, /^-300$/, /oom_score_adj is -?\d+ instead of -300: the agent may not lower it/) },
  { keys: ['services.pids_limit'], service: 'pids_limit: 33', says: 'cg pids pids.max pids.max', see: '33' },
  { keys: ['services.pids_limit'], form: '-1 is no limit', service: 'pids_limit: -1', says: 'cg pids pids.max pids.max', see: 'max' },
  { keys: ['services.deploy.resources.limits.pids'], service: 'deploy: { resources: { limits: { pids: 44 } } }', says: 'cg pids pids.max pids.max', see: '44' },
  { keys: ['services.shm_size'], form: 'with a unit', service: 'shm_size: 8m', says: 'grep " /dev/shm " /proc/mounts', see: /size=8192k/ },
  { keys: ['services.shm_size'], form: 'in bytes', service: 'shm_size: 4194304', says: 'grep " /dev/shm " /proc/mounts', see: /size=4096k/ },
];

/** A disk of this machine, whole: what block I/O is limited by. */
const disk = `/dev/${readdirSync('/sys/block').find((name) => /^(vd|sd|nvme|xvd|mmcblk)/.test(name)) ?? 'loop0'}`;
/** `254:0`, as the kernel writes it; the container has no such device of its own to ask. */
const device = ((rdev: number) => `${(rdev >> 8) & 0xfff}:${(rdev & 0xff) | ((rdev >> 12) & 0xfff00)}`)(statSync(disk).rdev);

/** A rate of the disk, in the file of either hierarchy. */
const throttled = (file: string, v2: string, amount: number): Pick<Row, 'says' | 'see'> => ({
  says: `cat /sys/fs/cgroup/blkio/blkio.throttle.${file}_device 2>/dev/null || grep -o "^[0-9:]* \\|${v2}=[0-9]*" /sys/fs/cgroup/io.max | tr -d '\\n'`, see: new RegExp(`^${device} (${v2}=)?${amount}$`),
});

const blkio: readonly Row[] = [
  ...(['read', 'write'] as const).flatMap((way): readonly Row[] => [
    { keys: [`services.blkio_config.device_${way}_bps`, `services.blkio_config.device_${way}_bps.path`, `services.blkio_config.device_${way}_bps.rate`], form: 'with a unit', service: `blkio_config: { device_${way}_bps: [{ path: ${disk}, rate: 12mb }] }`, ...throttled(`${way}_bps`, `${way.charAt(0)}bps`, 12 << 20) },
    { keys: [`services.blkio_config.device_${way}_iops`, `services.blkio_config.device_${way}_iops.path`, `services.blkio_config.device_${way}_iops.rate`], service: `blkio_config: { device_${way}_iops: [{ path: ${disk}, rate: 120 }] }`, ...throttled(`${way}_iops`, `${way.charAt(0)}iops`, 120) },
  ]),
  {
    keys: ['services.blkio_config', 'services.blkio_config.weight'], service: 'blkio_config: { weight: 321 }', says: 'cat /sys/fs/cgroup/blkio/blkio.weight /sys/fs/cgroup/blkio/blkio.bfq.weight /sys/fs/cgroup/io.bfq.weight 2>/dev/null || true',
    see: async (seen) => {
      const output = (await seen.output()).trim();
      if (output === '') expect(await seen.warnings()).toMatch(/no block I\/O weights/);
      else expect(output).toMatch(/^(default )?321$/);
    },
  },
  {
    keys: ['services.blkio_config.weight_device', 'services.blkio_config.weight_device.path', 'services.blkio_config.weight_device.weight'], service: `blkio_config: { weight_device: [{ path: ${disk}, weight: 432 }] }`,
    says: 'cat /sys/fs/cgroup/blkio/blkio.weight_device /sys/fs/cgroup/blkio/blkio.bfq.weight_device /sys/fs/cgroup/io.bfq.weight 2>/dev/null || true',
    // A disk whose scheduler is not BFQ knows no weights, and people hear of it.
    see: async (seen) => {
      if (/ 432$/m.test(await seen.output())) return;
      expect(await seen.warnings()).toMatch(/knows no weights|no block I\/O weights/);
    },
  },
];

export const limits: Theme = { name: 'k-limits', rows: [...ulimits, ...cpu, ...mem, ...blkio] };
