/** Copies a directory of an image out of its layers: what a fresh volume mounted over it starts with. */
import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { chown, mkdir, readdir, rmdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { unmountAll } from '../../lib/linux/mount.ts';
import { describeError, TsorchError } from '../../model/errors.ts';
import { SnapshotsService } from '../../proto/gen/containerd/snapshots.ts';
import type { Mount } from '../../proto/gen/containerd/types.ts';
import type { ContainerdClient } from '../runtime/client.ts';
import { orNothing } from '../runtime/context.ts';
import { findInLayers, readAccountFiles } from '../runtime/image-files.ts';
import { mountView } from '../runtime/layers.ts';
import { withoutOrphans } from '../runtime/snapshots.ts';
import { type AccountFiles, resolveAccount } from '../runtime/spec/user.ts';

const run = promisify(execFile);

export interface CopyUpOptions {
  readonly client: ContainerdClient;
  readonly snapshotter: string;
  /** Held while the view exists, so that a killed agent's view goes with its lease. */
  readonly lease: string;
  /** Mount points are made here. */
  readonly directory: string;
}

/**
 * False, and nothing copied, when the image has no directory at the absolute `path`. `target` must exist. Empty and root's afterwards, it is
 * given to `user`, who is looked up in the image.
 */
export async function copyUp(options: CopyUpOptions, chainId: string, path: string, target: string, user = ''): Promise<boolean> {
  if (chainId === '') {
    await giveTo(user, { passwd: null, group: null }, target);
    return false;
  }
  const { client, snapshotter, lease } = options;
  const key = `tsorch-view-${randomBytes(8).toString('hex')}`;
  const { mounts } = await withoutOrphans(() => client.call(SnapshotsService.view, { snapshotter, key, parent: chainId, labels: {} }, { lease }));
  try {
    return await withMounts(mounts, join(options.directory, key), async (root) => {
      const copied = await copy(root, path, target);
      if (!isRoot(user)) await giveTo(user, await readAccountFiles([root]), target);
      return copied;
    });
  } finally {
    await orNothing(client.call(SnapshotsService.remove, { snapshotter, key }));
  }
}

function isRoot(user: string): boolean {
  return /^(|0|root)(:|$)/.test(user);
}

async function giveTo(user: string, accounts: AccountFiles, target: string): Promise<void> {
  if (isRoot(user)) return;
  const { uid, gid } = await stat(target);
  if (uid !== 0 || gid !== 0 || (await readdir(target)).some((name) => name !== 'lost+found')) return;
  const account = resolveAccount(user, [], accounts);
  await chown(target, account.uid, account.gid);
}

async function copy(root: string, path: string, target: string): Promise<boolean> {
  const found = await findInLayers([root], path);
  if (found?.kind !== 'directory') return false;
  try {
    // The dot makes it copy the directory's own owner, mode and times too.
    await run('cp', ['-a', '--reflink=auto', '--', `${found.path}/.`, target]);
  } catch (cause) {
    const full = /No space left|quota exceeded/i.test(describeError(cause));
    throw new TsorchError(full ? 'exhausted' : 'internal', `the image's ${path} could not be copied to ${target}: ${describeError(cause).trim()}`, { cause });
  }
  return true;
}

async function withMounts<T>(mounts: readonly Mount[], point: string, use: (root: string) => Promise<T>): Promise<T> {
  const [mount] = mounts;
  // One layer alone needs no mount: its directory is what the image has.
  if (mounts.length === 1 && mount?.type === 'bind') return await use(mount.source);
  await mkdir(point, { recursive: true });
  try {
    await mountView(mounts, point);
    return await use(point);
  } finally {
    unmountAll(point);
    await rmdir(point);
  }
}
