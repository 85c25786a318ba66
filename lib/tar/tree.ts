/**
 * A directory tree to pack or to extract into, entered one directory at a time and never by way of a symbolic link: whoever owns what is
 * in the tree cannot lead us out of it.
 */
import fs from 'node:fs/promises';

export interface Directory {
  /** To be followed by one name. */
  readonly path: string;
  close(): void;
}

export interface Tree {
  /** The directory of these names, one below the other. Rejects with ENOENT, or with ENOTDIR or ELOOP where one of them is none. */
  enter(names: readonly string[]): Promise<Directory>;
  /** Makes a device or a FIFO; absent: such entries are left out. */
  readonly makeNode?: (path: string, mode: number, device: number) => void;
}

/** By paths: for a tree that nobody else changes meanwhile. */
export function pathTree(top: string): Tree {
  return {
    async enter(names) {
      let path = top;
      for (const name of names) {
        path = `${path}/${name}`;
        const stat = await fs.lstat(path);
        if (stat.isSymbolicLink()) throw failure('ELOOP', path, 'is a symbolic link');
        if (!stat.isDirectory()) throw failure('ENOTDIR', path, 'is not a directory');
      }
      return { path, close: () => {} };
    },
  };
}

export function failure(code: string, path: string, words: string): Error {
  return Object.assign(new Error(`${path} ${words}`), { code });
}

/** The names of a path in an archive. Throws for one that leads upwards. */
export function namesOf(path: string): readonly string[] {
  const names = path.split('/').filter((name) => name !== '' && name !== '.');
  if (names.includes('..')) throw failure('EINVAL', path, 'leads out of the directory');
  if (names.some((name) => name.includes('\0'))) throw failure('EINVAL', path, 'is no path');
  return names;
}
