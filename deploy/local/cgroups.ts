/** The cgroups a local cluster's hosts put their pods in: one tree per host, so that removing it cannot miss anything. */
import { access, mkdir, readdir, readFile, rmdir, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { systemClock } from '../../lib/clock.ts';
import { TsorchError } from '../../model/errors.ts';
import { cgroup2Mount, cgroupMounts, listMounts } from './mounts.ts';

/** The cgroup2 directory of a host. Made, with the controllers handed down as far as the machine has them. */
export async function ensureCgroup(relative: string): Promise<string> {
  const mount = cgroup2Mount(await listMounts());
  if (!mount) throw new TsorchError('unsupported', 'no cgroup v2 hierarchy is mounted', { hint: 'mount one: mount -t cgroup2 none /sys/fs/cgroup/unified' });
  let path = mount;
  for (const part of relative.split('/')) {
    await handDown(path);
    path = join(path, part);
    await mkdir(path, { recursive: true });
  }
  return path;
}

/** Best effort: on a hybrid machine the controllers live in v1 hierarchies, and the agent works with either. */
async function handDown(path: string): Promise<void> {
  const available = (await readFile(join(path, 'cgroup.controllers'), 'utf8').catch(() => '')).trim().split(/\s+/).filter(Boolean);
  const enabled = new Set((await readFile(join(path, 'cgroup.subtree_control'), 'utf8').catch(() => '')).trim().split(/\s+/));
  for (const controller of available) {
    if (!enabled.has(controller)) await writeFile(join(path, 'cgroup.subtree_control'), `+${controller}`).catch(() => {});
  }
}

/** Kills what is in the cluster's cgroups in any hierarchy, and removes them. Returns how many processes there were. */
export async function removeCgroups(relative: string, timeoutMs = 15_000): Promise<number> {
  const roots = cgroupMounts(await listMounts()).map((mount) => join(mount, relative));
  const end = systemClock.monotonic() + timeoutMs;
  const seen = new Set<number>();
  for (;;) {
    let left = 0;
    for (const root of roots) {
      if (!(await exists(root))) continue;
      for (const pid of await membersOf(root)) {
        left += 1;
        seen.add(pid);
        kill(pid);
      }
      if (left === 0) await removeTree(root);
      if (await exists(root)) left += 1;
    }
    if (left === 0) {
      // The directory that all clusters share, when this was the last.
      for (const root of roots) await rmdir(dirname(root)).catch(() => {});
      return seen.size;
    }
    if (systemClock.monotonic() > end) throw new TsorchError('timeout', `cgroup ${relative} does not become empty`, { hint: 'a process in it cannot be killed; see its cgroup.procs' });
    await systemClock.sleep(25);
  }
}

async function membersOf(directory: string): Promise<number[]> {
  const own = (await readFile(join(directory, 'cgroup.procs'), 'utf8').catch(() => '')).split('\n').filter(Boolean).map(Number);
  const below = await Promise.all((await subdirectories(directory)).map(membersOf));
  // 0 stands for processes of another PID namespace, which no signal of ours reaches.
  return [...own, ...below.flat()].filter((pid) => pid > 1);
}

async function removeTree(directory: string): Promise<void> {
  for (const below of await subdirectories(directory)) await removeTree(below);
  // Busy for a moment after the last process has gone: the caller tries again.
  await rmdir(directory).catch(() => {});
}

async function subdirectories(directory: string): Promise<string[]> {
  const entries = await readdir(directory, { withFileTypes: true }).catch(() => []);
  return entries.filter((entry) => entry.isDirectory()).map((entry) => join(directory, entry.name));
}

function kill(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    // Gone already.
  }
}

async function exists(path: string): Promise<boolean> {
  return access(path).then(() => true, () => false);
}
