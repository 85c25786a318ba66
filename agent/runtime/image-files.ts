/**
 * Reads a small file out of a root directory that a container may have written, or out of an image's layers, without
 * following anything out of it: links are resolved inside, and only regular files are opened.
 */
import { constants } from 'node:fs';
import { lstat, open, readlink } from 'node:fs/promises';
import { join } from 'node:path';
import type { Mount } from '../../proto/gen/containerd/types.ts';
import type { AccountFiles } from './spec/user.ts';

const mostBytes = 4 << 20;
const mostLinks = 40;

/** Layer directories of a snapshot, the topmost first, from the mounts that make it. */
export function layerDirectories(mounts: readonly Mount[]): readonly string[] {
  return mounts.flatMap((mount) => {
    if (mount.type === 'bind') return [mount.source];
    const option = (name: string) => mount.options.find((o) => o.startsWith(`${name}=`))?.slice(name.length + 1);
    const lower = option('lowerdir');
    // The upper directory counts: a container that is created again may have written there.
    return [...(option('upperdir') === undefined ? [] : [option('upperdir') ?? '']), ...(lower === undefined ? [] : lower.split(':'))];
  });
}

export async function readAccountFiles(layers: readonly string[]): Promise<AccountFiles> {
  const [passwd, group] = await Promise.all([readLayeredFile(layers, '/etc/passwd'), readLayeredFile(layers, '/etc/group')]);
  return { passwd, group };
}

/** null when the file is missing, is no regular file, or is larger than any account file. */
export async function readLayeredFile(layers: readonly string[], path: string): Promise<string | null> {
  const found = await findInLayers(layers, path);
  if (found?.kind !== 'file') return null;
  const file = await open(found.path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK).catch(() => null);
  if (file === null) return null;
  try {
    const info = await file.stat();
    return info.isFile() && info.size <= mostBytes ? await file.readFile('utf8') : null;
  } finally {
    await file.close();
  }
}

/** Where the topmost layer that has it has it. */
export interface Found {
  readonly kind: 'file' | 'directory';
  readonly path: string;
}

/**
 * Walks the path one name at a time over all layers, the topmost that has the name deciding, as overlayfs does. A
 * directory that an upper layer replaced as a whole still shows what the lower ones had in it.
 */
export async function findInLayers(layers: readonly string[], path: string): Promise<Found | null> {
  let rest = parts(path);
  let done: readonly string[] = [];
  let live = layers;
  for (let links = 0; ; ) {
    const [name, ...after] = rest;
    rest = after;
    if (name === undefined) return live[0] === undefined ? null : { kind: 'directory', path: join(live[0], ...done) };
    if (name === '.') continue;
    if (name === '..') {
      // From the start again, to the parent: layers that were cut off below may count again there.
      [rest, done, live] = [[...done.slice(0, -1), ...rest], [], layers];
      continue;
    }
    const here = [...done, name].join('/');
    const entry = await topmost(live, here);
    if (entry === null) return null;
    switch (entry.kind) {
      case 'link': {
        const target = ++links > mostLinks ? null : await readlink(join(entry.layer, here)).catch(() => null);
        if (target === null) return null;
        [rest, done, live] = [[...(target.startsWith('/') ? [] : done), ...parts(target), ...rest], [], layers];
        break;
      }
      case 'file':
        return rest.length === 0 ? { kind: 'file', path: join(entry.layer, here) } : null;
      case 'directory':
        [done, live] = [[...done, name], entry.layers];
        break;
    }
  }
}

function parts(path: string): readonly string[] {
  return path.split('/').filter((part) => part !== '');
}

type Entry =
  | { readonly kind: 'file'; readonly layer: string }
  | { readonly kind: 'link'; readonly layer: string }
  | { readonly kind: 'directory'; readonly layers: readonly string[] };

async function topmost(layers: readonly string[], path: string): Promise<Entry | null> {
  for (const [index, layer] of layers.entries()) {
    const info = await lstat(join(layer, path)).catch(() => null);
    if (info === null) continue;
    // A character device 0:0 is overlayfs's mark for "deleted here".
    if (info.isCharacterDevice() && info.rdev === 0) return null;
    if (info.isSymbolicLink()) return { kind: 'link', layer };
    if (info.isDirectory()) return { kind: 'directory', layers: layers.slice(index) };
    return { kind: 'file', layer };
  }
  return null;
}
