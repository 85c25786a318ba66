/**
 * What a container may need besides layer, record and process: memory shared with others, images mounted in it, ids of a user
 * namespace, a limit on its writable layer. What lasts is noted in the record (`Assets`) before it is made, so that removal knows;
 * the rest is staged and gone when the container is created.
 */
import { closeSync, openSync } from 'node:fs';
import { mkdir, rmdir } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { hasErrno } from '../../lib/linux/libc.ts';
import { isMountPoint, mount, mountFlag, unmountAll } from '../../lib/linux/mount.ts';
import { limitProject, setProject } from '../../lib/linux/quota.ts';
import { TsorchError } from '../../model/errors.ts';
import { SnapshotsService } from '../../proto/gen/containerd/snapshots.ts';
import type { Mount } from '../../proto/gen/containerd/types.ts';
import { type Assets, orNothing, type RuntimeContext } from './context.ts';
import { releaseImages, stageImage } from './image-mounts.ts';
import { type OwnIds, ownDevices, ownLayers, ownMount } from './own-ids.ts';
import type { Users } from './pod-users.ts';
import type { CreateRequest } from './port.ts';
import type { HostDevice } from './spec/facts.ts';
import { shmOptions } from './spec/mounts.ts';
import type { Staging } from './staging.ts';

export interface MadeAssets {
  /** What the container's root is made of. */
  readonly mounts: readonly Mount[];
  readonly warnings: readonly string[];
}

/** Makes them; what an earlier try made is kept. `mounts` are the container's layers. */
export async function makeAssets(context: RuntimeContext, id: string, request: CreateRequest, assets: Assets, users: Users | null, devices: readonly HostDevice[], mounts: readonly Mount[], staging: Staging): Promise<MadeAssets> {
  if (assets.shm) await shareMemory(context, id, request.spec.shmSize);
  if (assets.project !== undefined) limitLayer(mounts, assets.project, assets.layerSize ?? 0);
  const ids: OwnIds | null = users === null ? null : { start: users.start, users: openSync(users.path, 'r') };
  try {
    for (const [index, image] of (request.imageMounts ?? []).entries()) await stageImage(context, id, image, index, ids, staging);
    if (ids === null) return { mounts, warnings: [] };
    const warnings: string[] = [];
    await ownDevices(devices, ids, staging);
    for (const [index, given] of request.mounts.entries()) {
      const warning = given.type === 'bind' ? await ownMount(given, index, ids, staging) : null;
      if (warning !== null) warnings.push(warning);
    }
    return { mounts: await ownLayers(mounts, ids, staging, 'layers'), warnings };
  } finally {
    if (ids !== null) closeSync(ids.users);
  }
}

/** Takes back what lasts. Safe to repeat. */
export async function removeAssets(context: RuntimeContext, id: string, assets: Assets): Promise<void> {
  if (assets.shm) {
    const directory = sharedMemory(context.runDir, id);
    unmountAll(directory);
    await rmdir(directory).catch((error: unknown) => {
      if (!hasErrno(error, 'ENOENT')) throw error;
    });
  }
  if (assets.images !== undefined) await releaseImages(context, id, assets.images);
  if (assets.project !== undefined) await freeProject(context, id, assets.project);
}

/** Before the layer goes, by which the file system is found. */
async function freeProject({ client, snapshotter, log }: RuntimeContext, id: string, project: number): Promise<void> {
  const found = await orNothing(client.call(SnapshotsService.mounts, { snapshotter, key: id }));
  const upper = found && upperOf(found.mounts);
  if (upper === undefined) return;
  try {
    limitProject(dirname(upper), project, 0);
  } catch (error) {
    // A limit on files that are gone limits nothing; where quotas are off there is none.
    log.debug('a quota stays', { container: id, error });
  }
}

/** The host's directory that a container and those that join its IPC namespace have as /dev/shm. */
export function sharedMemory(runDir: string, id: string): string {
  return join(runDir, 'shm', id);
}

/** Whether that container shares its memory at all. */
export function sharesMemory(runDir: string, id: string): boolean {
  return isMountPoint(sharedMemory(runDir, id));
}

async function shareMemory(context: RuntimeContext, id: string, size: number | undefined): Promise<void> {
  const directory = sharedMemory(context.runDir, id);
  await mkdir(directory, { recursive: true, mode: 0o711 });
  if (isMountPoint(directory)) return;
  mount('tsorch-shm', directory, 'tmpfs', mountFlag.noSuid | mountFlag.noDevices | mountFlag.noExecute, shmOptions(size).join(','));
}

/** `unsupported` when the file system does not count by project. */
function limitLayer(mounts: readonly Mount[], project: number, bytes: number): void {
  const upper = upperOf(mounts);
  if (upper === undefined) throw new TsorchError('internal', 'the container has no writable layer to limit');
  try {
    limitProject(dirname(upper), project, bytes);
    // The snapshot's directory holds the layer and what overlayfs works with; both are empty now.
    for (const name of ['fs', 'work']) setProject(join(dirname(upper), name), project);
  } catch (cause) {
    throw new TsorchError('unsupported', `storage_opt: size: the file system of ${dirname(upper)} cannot limit directories: ${(cause as Error).message}`, {
      cause,
      hint: "keep the host's state directory on XFS mounted with pquota, or leave storage_opt out",
    });
  }
}

function upperOf(mounts: readonly Mount[]): string | undefined {
  return mounts.flatMap((item) => item.options).find((option) => option.startsWith('upperdir='))?.slice('upperdir='.length);
}
