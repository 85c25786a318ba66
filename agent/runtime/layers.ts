/** The directories of an image's layers, as a mount of their own: whole, or with the ids of a user namespace. */
import { execFile } from 'node:child_process';
import { chown, stat } from 'node:fs/promises';
import { promisify } from 'node:util';
import { bindMount } from '../../lib/linux/mount.ts';
import { TsorchError } from '../../model/errors.ts';
import type { Mount } from '../../proto/gen/containerd/types.ts';

const run = promisify(execFile);

/** Mounts a view of an image, read-only, on the directory `point`. */
export async function mountView(mounts: readonly Mount[], point: string): Promise<void> {
  const [mount] = mounts;
  if (mounts.length !== 1 || !mount) throw new TsorchError('internal', `a view of the image has ${mounts.length} mounts instead of one`);
  // One layer alone: its directory is what the image has.
  if (mount.type === 'bind') return bindMount(mount.source, point, { recursive: true, readOnly: true });
  const { directory, options } = shorten(mount.options);
  await run('mount', ['-t', mount.type, '-o', [...options, 'ro'].join(','), mount.source, point], { cwd: directory });
}

/** The kernel takes a page of options, which many long layer paths exceed: they are given relative to what they share. */
function shorten(options: readonly string[]): { readonly directory: string; readonly options: readonly string[] } {
  const lower = options.find((option) => option.startsWith('lowerdir='))?.slice('lowerdir='.length).split(':') ?? [];
  const directory = snapshotsPart(lower[0] ?? '');
  if (directory === '' || !lower.every((path) => path.startsWith(directory))) return { directory: '/', options };
  return {
    directory,
    options: options.map((option) => (option.startsWith('lowerdir=') ? `lowerdir=${lower.map((path) => path.slice(directory.length)).join(':')}` : option)),
  };
}

/** The directory that holds the layers of all snapshots; `internal` for mounts that are not of the overlay snapshotter. */
export function snapshotsDirectory(mounts: readonly Mount[]): string {
  const paths = mounts.flatMap((mount) => (mount.type === 'bind' ? [mount.source] : lowerOf(mount)));
  const directory = snapshotsPart(paths[0] ?? '');
  if (directory === '' || !paths.every((path) => path.startsWith(directory))) throw new TsorchError('internal', `the layers ${paths.join(', ')} are not those of the overlay snapshotter`);
  return directory;
}

/** The same layers below another directory; the upper one, which is nobody else's, stays where it is. */
export function relocated(mounts: readonly Mount[], from: string, to: string): readonly Mount[] {
  const moved = (path: string) => `${to}/${path.slice(from.length)}`;
  return mounts.map((mount) => ({
    ...mount,
    source: mount.type === 'bind' ? moved(mount.source) : mount.source,
    options: mount.options.map((option) => (option.startsWith('lowerdir=') ? `lowerdir=${lowerOf(mount).map(moved).join(':')}` : option)),
  }));
}

/** What the container writes belongs to its own ids, and so does its root directory. */
export async function ownUpper(mounts: readonly Mount[], start: number): Promise<void> {
  for (const option of mounts.flatMap((mount) => mount.options)) {
    if (!option.startsWith('upperdir=')) continue;
    const directory = option.slice('upperdir='.length);
    const { uid, gid } = await stat(directory);
    // An earlier try may have done it.
    if (uid < start) await chown(directory, start + uid, start + gid);
  }
}

function lowerOf(mount: Mount): readonly string[] {
  return mount.options.find((option) => option.startsWith('lowerdir='))?.slice('lowerdir='.length).split(':') ?? [];
}

/** `/…/snapshots/` of `/…/snapshots/12/fs`, empty when it is not such a path. */
function snapshotsPart(path: string): string {
  const at = path.lastIndexOf('/snapshots/');
  return at < 0 ? '' : path.slice(0, at + '/snapshots/'.length);
}
