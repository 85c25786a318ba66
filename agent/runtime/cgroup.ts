/**
 * The cgroup hierarchies of this host, and the directories of ours in them. A container is at `/<prefix>/<pod>/<container>`
 * in every hierarchy. Programs that attach at cgroup v2 (eBPF) attach at `cgroup2Directory(layout, prefix)`, which
 * holds every container of this host and nothing else.
 */
import { mkdir, readdir, readFile, rmdir } from 'node:fs/promises';
import { join } from 'node:path';
import { hasErrno } from '../../lib/linux/libc.ts';
import { parseMounts } from './mountinfo.ts';

export interface CgroupLayout {
  /** `hybrid`: controllers on v1, and a v2 hierarchy besides. */
  readonly mode: 'v1' | 'hybrid' | 'v2';
  readonly v1: readonly { readonly controllers: readonly string[]; readonly directory: string }[];
  /** Where cgroup v2 is mounted; null on plain v1. */
  readonly v2: string | null;
}

const controllerNames: ReadonlySet<string> = new Set(['cpu', 'cpuacct', 'cpuset', 'memory', 'devices', 'freezer', 'blkio', 'pids', 'net_cls', 'net_prio', 'hugetlb', 'perf_event', 'rdma', 'misc']);

/** From the text of /proc/self/mountinfo. */
export function cgroupLayout(mountinfo: string): CgroupLayout {
  const mounts = parseMounts(mountinfo).filter((mount) => mount.root === '/');
  const v1 = mounts
    .filter((mount) => mount.type === 'cgroup')
    .map((mount) => ({
      controllers: mount.superOptions.filter((option) => controllerNames.has(option) || option.startsWith('name=')),
      directory: mount.target,
    }));
  const v2 = mounts.find((mount) => mount.type === 'cgroup2')?.target ?? null;
  const hasControllers = v1.some((hierarchy) => hierarchy.controllers.some((name) => !name.startsWith('name=')));
  return { mode: v2 !== null && !hasControllers ? 'v2' : v2 === null ? 'v1' : 'hybrid', v1, v2 };
}

export async function readCgroupLayout(): Promise<CgroupLayout> {
  return cgroupLayout(await readFile('/proc/self/mountinfo', 'utf8'));
}

/**
 * Which hierarchies there are, in the words of /proc/self/cgroup: far cheaper to read than all mounts. Another host of this machine
 * mounts and unmounts one (see `claimControllers`), and the OCI runtime puts containers into all there are.
 */
export async function readHierarchies(): Promise<string> {
  return hierarchiesOf(await readFile('/proc/self/cgroup', 'utf8'));
}

/** Lines are `number:controllers:path`; the path is this process's own affair. */
export function hierarchiesOf(text: string): string {
  return text.split('\n').filter((line) => line !== '').map((line) => line.split(':')[1] ?? '').sort().join(' ');
}

/** The cgroup v2 directory that holds all containers with this prefix; null where there is no cgroup v2. */
export function cgroup2Directory(layout: CgroupLayout, prefix: string): string | null {
  return layout.v2 === null ? null : join(layout.v2, prefix);
}

/** Makes that directory, so that programs can be attached before the first container is there. */
export async function ensureCgroup2(layout: CgroupLayout, prefix: string): Promise<string | null> {
  const directory = cgroup2Directory(layout, prefix);
  if (directory !== null) await mkdir(directory, { recursive: true });
  return directory;
}

/** Every hierarchy's directory for a cgroup path. */
export function cgroupDirectories(layout: CgroupLayout, path: string): readonly string[] {
  const roots = [...layout.v1.map((hierarchy) => hierarchy.directory), ...(layout.v2 === null ? [] : [layout.v2])];
  return roots.map((root) => join(root, path));
}

/** Removes the cgroup from every hierarchy where it is empty; with `deep`, its descendants first. Whether it is gone from all. */
export async function removeCgroup(layout: CgroupLayout, path: string, deep = false): Promise<boolean> {
  const gone = await Promise.all(cgroupDirectories(layout, path).map((directory) => removeDirectory(directory, deep)));
  return gone.every(Boolean);
}

async function removeDirectory(directory: string, deep: boolean): Promise<boolean> {
  if (await removeEmpty(directory)) return true;
  if (!deep) return false;
  const entries = await readdir(directory, { withFileTypes: true }).catch(() => []);
  for (const entry of entries) if (entry.isDirectory()) await removeDirectory(join(directory, entry.name), true);
  return removeEmpty(directory);
}

/** False: it has members or descendants, which are somebody else's business. */
async function removeEmpty(directory: string): Promise<boolean> {
  return rmdir(directory).then(() => true, (error: unknown) => hasErrno(error, 'ENOENT'));
}

/** Pids in a cgroup and all below it, over all hierarchies. */
export async function cgroupProcesses(layout: CgroupLayout, path: string): Promise<readonly number[]> {
  const pids = new Set<number>();
  for (const directory of cgroupDirectories(layout, path)) await collect(directory, pids);
  return [...pids];
}

async function collect(directory: string, pids: Set<number>): Promise<void> {
  const text = await readFile(join(directory, 'cgroup.procs'), 'utf8').catch(() => '');
  for (const line of text.split('\n')) if (Number(line) > 0) pids.add(Number(line));
  const entries = await readdir(directory, { withFileTypes: true }).catch(() => []);
  for (const entry of entries) if (entry.isDirectory()) await collect(join(directory, entry.name), pids);
}

/** How many processes the kernel killed in this cgroup for want of memory; 0 when it cannot be read. */
export async function oomKills(layout: CgroupLayout, path: string): Promise<number> {
  const memory = layout.v1.find((hierarchy) => hierarchy.controllers.includes('memory'));
  const file = memory ? join(memory.directory, path, 'memory.oom_control') : layout.v2 === null ? null : join(layout.v2, path, 'memory.events');
  if (file === null) return 0;
  const text = await readFile(file, 'utf8').catch(() => '');
  return Number(/^oom_kill (\d+)$/m.exec(text)?.[1] ?? 0);
}
