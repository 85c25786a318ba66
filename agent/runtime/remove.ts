/** Removes a container with all that belongs to it. Safe to repeat: the record goes last, and says that there is more to do. */
import { mkdir, unlink } from 'node:fs/promises';
import { connect } from 'node:net';
import { basename, dirname, join } from 'node:path';
import { failpoint } from '../../lib/failpoint.ts';
import { isCode, TsorchError } from '../../model/errors.ts';
import { ContainersService } from '../../proto/gen/containerd/containers.ts';
import { SnapshotsService } from '../../proto/gen/containerd/snapshots.ts';
import { Status, TasksService } from '../../proto/gen/containerd/tasks.ts';
import { removeAssets } from './assets.ts';
import { cgroupProcesses, removeCgroup } from './cgroup.ts';
import { type Known, knownContainer, layoutNow, orNothing, type RuntimeContext } from './context.ts';
import { containerdId, shimSocket } from './ids.ts';
import { signalProcess } from './proc.ts';
import { SIGKILL } from './spec/signal.ts';
import { endStuckShim } from './stuck.ts';

const killDeadlineMs = 30_000;
const membersDeadlineMs = 10_000;

export async function removeContainer(context: RuntimeContext, id: string): Promise<void> {
  const containerId = containerdId(id);
  await removeTask(context, containerId);
  failpoint('remove.task', id);
  const known = await knownContainer(context, id);
  if (known) await endMembers(context, known);
  if (known?.assets) await removeAssets(context, containerId, known.assets);
  await Promise.all([known && removeTraces(context, known), removeLayer(context, containerId)]);
  failpoint('remove.layer', id);
  await removeRecord(context, containerId);
  failpoint('remove.record', id);
}

/** After a failure, which is what is to be told: what cannot be removed now is with the next try, or with the pod's end. */
export async function clearAway(context: RuntimeContext, containerId: string): Promise<void> {
  await removeRecords(context, containerId).catch((error: unknown) => context.log.warn('what was made of a container stays for now', { container: containerId, error }));
}

/** Writable layer, assets and record, of a container without a process. */
async function removeRecords(context: RuntimeContext, containerId: string): Promise<void> {
  const assets = context.known.get(containerId)?.assets;
  if (assets) await removeAssets(context, containerId, assets);
  await removeLayer(context, containerId);
  await removeRecord(context, containerId);
}

/**
 * The task is gone with its shim at once, and only then does containerd have its processes killed: nothing may take the container's place,
 * or its files, before they are dead.
 */
async function endMembers(context: RuntimeContext, { id, cgroup }: Known): Promise<void> {
  const until = context.clock.monotonic() + membersDeadlineMs;
  for (;;) {
    const pids = await cgroupProcesses(await layoutNow(context), cgroup);
    if (pids.length === 0) return;
    if (context.clock.monotonic() > until) throw new TsorchError('timeout', `processes ${pids.join(', ')} of container ${id} do not end even when killed`);
    for (const pid of pids) signalProcess(pid, 'SIGKILL');
    await context.clock.sleep(20);
  }
}

async function removeTraces(context: RuntimeContext, known: Known): Promise<void> {
  const { client, cgroupPrefix } = context;
  const layout = await layoutNow(context);
  const pod = dirname(known.cgroup);
  // The OCI runtime has removed the container's own by now, as a rule. The pod's stays while other containers of it are there.
  let gone = await removeCgroup(layout, pod);
  if (!gone) {
    await removeCgroup(layout, known.cgroup, true);
    gone = await removeCgroup(layout, pod);
  }
  // What `cgroup_parent` put in between goes with its last pod.
  for (let parent = dirname(pod); gone && parent.length > cgroupPrefix.length + 1; parent = dirname(parent)) gone = await removeCgroup(layout, parent);
  await removeStaleSocket(shimSocket(client.socket, client.namespace, known.podId));
}

async function removeLayer(context: RuntimeContext, containerId: string): Promise<void> {
  const { client, snapshotter } = context;
  await unlink(join(context.runDir, 'stdin', containerId)).catch(() => {});
  await orNothing(client.call(SnapshotsService.remove, { snapshotter, key: containerId }));
}

async function removeRecord(context: RuntimeContext, containerId: string): Promise<void> {
  await orNothing(context.client.call(ContainersService.delete, { id: containerId }));
  context.known.delete(containerId);
  context.stuck.delete(containerId);
}

async function removeTask(context: RuntimeContext, containerId: string): Promise<void> {
  const { client, clock } = context;
  for (let attempt = 1; ; attempt++) {
    try {
      // Most have ended by now, and a kill would start the OCI runtime for nothing.
      if (!(await hasEnded(context, containerId))) await killAndWait(context, containerId);
      await client.call(TasksService.delete, { containerId }, { deadlineMs: 60_000 });
      return;
    } catch (error) {
      if (isCode(error, 'not-found')) return;
      const forgotten = deletedBefore(error, containerId);
      if (forgotten !== null) await mkdir(forgotten, { recursive: true });
      // A shim that died just now: containerd is still cleaning up after it.
      if (attempt < 20 && (await endStuckShim(context, containerId, error))) continue;
      if (attempt === 20 || (error instanceof TsorchError && error.code === 'timeout')) throw error;
      await clock.sleep(100);
    }
  }
}

/**
 * The directory of the OCI runtime's own state, where crun has deleted the container already and its shim did not live to hear of it, or
 * was told by a containerd that did not. containerd takes runc's words for that case as success, crun's it does not know, and would fail
 * for ever; an empty directory in that place crun deletes without a complaint.
 */
function deletedBefore(error: unknown, containerId: string): string | null {
  const path = error instanceof TsorchError ? /cannot open directory '(\/[^']+)': No such file or directory/.exec(error.message)?.[1] : undefined;
  return path !== undefined && basename(path) === containerId ? path : null;
}

async function hasEnded({ client }: RuntimeContext, containerId: string): Promise<boolean> {
  const { process } = await client.call(TasksService.get, { containerId, execId: '' });
  return process?.status === Status.STOPPED;
}

async function killAndWait(context: RuntimeContext, containerId: string): Promise<void> {
  const { client, patienceMs } = context;
  const killed = await orNothing(client.call(TasksService.kill, { containerId, execId: '', signal: SIGKILL, all: false }, { deadlineMs: patienceMs }).then(() => true));
  if (killed) await orNothing(client.call(TasksService.wait, { containerId, execId: '' }, { deadlineMs: killDeadlineMs }));
}

/** A shim that was killed leaves its socket, where nobody answers any more. */
export async function removeStaleSocket(path: string): Promise<void> {
  const refused = await new Promise<boolean>((resolve) => {
    const socket = connect(path);
    const finish = (stale: boolean) => {
      socket.destroy();
      resolve(stale);
    };
    socket.once('connect', () => finish(false));
    socket.once('error', (error: NodeJS.ErrnoException) => finish(error.code === 'ECONNREFUSED'));
  });
  if (refused) await unlink(path).catch(() => {});
}
