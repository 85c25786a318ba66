/**
 * A part of a volume, as a mount of its own. What is in a volume belongs to its containers, which may turn any of its directories into a
 * link at any moment: the path is resolved by the kernel, below the volume, and what was found is mounted by its handle.
 */
import { constants } from 'node:fs';
import fs from 'node:fs/promises';
import { closeFile, openBeneath, openFlag } from '../../lib/linux/files.ts';
import { hasErrno } from '../../lib/linux/libc.ts';
import { TsorchError } from '../../model/errors.ts';
import type { Mounter } from './mounter.ts';

export interface Subpath {
  readonly root: string;
  readonly relative: string;
  /** Where it is mounted; made when missing. */
  readonly target: string;
}

/** True when the directory was not there and has been made. Throws `invalid` for a path that leads out, whatever is done meanwhile. */
export async function mountSubpath({ root, relative, target }: Subpath, mounter: Mounter): Promise<boolean> {
  const directory = await fs.open(root, constants.O_RDONLY | constants.O_DIRECTORY);
  try {
    const { fd, made } = await handleOf(directory.fd, partsOf(relative), relative);
    try {
      await mountAt(fd, target, mounter);
    } finally {
      closeFile(fd);
    }
    return made;
  } finally {
    await directory.close();
  }
}

interface Handle {
  readonly fd: number;
  readonly made: boolean;
}

/** What is missing is made by its name in a directory held open, never by the whole path. */
async function handleOf(root: number, parts: readonly string[], relative: string): Promise<Handle> {
  const found = open(root, parts, relative);
  if (found !== null) return { fd: found, made: false };
  const parent = await handleOf(root, parts.slice(0, -1), relative);
  try {
    await fs.mkdir(`/proc/self/fd/${parent.fd}/${parts.at(-1)}`, { mode: 0o755 });
  } catch (error) {
    // Another container made it just now; or it is a link that leads nowhere, which the next look tells.
    if (!hasErrno(error, 'EEXIST')) throw error;
  } finally {
    closeFile(parent.fd);
  }
  const fd = open(root, parts, relative);
  if (fd === null) throw new TsorchError('invalid', `subpath ${JSON.stringify(relative)} is a link that leads nowhere`);
  return { fd, made: true };
}

/** Null when it is not there. */
function open(root: number, parts: readonly string[], relative: string): number | null {
  try {
    return openBeneath(root, parts.length === 0 ? '.' : parts.join('/'), openFlag.path);
  } catch (error) {
    if (hasErrno(error, 'ENOENT')) return null;
    if (hasErrno(error, 'EXDEV')) throw new TsorchError('invalid', `subpath ${JSON.stringify(relative)} leads out of the volume by a link`, { cause: error });
    if (hasErrno(error, 'ELOOP', 'ENOTDIR')) throw new TsorchError('invalid', `subpath ${JSON.stringify(relative)} is no path in the volume: a part of it is no directory`, { cause: error });
    throw error;
  }
}

async function mountAt(fd: number, target: string, mounter: Mounter): Promise<void> {
  const isDirectory = (await fs.stat(`/proc/self/fd/${fd}`)).isDirectory();
  mounter.unmount(target);
  if (isDirectory) await fs.mkdir(target, { recursive: true, mode: 0o700 });
  else await fs.writeFile(target, '', { mode: 0o600 });
  mounter.bind(`/proc/self/fd/${fd}`, target);
}

function partsOf(relative: string): readonly string[] {
  if (relative.startsWith('/') || relative.includes('\0') || relative.split('/').includes('..')) {
    throw new TsorchError('invalid', `subpath ${JSON.stringify(relative)} must stay inside the volume`);
  }
  return relative.split('/').filter((part) => part !== '' && part !== '.');
}
