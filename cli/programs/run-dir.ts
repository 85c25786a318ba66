/**
 * A host's run directory: in memory, as `/run` is wherever systemd is. What is in it is true until the next boot and no longer, and every
 * pod's start and end make and remove dozens of small files there, which a disk is slow at.
 */
import { mkdir, readdir, realpath, rm, statfs } from 'node:fs/promises';
import type { Log } from '../../lib/log.ts';
import { listMounts, mount, mountFlag, unmount } from '../../lib/linux/mount.ts';
import { describeError } from '../../model/errors.ts';

/** By statfs(2). */
const memoryTypes: ReadonlySet<number> = new Set([0x0102_1994, 0x8584_58f6]);
const source = 'tsorch-run';

/** Makes it, and mounts a tmpfs there where it would be on a disk. One that has something in it already stays as it is until the next boot. */
export async function openRunDir(directory: string, log: Log): Promise<void> {
  await mkdir(directory, { recursive: true, mode: 0o711 });
  if (memoryTypes.has((await statfs(directory)).type) || (await readdir(directory)).length > 0) return;
  try {
    mount(source, directory, 'tmpfs', mountFlag.noSuid | mountFlag.noDevices, 'mode=0711');
  } catch (error) {
    log.warn('the run directory is on a disk and stays there', { directory, error: describeError(error) });
  }
}

/** Takes it away with all that is in it. */
export async function removeRunDir(directory: string): Promise<void> {
  const target = await realpath(directory).catch(() => directory);
  while (listMounts().some((found) => found.target === target && found.source === source) && unmount(target));
  await rm(directory, { recursive: true, force: true });
}
