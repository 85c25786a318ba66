/** Makes a container: writable layer, record, process that waits to be started. Every step finds what an earlier try left. */
import { mkdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { makeFifo } from '../../lib/linux/fifo.ts';
import { isCode, TsorchError } from '../../model/errors.ts';
import { ContainersService } from '../../proto/gen/containerd/containers.ts';
import { Options as RuncOptions } from '../../proto/gen/containerd/runc.ts';
import { SnapshotsService } from '../../proto/gen/containerd/snapshots.ts';
import { type CreateTaskRequest, TasksService } from '../../proto/gen/containerd/tasks.ts';
import type { Any, Mount } from '../../proto/gen/containerd/types.ts';
import { jsonAny } from './client.ts';
import { encodeKnown, orNothing, type RuntimeContext } from './context.ts';
import { resolveDevices } from './devices.ts';
import { runtimeFailure } from './failure.ts';
import { containerdId, pathSegment } from './ids.ts';
import { layerDirectories, readAccountFiles } from './image-files.ts';
import { namedRuntime, type OciRuntime } from './oci-runtime.ts';
import type { CreateRequest, RuntimeContainer } from './port.ts';
import { removeRecords } from './remove.ts';
import { type BuiltSpec, buildSpec } from './spec/build.ts';
import { specJson } from './spec/oci.ts';
import { parseSecurityOptions } from './spec/security.ts';
import { type AccountFiles, resolveAccount } from './spec/user.ts';
import { containerState } from './state.ts';
import { withoutOrphans } from './snapshots.ts';

const createDeadlineMs = 120_000;
/** How long an earlier try of ours, cut off, may take to be rolled back by containerd. */
const rollbackMs = 15_000;
/** After it what is half made is not being made any more. */
const orphanMs = 1000;

/** Account files by chain id: the same image is started many times. */
export type AccountCache = Map<string, AccountFiles>;

export async function createContainer(context: RuntimeContext, accounts: AccountCache, request: CreateRequest): Promise<RuntimeContainer> {
  const id = containerdId(request.id);
  const oci = request.spec.runtime === undefined ? context.oci : await namedRuntime(request.spec.runtime);
  // Unknown before the first container of an image: only the snapshot tells where the layers are.
  const first = accounts.has(request.image.chainId) ? null : await prepare(context, id, request);
  let built: BuiltSpec;
  try {
    built = await build(context, await accountFiles(accounts, request.image.chainId, first), request);
  } catch (error) {
    await removeRecords(context, id);
    throw error;
  }
  for (const warning of built.warnings) context.log.warn(warning, { container: request.id });
  const [mounts, existing] = await Promise.all([first ?? prepare(context, id, request), record(context, id, request, built, oci)]);
  if (existing) return existing;
  const pid = await createTask(context, id, request, mounts, oci);
  return { id: request.id, podId: request.podId, labels: request.labels, state: 'created', pid, ...(built.warnings.length > 0 ? { warnings: built.warnings } : {}) };
}

async function accountFiles(accounts: AccountCache, chainId: string, mounts: readonly Mount[] | null): Promise<AccountFiles> {
  const cached = accounts.get(chainId);
  if (cached) return cached;
  const files = await readAccountFiles(layerDirectories(mounts ?? []));
  if (accounts.size >= 256) accounts.clear();
  accounts.set(chainId, files);
  return files;
}

async function build(context: RuntimeContext, files: AccountFiles, request: CreateRequest): Promise<BuiltSpec> {
  const { spec, image } = request;
  const [devices, seccompProfile] = await Promise.all([resolveDevices(spec), readProfile(parseSecurityOptions(spec.securityOpt).seccomp)]);
  return buildSpec({
    request,
    host: context.host,
    account: resolveAccount(spec.user ?? image.config.user, spec.groupAdd, files),
    devices,
    seccompProfile,
    cgroupsPath: cgroupPath(context, request),
  });
}

function cgroupPath(context: RuntimeContext, request: CreateRequest): string {
  return `/${context.cgroupPrefix}/${pathSegment(request.podId)}/${pathSegment(request.id)}`;
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

/** The writable layer. The label keeps it from the garbage collector until the record refers to it. */
async function prepare(context: RuntimeContext, id: string, request: CreateRequest): Promise<readonly Mount[]> {
  const { client, snapshotter } = context;
  const labels = { 'containerd.io/gc.root': new Date(context.clock.now()).toISOString() };
  try {
    return (await withoutOrphans(() => client.call(SnapshotsService.prepare, { snapshotter, key: id, parent: request.image.chainId, labels }))).mounts;
  } catch (error) {
    if (isCode(error, 'conflict')) return (await client.call(SnapshotsService.mounts, { snapshotter, key: id })).mounts;
    if (isCode(error, 'not-found')) {
      throw new TsorchError('not-found', `image ${request.image.reference} is not unpacked on this host`, { cause: error, hint: 'pull or load it again' });
    }
    throw error;
  }
}

/** Writes the record. One that is there already is replaced, unless its process exists: then that is the answer. */
async function record(context: RuntimeContext, id: string, request: CreateRequest, built: BuiltSpec, oci: OciRuntime): Promise<RuntimeContainer | null> {
  const { client, snapshotter } = context;
  const known = { id: request.id, podId: request.podId, labels: request.labels, cgroup: built.spec.linux.cgroupsPath };
  const container = {
    id,
    labels: { 'tsorch.pod': request.podId.slice(0, 200) },
    image: request.image.reference,
    runtime: { name: oci.shim, options: runcOptions(oci) },
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

function runcOptions(oci: OciRuntime): Any | undefined {
  if (oci.binary === null) return undefined;
  return { typeUrl: 'containerd.runc.v1.Options', value: Buffer.from(RuncOptions.encode({ binaryName: oci.binary, root: '', systemdCgroup: false }).finish()) };
}

async function createTask(context: RuntimeContext, id: string, request: CreateRequest, mounts: readonly Mount[], oci: OciRuntime): Promise<number> {
  const { client, clock } = context;
  const { tty, stdinOpen } = request.spec;
  const task: CreateTaskRequest = {
    containerId: id,
    rootfs: [...mounts],
    stdin: stdinOpen ? await stdinFifo(context, id) : '',
    stdout: request.stdout,
    stderr: tty ? '' : request.stderr,
    terminal: tty,
    options: runcOptions(oci),
  };
  const since = clock.monotonic();
  for (;;) {
    try {
      return (await client.call(TasksService.create, task, { deadlineMs: createDeadlineMs })).pid;
    } catch (error) {
      const waited = clock.monotonic() - since;
      if (!isHalfMade(error) || waited > rollbackMs) {
        const failure = runtimeFailure(error, `container ${request.id}`);
        // What may have happened stays for the next try; what failed for good leaves nothing.
        if (!(failure instanceof TsorchError && failure.retryable)) await removeRecords(context, id);
        throw failure;
      }
      const there = await orNothing(client.call(TasksService.get, { containerId: id, execId: '' }));
      if (there?.process) return there.process.pid;
      // A shim that never made its container, left by a containerd that died: nobody else takes it back.
      if (waited > orphanMs) await orNothing(client.call(TasksService.delete, { containerId: id }));
      await clock.sleep(50);
    }
  }
}

/** An earlier try was cut off, and containerd is still making the task or taking it back. */
function isHalfMade(error: unknown): boolean {
  return isCode(error, 'conflict') || (error instanceof TsorchError && error.code === 'internal' && /mkdir .*: file exists/.test(error.message));
}

/** Nobody needs to write into it: as long as it is there, the container's input does not end. */
async function stdinFifo(context: RuntimeContext, id: string): Promise<string> {
  const directory = join(context.runDir, 'stdin');
  await mkdir(directory, { recursive: true, mode: 0o700 });
  const path = join(directory, id);
  makeFifo(path);
  return path;
}
