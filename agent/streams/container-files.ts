/** The files of a running container as its own processes see them, volumes included: reached through its root, never out of it. */
import fs from 'node:fs';
import { readFile } from 'node:fs/promises';
import { posix } from 'node:path';
import { closeFile, makeNode, openBeneath, openFlag, openInRoot } from '../../lib/linux/files.ts';
import { hasErrno } from '../../lib/linux/libc.ts';
import type { Tree } from '../../lib/tar/tree.ts';
import type { FileStat } from '../../model/api.ts';
import { TsorchError } from '../../model/errors.ts';

const directoryFlags = openFlag.path | openFlag.directory;
/** As many links as the kernel follows. */
const mostLinks = 40;

export class ContainerFiles {
  readonly #root: number;
  readonly #users: readonly IdRange[];
  readonly #groups: readonly IdRange[];

  private constructor(root: number, users: readonly IdRange[], groups: readonly IdRange[]) {
    this.#root = root;
    this.#users = users;
    this.#groups = groups;
  }

  /** `unavailable` when the process has ended. */
  static async open(pid: number): Promise<ContainerFiles> {
    try {
      const [users, groups] = await Promise.all(['uid_map', 'gid_map'].map(async (file) => parseIdMap(await readFile(`/proc/${pid}/${file}`, 'utf8'))));
      return new ContainerFiles(fs.openSync(`/proc/${pid}/root`, directoryFlags), users ?? [], groups ?? []);
    } catch (cause) {
      throw new TsorchError('unavailable', 'the container has ended', { cause });
    }
  }

  close(): void {
    fs.closeSync(this.#root);
  }

  /** What is at the path. `not-found` when nothing is. With `follow` a link in its last place is followed. */
  stat(path: string, follow: boolean): FileStat {
    const { directory, name, path: found } = this.resolve(path, follow);
    return this.#within(directory, path, (at) => {
      const stat = fs.lstatSync(name === '' ? `${at}/.` : `${at}/${name}`);
      const link = stat.isSymbolicLink() ? fs.readlinkSync(`${at}/${name}`) : undefined;
      const type = stat.isDirectory() ? 'directory' : stat.isFile() ? 'file' : link === undefined ? 'other' : 'link';
      return { path: found, type, size: stat.size, mode: stat.mode & 0o7777, mtime: Math.round(stat.mtimeMs), ...(link === undefined ? {} : { link }) };
    });
  }

  /** Where the path leads inside of the container: its directory, absolute, and the name in it; `''` for the root itself. */
  resolve(path: string, follow: boolean): { readonly directory: string; readonly name: string; readonly path: string } {
    let clean = posix.resolve('/', path);
    const last = follow || /\/\.?$/.test(path);
    for (let links = 0; ; links++) {
      const directory = posix.dirname(clean);
      const name = clean === '/' ? '' : posix.basename(clean);
      const link = last && name !== '' ? this.#within(directory, path, (at) => readLink(`${at}/${name}`)) : null;
      if (link === null) return { directory, name, path: clean };
      if (links === mostLinks) throw new TsorchError('invalid', `${path}: too many links`);
      clean = posix.resolve(directory, link);
    }
  }

  /** The tree below a directory of the container; the caller closes it. */
  tree(directory: string): { readonly tree: Tree; close(): void } {
    const top = this.#open(directory, directory);
    return {
      tree: {
        enter: async (names) => {
          const fd = names.length === 0 ? openInRoot(top, '.', directoryFlags) : openBeneath(top, names.join('/'), directoryFlags, { links: false });
          return { path: `/proc/self/fd/${fd}`, close: () => closeFile(fd) };
        },
        makeNode,
      },
      close: () => closeFile(top),
    };
  }

  /** Owners as processes in the container see them. */
  inside(uid: number, gid: number): { readonly uid: number; readonly gid: number } {
    return { uid: translate(this.#users, uid, 'inside'), gid: translate(this.#groups, gid, 'inside') };
  }

  /** Owners as this host has them. */
  outside(uid: number, gid: number): { readonly uid: number; readonly gid: number } {
    return { uid: translate(this.#users, uid, 'outside'), gid: translate(this.#groups, gid, 'outside') };
  }

  #within<T>(directory: string, asked: string, use: (path: string) => T): T {
    const fd = this.#open(directory, asked);
    try {
      return use(`/proc/self/fd/${fd}`);
    } catch (error) {
      throw fileFailure(error, asked);
    } finally {
      closeFile(fd);
    }
  }

  #open(directory: string, asked: string): number {
    try {
      return openInRoot(this.#root, directory, directoryFlags);
    } catch (error) {
      throw fileFailure(error, asked);
    }
  }
}

/** null when it is no link, or nothing. */
function readLink(path: string): string | null {
  try {
    return fs.readlinkSync(path);
  } catch (error) {
    if (hasErrno(error, 'EINVAL', 'ENOENT')) return null;
    throw error;
  }
}

/** What the file system says, about the path that was asked for. */
export function fileFailure(error: unknown, path: string): unknown {
  if (error instanceof TsorchError) return error;
  const { code = '', message } = error as NodeJS.ErrnoException;
  const words = message.replaceAll(/\/proc\/self\/fd\/\d+\/?/g, '').replace(/^E[A-Z]+: /, '');
  switch (code) {
    case 'ENOENT':
      return new TsorchError('not-found', `there is no ${path} in the container`, { cause: error });
    case 'ENOTDIR':
      return new TsorchError('invalid', `${path}: a part of it is no directory`, { cause: error });
    case 'EROFS':
      return new TsorchError('conflict', `${path} is read-only in the container`, { cause: error });
    case 'ENOSPC':
    case 'EDQUOT':
      return new TsorchError('exhausted', `${path}: no room is left`, { cause: error });
    case 'ELOOP':
    case 'EEXIST':
    case 'EINVAL':
    case 'EXDEV':
    case 'ENAMETOOLONG':
      return new TsorchError('invalid', `${path}: ${words}`, { cause: error });
    case 'EACCES':
    case 'EPERM':
    case 'EBUSY':
      return new TsorchError('conflict', `${path}: ${words}`, { cause: error });
    default:
      return error;
  }
}

export interface IdRange {
  readonly inside: number;
  readonly outside: number;
  readonly length: number;
}

/** /proc/<pid>/uid_map: `0 100000 65536` a line. */
export function parseIdMap(text: string): readonly IdRange[] {
  return text.trim().split('\n').flatMap((line) => {
    const [inside, outside, length] = line.trim().split(/\s+/).map(Number);
    return inside === undefined || outside === undefined || !length ? [] : [{ inside, outside, length }];
  });
}

/** What the container has no number for is nobody's. */
const overflowId = 65_534;

export function translate(ranges: readonly IdRange[], id: number, to: 'inside' | 'outside'): number {
  const from = to === 'inside' ? 'outside' : 'inside';
  const range = ranges.find((each) => id >= each[from] && id < each[from] + each.length);
  return range ? range[to] + id - range[from] : overflowId;
}
