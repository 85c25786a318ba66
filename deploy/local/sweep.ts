/**
 * The last step of `down`: whatever a killed host could not clean up itself. A process is the cluster's own when it lives in
 * one of its network namespaces or cgroups; nothing is ever recognised by its name.
 */
import { readdir, readlink, rm, stat } from 'node:fs/promises';
import { systemClock } from '../../lib/clock.ts';
import { TsorchError } from '../../model/errors.ts';
import { removeCgroups } from './cgroups.ts';
import { listMounts, unmountBelow } from './mounts.ts';
import type { ClusterNames } from './names.ts';
import { clusterNamespaces } from './network.ts';

export interface Swept {
  readonly processes: number;
  readonly mounts: number;
}

export async function sweep(names: ClusterNames): Promise<Swept> {
  const inCgroups = await removeCgroups(names.cgroup);
  const inNamespaces = await killMembers(await namespaceInodes(names));
  // What died just now may have had a cgroup made by its last act.
  await removeCgroups(names.cgroup);
  const mounts = (await unmountBelow(names.runDir)) + (await unmountBelow(names.stateDir));
  await rm(names.bpfDir, { recursive: true, force: true });
  return { processes: inCgroups + inNamespaces, mounts };
}

/** The hosts' namespaces, and the pods' that are pinned somewhere in the cluster's directories. */
async function namespaceInodes(names: ClusterNames): Promise<ReadonlySet<number>> {
  const pinned = (await listMounts())
    .filter(({ type, point }) => type === 'nsfs' && (point.startsWith(`${names.runDir}/`) || point.startsWith(`${names.stateDir}/`)))
    .map(({ point }) => point);
  const paths = [...pinned, ...(await clusterNamespaces(names)).map((netns) => `/run/netns/${netns}`)];
  const own = (await stat('/proc/self/ns/net')).ino;
  const inodes = await Promise.all(paths.map((path) => stat(path).then((found) => found.ino, () => 0)));
  return new Set(inodes.filter((inode) => inode !== 0 && inode !== own));
}

/** Kills until nobody is left, since a member may start another between looking and killing. */
async function killMembers(inodes: ReadonlySet<number>, timeoutMs = 15_000): Promise<number> {
  if (inodes.size === 0) return 0;
  const seen = new Set<number>();
  for (const end = systemClock.monotonic() + timeoutMs; ; ) {
    const members = await membersOf(inodes);
    if (members.length === 0) return seen.size;
    for (const pid of members) {
      seen.add(pid);
      try {
        process.kill(pid, 'SIGKILL');
      } catch {
        // Gone already.
      }
    }
    if (systemClock.monotonic() > end) throw new TsorchError('timeout', `processes ${members.join(', ')} do not end even when killed`);
    await systemClock.sleep(25);
  }
}

async function membersOf(inodes: ReadonlySet<number>): Promise<number[]> {
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name)).map(Number);
  const found = await Promise.all(
    pids.map(async (pid) => {
      const link = await readlink(`/proc/${pid}/ns/net`).catch(() => '');
      return inodes.has(Number(/^net:\[(\d+)\]$/.exec(link)?.[1] ?? 0)) && pid !== 1 && pid !== process.pid ? [pid] : [];
    }),
  );
  return found.flat();
}
