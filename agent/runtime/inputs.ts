/** Reads on this host what the spec builder needs, and builds the container's spec. */
import { readFile } from 'node:fs/promises';
import { TsorchError } from '../../model/errors.ts';
import type { ContainerSpec } from '../../model/spec.ts';
import type { Mount } from '../../proto/gen/containerd/types.ts';
import { readCdi } from './cdi/read.ts';
import type { CdiEdits } from './cdi/types.ts';
import type { RuntimeContext } from './context.ts';
import { resolveDevices } from './devices.ts';
import { cgroupPath } from './ids.ts';
import { layerDirectories, readAccountFiles } from './image-files.ts';
import { imageMount } from './image-mounts.ts';
import { joinedProcesses, sharedShm } from './join.ts';
import { stagedMounts } from './own-ids.ts';
import type { Users } from './pod-users.ts';
import type { CreateRequest } from './port.ts';
import { type BuiltSpec, buildSpec } from './spec/build.ts';
import type { HostDevice } from './spec/facts.ts';
import { parseSecurityOptions } from './spec/security.ts';
import { type AccountFiles, resolveAccount } from './spec/user.ts';
import type { Staging } from './staging.ts';

/** Account files by chain id: the same image is started many times. */
export type AccountCache = Map<string, AccountFiles>;

/** `mounts` are those of a container of the image, when they are known. */
export async function accountFiles(accounts: AccountCache, chainId: string, mounts: readonly Mount[] | null): Promise<AccountFiles> {
  const cached = accounts.get(chainId);
  if (cached) return cached;
  const files = await readAccountFiles(layerDirectories(mounts ?? []));
  if (accounts.size >= 256) accounts.clear();
  accounts.set(chainId, files);
  return files;
}

/** What a container gets of the host's devices: nodes, and what CDI says besides. */
export interface DeviceRequest {
  readonly devices: readonly HostDevice[];
  readonly edits: CdiEdits;
}

/** Throws `invalid` for a device that this host has not. */
export async function readDevices(context: RuntimeContext, spec: ContainerSpec): Promise<DeviceRequest> {
  const [own, cdi] = await Promise.all([resolveDevices(spec), readCdi(spec.devices, context.cdiDirectories)]);
  const byPath = new Map([...own, ...cdi.devices].map((device) => [device.path, device]));
  return { devices: cdi.devices.length === 0 ? own : [...byPath.values()].sort((a, b) => (a.path < b.path ? -1 : 1)), edits: cdi.edits };
}

/** Throws `invalid` and `unsupported`, and `unavailable` while a container that it joins does not run. */
export async function readAndBuild(context: RuntimeContext, files: AccountFiles, request: CreateRequest, { devices, edits }: DeviceRequest, users: Users | null, staging: Staging): Promise<BuiltSpec> {
  const { spec, image } = request;
  const [seccompProfile, peers] = await Promise.all([readProfile(parseSecurityOptions(spec.securityOpt).seccomp), joinedProcesses(context, request)]);
  const images = (request.imageMounts ?? []).map((given, index) => imageMount(given, index, staging));
  const given = users === null ? request.mounts : stagedMounts(request.mounts, devices, staging);
  return buildSpec({
    request: { ...request, mounts: [...given, ...images] },
    cdi: edits,
    host: context.host,
    account: resolveAccount(spec.user ?? image.config.user, spec.groupAdd, files),
    devices,
    seccompProfile,
    cgroupsPath: cgroupPath(context.cgroupPrefix, request),
    peers,
    sharedShm: sharedShm(context, request),
    users,
  });
}

async function readProfile(seccomp: string): Promise<string | null> {
  if (seccomp === 'default' || seccomp === 'unconfined') return null;
  if (seccomp.trimStart().startsWith('{')) return seccomp;
  try {
    return await readFile(seccomp, 'utf8');
  } catch (cause) {
    throw new TsorchError('invalid', `seccomp profile ${seccomp} cannot be read on this host`, { cause, hint: 'give an absolute path that exists on every host of the service' });
  }
}
