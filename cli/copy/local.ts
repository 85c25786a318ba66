/** The side of a copy that is this machine's: files read and written as whoever runs the command. */
import type { Stats } from 'node:fs';
import fs from 'node:fs/promises';
import { basename, dirname, resolve } from 'node:path';
import { extractTree, type Extracted } from '../../lib/tar/extract.ts';
import { packTree } from '../../lib/tar/pack.ts';
import { pathTree } from '../../lib/tar/tree.ts';
import { TsorchError } from '../../model/errors.ts';
import type { End } from './rules.ts';

/** A link counts as what it leads to. */
export async function localEnd(cwd: string, path: string): Promise<End> {
  const stat = await statOrNull(resolve(cwd, path), true);
  return { path, type: stat === null ? null : stat.isDirectory() ? 'directory' : 'file' };
}

/** What there is to copy: with `follow`, or a slash at the end, a link counts as what it leads to. `not-found` when there is nothing. */
export async function localSource(cwd: string, path: string, follow: boolean): Promise<End> {
  const stat = await statOrNull(resolve(cwd, path), follow || /\/\.?$/.test(path));
  if (stat === null) throw new TsorchError('not-found', `there is no ${path}`);
  return { path, type: stat.isDirectory() ? 'directory' : 'file' };
}

async function statOrNull(path: string, follow: boolean): Promise<Stats | null> {
  try {
    return await (follow ? fs.stat(path) : fs.lstat(path));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
    throw localFailure(error, path);
  }
}

export interface LocalCopy {
  readonly cwd: string;
  readonly path: string;
  readonly packed: (entry: { readonly bytes: number }) => void;
  readonly signal: AbortSignal;
}

/** The path as a tar stream, called `as` in it. */
export async function* packLocal({ cwd, path, packed, signal }: LocalCopy, as: string, follow: boolean): AsyncGenerator<Buffer> {
  const full = resolve(cwd, path);
  const real = follow || /\/\.?$/.test(path) ? await fs.realpath(full) : full;
  // What leads to it may be links; from there on none is followed.
  const tree = pathTree(await fs.realpath(dirname(real)));
  try {
    yield* packTree({ tree, directory: [], name: real === '/' ? '' : basename(real), as, packed, signal });
  } catch (error) {
    throw localFailure(error, path);
  }
}

/** Into a directory that is there. Owners are kept only when asked for, which is root's to do. */
export async function extractLocal({ cwd, path, packed }: LocalCopy, archive: AsyncIterable<Uint8Array>, owners: boolean): Promise<Extracted> {
  const tree = pathTree(await fs.realpath(resolve(cwd, path)).catch((error: unknown) => {
    throw localFailure(error, path);
  }));
  try {
    return await extractTree(archive, { tree, owner: (uid, gid) => (owners ? { uid, gid } : null), extracted: packed });
  } catch (error) {
    throw localFailure(error, path);
  }
}

function localFailure(error: unknown, path: string): unknown {
  if (error instanceof TsorchError) return error;
  const { code, message } = error as NodeJS.ErrnoException;
  switch (code) {
    case 'ENOENT':
      return new TsorchError('not-found', `there is no directory ${path}`, { cause: error });
    case 'ENOSPC':
    case 'EDQUOT':
      return new TsorchError('exhausted', `${path}: no room is left`, { cause: error });
    case undefined:
      return error;
    default:
      return new TsorchError('invalid', `${path}: ${message}`, { cause: error, ...(code === 'EPERM' || code === 'EACCES' ? { hint: 'you may not do this here; -a needs root' } : {}) });
  }
}
