/**
 * Files for a container with a user namespace of its own: layers and mounts are shown to it with ids shifted into its range,
 * so that what root owns outside, root owns inside.
 */
import { chmod, chown, copyFile, stat } from 'node:fs/promises';
import { makeDeviceNode } from '../../lib/linux/device-node.ts';
import { idmappedBind } from '../../lib/linux/idmap.ts';
import { hasErrno } from '../../lib/linux/libc.ts';
import { bindMount, mount, mountFlag } from '../../lib/linux/mount.ts';
import { TsorchError } from '../../model/errors.ts';
import type { Mount } from '../../proto/gen/containerd/types.ts';
import { ownUpper, relocated, snapshotsDirectory } from './layers.ts';
import type { ResolvedMount } from './port.ts';
import type { HostDevice } from './spec/facts.ts';
import type { Staging } from './staging.ts';

export interface OwnIds {
  readonly start: number;
  /** Descriptor of the user namespace. */
  readonly users: number;
}

/** The container's root, or a view of an image, with its ids. `name` is that of the staged copy of the layers. */
export async function ownLayers(mounts: readonly Mount[], ids: OwnIds, staging: Staging, name: string): Promise<readonly Mount[]> {
  const directory = snapshotsDirectory(mounts);
  const point = await staging.point(name);
  try {
    idmappedBind(directory, point, ids.users);
  } catch (cause) {
    throw new TsorchError('unsupported', `userns_mode: private: ${directory} cannot be shown with other user ids: ${(cause as Error).message}`, { cause, hint: 'keep the state directory on ext4, xfs or btrfs, or leave userns_mode out' });
  }
  await ownUpper(mounts, ids.start);
  return relocated(mounts, directory, point);
}

/** The container's mounts as they will be staged, its devices among them: its spec is written before they are made. */
export function stagedMounts(mounts: readonly ResolvedMount[], devices: readonly HostDevice[], staging: Staging): readonly ResolvedMount[] {
  return [
    ...mounts.map((given, index) => (given.type === 'bind' ? { ...given, source: staging.path(stagedMount(index)) } : given)),
    ...devices.map(({ path }, index): ResolvedMount => ({ source: staging.path(stagedDevice(index)), target: path, type: 'bind', options: ['bind', 'nosuid', 'noexec', 'rprivate'] })),
  ];
}

/** Nodes of its own: the kernel makes none for who is root only inside, and the host's would belong to nobody there. */
export async function ownDevices(devices: readonly HostDevice[], ids: OwnIds, staging: Staging): Promise<void> {
  if (devices.length === 0) return;
  const nodes = await staging.point('devices');
  mount('tmpfs', nodes, 'tmpfs', mountFlag.noSuid | mountFlag.noExecute, 'mode=0700,size=64k');
  for (const [index, { type, major, minor, mode, uid, gid }] of devices.entries()) {
    const node = `${nodes}/${index}`;
    makeDeviceNode(node, type, major, minor);
    await chown(node, ids.start + uid, ids.start + gid);
    await chmod(node, mode);
    bindMount(node, await staging.point(stagedDevice(index), 'file'));
  }
}

function stagedMount(index: number): string {
  return `mount-${index}`;
}

function stagedDevice(index: number): string {
  return `device-${index}`;
}

/** Stages the n-th mount of the container. Returns a warning where ids cannot be shifted. */
export async function ownMount(given: ResolvedMount, index: number, ids: OwnIds, staging: Staging): Promise<string | null> {
  const info = await stat(given.source);
  const point = await staging.point(stagedMount(index), info.isDirectory() ? 'directory' : 'file');
  try {
    idmappedBind(given.source, point, ids.users);
    return null;
  } catch (error) {
    if (!hasErrno(error, 'EINVAL', 'EPERM')) throw error;
  }
  if (info.isFile()) {
    await copyWithIds(given.source, info, ids, staging, index, point);
    return null;
  }
  bindMount(given.source, point, { recursive: true });
  return `what is mounted at ${given.target} belongs to nobody inside: the file system of ${given.source} cannot show other user ids`;
}

/** A file of a file system without id-mapped mounts (tmpfs before Linux 6.3), such as a secret: a copy in memory serves as well. */
async function copyWithIds(source: string, info: { readonly uid: number; readonly gid: number; readonly mode: number }, ids: OwnIds, staging: Staging, index: number, point: string): Promise<void> {
  const memory = await staging.point(`copy-${index}`);
  mount('tmpfs', memory, 'tmpfs', mountFlag.noSuid | mountFlag.noDevices, 'mode=0700,size=64m');
  const copy = `${memory}/file`;
  await copyFile(source, copy);
  await chown(copy, ids.start + info.uid, ids.start + info.gid);
  await chmod(copy, info.mode & 0o7777);
  bindMount(copy, point);
}
