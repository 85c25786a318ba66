/** Removes a container with all that belongs to it. Safe to repeat: the record goes last, and says that there is more to do. */
import { unlink } from 'node:fs/promises';
import { connect } from 'node:net';
import { dirname, join } from 'node:path';
import { isCode, TsorchError } from '../../model/errors.ts';
import { ContainersService } from '../../proto/gen/containerd/containers.ts';
import { SnapshotsService } from '../../proto/gen/containerd/snapshots.ts';
import { Status, TasksService } from '../../proto/gen/containerd/tasks.ts';
import { removeCgroup } from './cgroup.ts';
import { decodeKnown, type Known, orNothing, type RuntimeContext } from './context.ts';
import { containerdId, shimSocket } from './ids.ts';
import { SIGKILL } from './spec/signal.ts';

const killDeadlineMs = 30_000;

export async function removeContainer(context: RuntimeContext, id: string): Promise<void> {
  const containerId = containerdId(id);
  await removeTask(context, containerId);
  const known = context.known.get(containerId) ?? (await lookUp(context, containerId));
  await Promise.all([known && removeTraces(context, known), removeLayer(context, containerId)]);
  await removeRecord(context, containerId);
}

/** Writable layer and record, of a container without a process. */
export async function removeRecords(context: RuntimeContext, containerId: string): Promise<void> {
  await removeLayer(context, containerId);
  await removeRecord(context, containerId);
}

async function removeTraces(context: RuntimeContext, known: Known): Promise<void> {
  const { layout, client } = context;
  const pod = dirname(known.cgroup);
  // The OCI runtime has removed the container's own by now, as a rule. The pod's stays while other containers of it are there.
  if (!(await removeCgroup(layout, pod))) {
    await removeCgroup(layout, known.cgroup, true);
    await removeCgroup(layout, pod);
  }
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
      // A shim that died just now: containerd is still cleaning up after it.
      if (attempt === 20 || (error instanceof TsorchError && error.code === 'timeout')) throw error;
      await clock.sleep(100);
    }
  }
}

async function hasEnded({ client }: RuntimeContext, containerId: string): Promise<boolean> {
  const { process } = await client.call(TasksService.get, { containerId, execId: '' });
  return process?.status === Status.STOPPED;
}

async function killAndWait(context: RuntimeContext, containerId: string): Promise<void> {
  const { client } = context;
  const killed = await orNothing(client.call(TasksService.kill, { containerId, execId: '', signal: SIGKILL, all: false }).then(() => true));
  if (killed) await orNothing(client.call(TasksService.wait, { containerId, execId: '' }, { deadlineMs: killDeadlineMs }));
}

async function lookUp(context: RuntimeContext, containerId: string) {
  const reply = await orNothing(context.client.call(ContainersService.get, { id: containerId }));
  return reply?.container ? decodeKnown(context, reply.container) : null;
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
