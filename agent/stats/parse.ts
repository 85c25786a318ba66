/** What the kernel's files say of use. Pure: texts in, numbers out; a file that is not there (null) counts as nothing used and no limit. */

export interface CgroupUsage {
  /** Nanoseconds of CPU since the cgroup was made. */
  readonly cpuNs: number;
  readonly memory: { readonly used: number; readonly limit: number | null };
  readonly pids: { readonly current: number; readonly limit: number | null };
  readonly block: { readonly read: number; readonly written: number };
}

export type Controller = 'cpu' | 'memory' | 'pids' | 'block';
export type CgroupVersion = 'v1' | 'v2';
type Texts = Readonly<Record<string, string | null | undefined>>;

/** The controller of v1 hierarchies that counts each. */
export const v1Controllers: Readonly<Record<Controller, string>> = { cpu: 'cpuacct', memory: 'memory', pids: 'pids', block: 'blkio' };

/** The files to read for each, by the version of the hierarchy that the controller is in. */
export const usageFiles: Readonly<Record<CgroupVersion, Readonly<Record<Controller, readonly string[]>>>> = {
  v1: {
    cpu: ['cpuacct.usage'],
    memory: ['memory.usage_in_bytes', 'memory.stat'],
    pids: ['pids.current', 'pids.max'],
    block: ['blkio.throttle.io_service_bytes_recursive'],
  },
  v2: { cpu: ['cpu.stat'], memory: ['memory.current', 'memory.stat', 'memory.max'], pids: ['pids.current', 'pids.max'], block: ['io.stat'] },
};

/** Texts by file name, of each controller the files above. */
export function cgroupUsage(versions: Readonly<Record<Controller, CgroupVersion>>, texts: Texts): CgroupUsage {
  return {
    cpuNs: versions.cpu === 'v1' ? amount(texts['cpuacct.usage']) : field(texts['cpu.stat'], 'usage_usec') * 1000,
    memory: memoryUsage(versions.memory, texts),
    pids: { current: amount(texts['pids.current']), limit: limitOf(texts['pids.max']) },
    block: versions.block === 'v1' ? v1Block(texts['blkio.throttle.io_service_bytes_recursive']) : v2Block(texts['io.stat']),
  };
}

/** As Docker counts it: what has not been looked at lately of files can be dropped at any time, and is not the container's need. */
function memoryUsage(version: CgroupVersion, texts: Texts): CgroupUsage['memory'] {
  const total = amount(texts[version === 'v1' ? 'memory.usage_in_bytes' : 'memory.current']);
  const cache = field(texts['memory.stat'], version === 'v1' ? 'total_inactive_file' : 'inactive_file');
  const used = cache < total ? total - cache : total;
  // Of v1 the one that holds, which may be that of a cgroup above.
  const limit = version === 'v1' ? field(texts['memory.stat'], 'hierarchical_memory_limit') || null : limitOf(texts['memory.max']);
  return { used, limit: limit === null || limit >= unlimited ? null : limit };
}

/** The kernel's `no limit` is the largest number of pages, in bytes. */
const unlimited = 2 ** 60;

/** `8:0 Read 4096`, a line per device and kind. */
function v1Block(text: string | null | undefined): CgroupUsage['block'] {
  const sum = (kind: string) => Array.from((text ?? '').matchAll(new RegExp(`^\\d+:\\d+ ${kind} (\\d+)$`, 'gm')), ([, bytes]) => Number(bytes)).reduce(add, 0);
  return { read: sum('Read'), written: sum('Write') };
}

/** `8:0 rbytes=4096 wbytes=0 rios=1 …`, a line per device. */
function v2Block(text: string | null | undefined): CgroupUsage['block'] {
  const sum = (key: string) => Array.from((text ?? '').matchAll(new RegExp(`\\b${key}=(\\d+)`, 'g')), ([, bytes]) => Number(bytes)).reduce(add, 0);
  return { read: sum('rbytes'), written: sum('wbytes') };
}

export interface HostReading {
  /** Clock ticks of all CPUs since boot: not idle, and in all. */
  readonly busy: number;
  readonly total: number;
  readonly cpus: number;
  /** Bytes. */
  readonly memory: number;
}

/** /proc/stat and /proc/meminfo. */
export function hostReading(stat: string, meminfo: string): HostReading {
  const [user = 0, nice = 0, system = 0, idle = 0, waiting = 0, irq = 0, softirq = 0, steal = 0] = (/^cpu +(.*)$/m.exec(stat)?.[1] ?? '').split(/\s+/).map(Number);
  // What guests use is in user and nice already.
  const busy = user + nice + system + irq + softirq + steal;
  const kilobytes = (name: string) => Number(new RegExp(`^${name}: +(\\d+) kB$`, 'm').exec(meminfo)?.[1] ?? 0);
  return { busy, total: busy + idle + waiting, cpus: (stat.match(/^cpu\d+ /gm) ?? []).length, memory: Math.max(0, kilobytes('MemTotal') - kilobytes('MemAvailable')) * 1024 };
}

function amount(text: string | null | undefined): number {
  const value = Number(text ?? 0);
  return Number.isFinite(value) && value > 0 ? value : 0;
}

function limitOf(text: string | null | undefined): number | null {
  const value = text?.trim() ?? 'max';
  return /^\d+$/.test(value) ? Number(value) : null;
}

/** Of a file of `key value` lines. */
function field(text: string | null | undefined, key: string): number {
  return Number(new RegExp(`^${key} (\\d+)$`, 'm').exec(text ?? '')?.[1] ?? 0);
}

function add(a: number, b: number): number {
  return a + b;
}
