/** Makes a container: writable layer, record, process that waits to be started. Every step finds what an earlier try left. */
import { closeSync } from 'node:fs';
import { inNetns, openNetns } from '../../lib/linux/netns.ts';
import { writeSysctl } from '../../lib/linux/sysctl.ts';
import { setDomainnameOf } from '../../lib/linux/uts.ts';
import { failpoint } from '../../lib/failpoint.ts';
import { isCode, TsorchError } from '../../model/errors.ts';
import { ContainersService } from '../../proto/gen/containerd/containers.ts';
import { Options as RuncOptions } from '../../proto/gen/containerd/runc.ts';
import { SnapshotsService } from '../../proto/gen/containerd/snapshots.ts';
import { TasksService } from '../../proto/gen/containerd/tasks.ts';
import type { Any, Mount } from '../../proto/gen/containerd/types.ts';
import { makeAssets } from './assets.ts';
import { writeCgroupLimits } from './cgroup-limits.ts';
import { jsonAny } from './client.ts';
import { type Assets, encodeKnown, orNothing, type RuntimeContext } from './context.ts';
import { containerdId } from './ids.ts';
import { type AccountCache, accountFiles, type DeviceRequest, readAndBuild, readDevices } from './inputs.ts';
import { dropBrokenLayers, layersAreGone } from './mend.ts';
import { namedRuntime, type OciRuntime } from './oci-runtime.ts';
import type { Users } from './pod-users.ts';
import type { CreateRequest, RuntimeContainer } from './port.ts';
import { clearAway, removeContainer } from './remove.ts';
import type { BuiltSpec } from './spec/build.ts';
import { specJson } from './spec/oci.ts';
import { Staging } from './staging.ts';
import { containerState } from './state.ts';
import { withoutOrphans } from './snapshots.ts';
import { createTask } from './task.ts';
import { wantedAssets } from './wanted-assets.ts';

export async function createContainer(context: RuntimeContext, accounts: AccountCache, request: CreateRequest): Promise<RuntimeContainer> {
  const id = containerdId(request.id);
  const oci = request.spec.runtime === undefined ? context.oci : await namedRuntime(request.spec.runtime);
  const staging = new Staging(context.runDir, id);
  const assets = wantedAssets(context, id, request);
  const users = request.spec.userns === 'private' ? await context.users.of(request.podId) : null;
  // Unknown before the first container of an image: only the snapshot tells where the layers are.
  const first = accounts.has(request.image.chainId) ? null : await prepare(context, id, request);
  let built: BuiltSpec;
  let needs: DeviceRequest;
  try {
    needs = await readDevices(context, request.spec);
    built = await readAndBuild(context, await accountFiles(accounts, request.image.chainId, first), request, needs, users, staging);
  } catch (error) {
    await clearAway(context, id);
    throw error;
  }
  const [mounts, existing] = await layerAndRecord(context, id, [first ?? prepare(context, id, request), record(context, id, request, built, assets, { name: oci.shim, options: runcOptions(oci, users) })]);
  failpoint('create.record', request.id);
  const warnings = [...built.warnings];
  let pid = existing?.pid ?? 0;
  if (!existing) {
    setNetworkSysctls(request.netns, built.outside.network);
    const special = users !== null || Object.keys(assets).length > 0;
    const made = special ? await orNone(context, id, staging, () => makeAssets(context, id, request, assets, users, needs.devices, mounts, staging)) : { mounts, warnings: [] };
    warnings.push(...made.warnings);
    try {
      pid = await createTask(context, id, request, made.mounts, runcOptions(oci, users));
      failpoint('create.task', request.id);
    } finally {
      if (special) await staging.takeDown();
    }
  }
  if (existing === null || existing.state === 'created') {
    if (built.outside.domainname !== undefined) setDomainnameOf(pid, built.outside.domainname);
    warnings.push(...(await limit(context, request, built)));
  }
  for (const warning of warnings) context.log.warn(warning, { container: request.id });
  const container: RuntimeContainer = existing ?? { id: request.id, podId: request.podId, labels: request.labels, state: 'created', pid };
  return warnings.length > 0 ? { ...container, warnings } : container;
}

function setNetworkSysctls(netns: string | null, sysctls: Readonly<Record<string, string>>): void {
  const entries = Object.entries(sysctls);
  const fd = netns === null || entries.length === 0 ? undefined : openNetns(netns);
  if (fd === undefined) return;
  try {
    // Dots separate, but slashes in the names of interfaces stand for dots there.
    inNetns(fd, () => entries.forEach(([name, value]) => void writeSysctl(name.replace(/[./]/g, (c) => (c === '.' ? '/' : '.')), value)));
  } finally {
    closeSync(fd);
  }
}

