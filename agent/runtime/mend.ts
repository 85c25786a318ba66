/**
 * An image whose unpacked layers are gone from the disk while containerd's database still lists them: somebody deleted them, or the
 * disk is damaged. What is broken is taken out of the database, so that the image counts as not unpacked and is unpacked again.
 */
import { access } from 'node:fs/promises';
import { randomBytes } from 'node:crypto';
import { TsorchError } from '../../model/errors.ts';
import { SnapshotsService } from '../../proto/gen/containerd/snapshots.ts';
import type { RuntimeContext } from './context.ts';
import { layerDirectories } from './image-files.ts';
import type { ImageHandle } from './port.ts';

const missing = /failed to stat parent: stat \S+: no such file or directory|failed to mount rootfs component .*no such file or directory/s;

export function layersAreGone(error: unknown): boolean {
  return missing.test(error instanceof Error ? error.message : '');
}

/** The error for people; `not-found`, so that the image is looked for anew, `unavailable` when nothing is broken. Layers that other containers use stay as they are. */
export async function dropBrokenLayers(context: RuntimeContext, image: ImageHandle, cause: unknown): Promise<TsorchError> {
  const { client, snapshotter, log } = context;
  const chain = await chainOf(context, image.chainId);
  const lowest = await lowestBroken(context, chain);
  // All there: containerd was interrupted while it mounted them, and may be asked again.
  if (lowest < 0 && chain.length > 0) return new TsorchError('unavailable', `the layers of ${image.reference} could not be mounted`, { cause });
  const broken = chain.slice(0, lowest + 1);
  for (const key of broken) {
    try {
      await client.call(SnapshotsService.remove, { snapshotter, key });
    } catch (error) {
      log.warn('layers are gone from the disk, and others are built on them', { image: image.reference, error });
      break;
    }
  }
  return new TsorchError('not-found', `image ${image.reference} is damaged: layers of it are gone from this host's disk`, { cause, hint: 'if it does not come back by itself, remove the image there and pull or load it again' });
}

/** Names of the image's snapshots, the topmost first. */
async function chainOf({ client, snapshotter }: RuntimeContext, top: string): Promise<readonly string[]> {
  const names: string[] = [];
  for (let key = top; key !== ''; ) {
    const info = (await client.call(SnapshotsService.stat, { snapshotter, key }).catch(() => null))?.info;
    if (!info) break;
    names.push(key);
    key = info.parent;
  }
  return names;
}

/** Its place in the chain, -1 when all are there. */
async function lowestBroken({ client, snapshotter }: RuntimeContext, chain: readonly string[]): Promise<number> {
  let lowest = -1;
  for (const [index, parent] of chain.entries()) {
    const key = `tsorch-probe-${randomBytes(8).toString('hex')}`;
    try {
      const { mounts } = await client.call(SnapshotsService.view, { snapshotter, key, parent, labels: {} });
      // One that stays is collected: nothing refers to it.
      await client.call(SnapshotsService.remove, { snapshotter, key }).catch(() => {});
      const there = await Promise.all(layerDirectories(mounts).map((directory) => access(directory).then(() => true, () => false)));
      return there.includes(false) ? index + there.lastIndexOf(false) : lowest;
    } catch (error) {
      if (!layersAreGone(error)) throw error;
      lowest = index;
    }
  }
  return lowest;
}
