/** What is mounted where, from /proc/self/mountinfo. */
import { readFile } from 'node:fs/promises';
import { mustRun } from './process.ts';

export interface Mount {
  readonly point: string;
  readonly type: string;
  /** Mount options of the superblock, such as `rw,cpu`. */
  readonly superOptions: string;
}

/** In the order they were mounted. */
export function parseMountinfo(text: string): Mount[] {
  return text.split('\n').flatMap((line) => {
    const [left = '', right = ''] = line.split(' - ');
    const point = left.split(' ')[4];
    const [type, , superOptions = ''] = right.split(' ');
    return point && type ? [{ point: point.replace(/\\(\d{3})/g, (_, octal: string) => String.fromCharCode(Number.parseInt(octal, 8))), type, superOptions }] : [];
  });
}

export async function listMounts(): Promise<Mount[]> {
  return parseMountinfo(await readFile('/proc/self/mountinfo', 'utf8'));
}

/** Mount points at or below a directory, the deepest and latest first: the order to unmount in. */
export async function mountsBelow(directory: string): Promise<Mount[]> {
  return (await listMounts()).filter(({ point }) => point === directory || point.startsWith(`${directory}/`)).toReversed();
}

/** Lazily, so that a process that is still dying inside one holds nothing up. */
export async function unmountBelow(directory: string): Promise<number> {
  const mounts = await mountsBelow(directory);
  for (const { point } of mounts) await mustRun(['umount', '-l', point], { unless: /not mounted|no mount point|not found/i });
  return mounts.length;
}

/** Mount point of the cgroup v2 hierarchy; undefined when there is none. */
export function cgroup2Mount(mounts: readonly Mount[]): string | undefined {
  return mounts.findLast((mount) => mount.type === 'cgroup2')?.point;
}

/** Mount points of every cgroup hierarchy, v1 and v2. */
export function cgroupMounts(mounts: readonly Mount[]): string[] {
  return [...new Set(mounts.filter((mount) => mount.type === 'cgroup' || mount.type === 'cgroup2').map((mount) => mount.point))];
}
