/** Images as read-only mounts: views of their layers, held by a snapshot as long as the container is there. */
import { isCode, TsorchError } from '../../model/errors.ts';
import { bindMount } from '../../lib/linux/mount.ts';
import { SnapshotsService } from '../../proto/gen/containerd/snapshots.ts';
import type { Mount } from '../../proto/gen/containerd/types.ts';
import { orNothing, type RuntimeContext } from './context.ts';
import { findInLayers } from './image-files.ts';
import { mountView } from './layers.ts';
import { type OwnIds, ownLayers } from './own-ids.ts';
import type { ImageMount, ResolvedMount } from './port.ts';
import { withoutOrphans } from './snapshots.ts';
import type { Staging } from './staging.ts';

/** The mount as the container's spec has it; its source is made by `stageImage`. */
export function imageMount(given: ImageMount, index: number, staging: Staging): ResolvedMount {
  return { source: staging.path(pointName(index)), target: given.target, type: 'bind', options: ['rbind', 'ro', 'nosuid', 'nodev', 'rprivate'] };
}

/** Mounts the container's n-th image. `invalid` when the image has nothing at the subpath. */
export async function stageImage(context: RuntimeContext, id: string, given: ImageMount, index: number, ids: OwnIds | null, staging: Staging): Promise<void> {
  const view = await viewOf(context, snapshotKey(id, index), given);
  const mounts = ids === null ? view : await ownLayers(view, ids, staging, `image-${index}-layers`);
  if (given.subpath === undefined || given.subpath === '') return await mountView(mounts, await staging.point(pointName(index)));
  const root = await staging.point(`image-${index}-root`);
  await mountView(mounts, root);
  const found = await findInLayers([root], given.subpath);
  if (!found) throw new TsorchError('invalid', `image ${given.image.reference} has nothing at ${given.subpath}`, { hint: 'check `subpath` against what the image holds' });
  bindMount(found.path, await staging.point(pointName(index), found.kind));
}

/** Lets go of the layers of the images that a container had mounted. */
export async function releaseImages(context: RuntimeContext, id: string, count: number): Promise<void> {
  const { client, snapshotter } = context;
  for (let index = 0; index < count; index++) await orNothing(client.call(SnapshotsService.remove, { snapshotter, key: snapshotKey(id, index) }));
}

async function viewOf(context: RuntimeContext, key: string, { image }: ImageMount): Promise<readonly Mount[]> {
  const { client, snapshotter, clock } = context;
  const labels = { 'containerd.io/gc.root': new Date(clock.now()).toISOString() };
  try {
    return (await withoutOrphans(() => client.call(SnapshotsService.view, { snapshotter, key, parent: image.chainId, labels }))).mounts;
  } catch (error) {
    // An earlier try made it.
    if (isCode(error, 'conflict')) return (await client.call(SnapshotsService.mounts, { snapshotter, key })).mounts;
    if (isCode(error, 'not-found')) throw new TsorchError('not-found', `image ${image.reference} is not unpacked on this host`, { cause: error, hint: 'pull or load it again' });
    throw error;
  }
}

function snapshotKey(id: string, index: number): string {
  return `${id}/image-${index}`;
}

function pointName(index: number): string {
  return `image-${index}`;
}