/** Nothing is left of the container when something of it cannot be made. */
async function orNone<T>(context: RuntimeContext, id: string, staging: Staging, make: () => Promise<T>): Promise<T> {
  try {
    return await make();
  } catch (error) {
    await staging.takeDown();
    await clearAway(context, id);
    throw error;
  }
}

/** Limits that are ours to write. Without them the container shall not start, so it is made anew. */
async function limit(context: RuntimeContext, request: CreateRequest, built: BuiltSpec): Promise<readonly string[]> {
  const { blkio, limits } = request.spec;
  if (blkio === undefined && limits.cpuRealtimeRuntime === undefined) return [];
  try {
    return await writeCgroupLimits(context.layout, built.spec.linux.cgroupsPath, request.spec);
  } catch (error) {
    await removeContainer(context, request.id).catch((failure: unknown) => context.log.warn('a container without its limits stays, not started', { container: request.id, error: failure }));
    throw error;
  }
}

/** Both are made at once. A record without a layer would be a container that is none. */
async function layerAndRecord<L, R>(context: RuntimeContext, id: string, making: readonly [L | Promise<L>, Promise<R>]): Promise<readonly [L, R]> {
  const [layer, written] = await Promise.allSettled(making);
  if (layer.status === 'fulfilled' && written.status === 'fulfilled') return [layer.value, written.value];
  const error: unknown = layer.status === 'rejected' ? layer.reason : written.status === 'rejected' ? written.reason : undefined;
  // What may have happened stays for the next try.
  if (!(error instanceof TsorchError && error.retryable)) await clearAway(context, id);
  throw error;
}

/** The writable layer. The label keeps it from the garbage collector until the record refers to it. */
async function prepare(context: RuntimeContext, id: string, request: CreateRequest): Promise<readonly Mount[]> {
  const { client, snapshotter } = context;
  const labels = { 'containerd.io/gc.root': new Date(context.clock.now()).toISOString() };
  try {
    const { mounts } = await withoutOrphans(() => client.call(SnapshotsService.prepare, { snapshotter, key: id, parent: request.image.chainId, labels }));
    failpoint('create.layer', request.id);
    return mounts;
  } catch (error) {
    if (isCode(error, 'conflict')) return (await client.call(SnapshotsService.mounts, { snapshotter, key: id })).mounts;
    if (isCode(error, 'not-found')) {
      throw new TsorchError('not-found', `image ${request.image.reference} is not unpacked on this host`, { cause: error, hint: 'pull or load it again' });
    }
    throw layersAreGone(error) ? await dropBrokenLayers(context, request.image, error) : error;
  }
}

/** Writes the record. One that is there already is replaced, unless its process exists: then that is the answer. */
async function record(context: RuntimeContext, id: string, request: CreateRequest, built: BuiltSpec, assets: Assets, runtime: { readonly name: string; readonly options: Any | undefined }): Promise<RuntimeContainer | null> {
  const { client, snapshotter } = context;
  const known = { id: request.id, podId: request.podId, labels: request.labels, cgroup: built.spec.linux.cgroupsPath, ...(Object.keys(assets).length === 0 ? {} : { assets }) };
  const container = {
    id,
    labels: { 'tsorch.pod': request.podId.slice(0, 200) },
    image: request.image.reference,
    runtime,
    spec: jsonAny('Spec', specJson(built.spec)),
    snapshotter,
    snapshotKey: id,
    extensions: encodeKnown(known),
  };
  context.known.set(id, { ...known, oom: false });
  try {
    await client.call(ContainersService.create, { container });
    return null;
  } catch (error) {
    if (!isCode(error, 'conflict')) throw error;
  }
  const task = await orNothing(client.call(TasksService.get, { containerId: id, execId: '' }));
  if (task?.process) return containerState(context, known, task.process);
  await orNothing(client.call(ContainersService.delete, { id }));
  await client.call(ContainersService.create, { container });
  return null;
}

function runcOptions(oci: OciRuntime, users: Users | null): Any | undefined {
  if (oci.binary === null) return undefined;
  const owner = users?.start ?? 0;
  return { typeUrl: 'containerd.runc.v1.Options', value: Buffer.from(RuncOptions.encode({ binaryName: oci.binary, root: '', systemdCgroup: false, ioUid: owner, ioGid: owner }).finish()) };
}
