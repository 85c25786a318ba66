/** Unpacks layers into snapshots, each named by its chain id, so that images share what they have in common. */
import { randomBytes } from 'node:crypto';
import type { Descriptor } from '../../lib/oci/manifest.ts';
import { isCode, TsorchError } from '../../model/errors.ts';
import { DiffService } from '../../proto/gen/containerd/diff.ts';
import { LeasesService } from '../../proto/gen/containerd/leases.ts';
import { SnapshotsService } from '../../proto/gen/containerd/snapshots.ts';
import type { ContainerdClient } from '../runtime/client.ts';
import { orNothing } from '../runtime/context.ts';
import { chainIds } from './document.ts';
import { forUnpacking } from './layers.ts';
import { withoutOrphans } from '../runtime/snapshots.ts';

export interface UnpackOptions {
  readonly client: ContainerdClient;
  readonly snapshotter: string;
  readonly lease: string;
  readonly progress?: (message: string) => void;
  /** Resolves when the layer's blob is in the store; absent: all are. */
  readonly ready?: (index: number) => Promise<void>;
  /** Hears how many layers are unpacked. */
  readonly unpacked?: (layers: number) => void;
  readonly signal?: AbortSignal;
}

/** Resolves to the chain id of all layers, empty for an image without any. Throws `invalid` for a corrupt layer. */
export async function unpack(options: UnpackOptions, layers: readonly Descriptor[], diffIds: readonly string[]): Promise<string> {
  if (layers.length !== diffIds.length) throw new TsorchError('invalid', `the image has ${layers.length} layers, but its configuration speaks of ${diffIds.length}`);
  let parent = '';
  for (const [index, chainId] of chainIds(diffIds).entries()) {
    const [layer, diffId] = [layers[index], diffIds[index]];
    if (!layer || diffId === undefined) break;
    await options.ready?.(index);
    options.signal?.throwIfAborted();
    // First kept, then looked for: what is there cannot be collected in between.
    await options.client.call(LeasesService.addResource, { id: options.lease, resource: { id: chainId, type: `snapshots/${options.snapshotter}` } });
    if (!(await isUnpacked(options, chainId))) {
      options.progress?.(`unpacking layer ${index + 1} of ${layers.length}`);
      await unpackLayer(options, layer, diffId, chainId, parent);
    }
    parent = chainId;
    options.unpacked?.(index + 1);
  }
  return parent;
}

export async function isUnpacked(options: Pick<UnpackOptions, 'client' | 'snapshotter'>, chainId: string): Promise<boolean> {
  if (chainId === '') return true;
  return (await orNothing(options.client.call(SnapshotsService.stat, { snapshotter: options.snapshotter, key: chainId }))) !== undefined;
}

async function unpackLayer(options: UnpackOptions, layer: Descriptor, diffId: string, chainId: string, parent: string): Promise<void> {
  const { client, snapshotter, lease } = options;
  const key = `tsorch-unpack-${randomBytes(8).toString('hex')} ${chainId}`;
  try {
    const { mounts } = await withoutOrphans(() => client.call(SnapshotsService.prepare, { snapshotter, key, parent, labels: { 'containerd.io/snapshot.ref': chainId } }, { lease }));
    const diff = { ...forUnpacking(layer), annotations: {} };
    const { applied } = await client.call(DiffService.apply, { diff, mounts }, { lease, deadlineMs: null, ...(options.signal ? { signal: options.signal } : {}) });
    if (applied?.digest !== diffId) throw new TsorchError('invalid', `layer ${layer.digest} unpacks to ${applied?.digest ?? 'nothing'} instead of ${diffId}`, { hint: 'the image is damaged: make or fetch it again' });
    await client.call(SnapshotsService.commit, { snapshotter, name: chainId, key, labels: {} }, { lease });
  } catch (error) {
    await orNothing(client.call(SnapshotsService.remove, { snapshotter, key })).catch(() => {});
    // Somebody else unpacked the same layer at the same time.
    if (isCode(error, 'conflict') && (await isUnpacked(options, chainId))) return;
    throw layerFailure(error, layer);
  }
}

function layerFailure(error: unknown, layer: Descriptor): unknown {
  if (!(error instanceof TsorchError) || error.code !== 'internal') return error;
  if (/no space left|disk quota/i.test(error.message)) return new TsorchError('exhausted', `no space left to unpack ${layer.digest}`, { cause: error, hint: 'free disk space on the host' });
  return new TsorchError('invalid', `layer ${layer.digest} is corrupt: ${error.message.replace(/^containerd [\w/]+: /, '')}`, { cause: error, hint: 'the image is damaged: make or fetch it again' });
}
