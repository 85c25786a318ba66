/** Removes a container with all that belongs to it. Safe to repeat: the record goes last, and says that there is more to do. */
import { unlink } from 'node:fs/promises';
import { connect } from 'node:net';
import { dirname, join } from 'node:path';
import { isCode, TsorchError } from '../../model/errors.ts';
import { ContainersService } from '../../proto/gen/containerd/containers.ts';
import { SnapshotsService } from '../../proto/gen/containerd/snapshots.ts';
import { Status, TasksService } from '../../proto/gen/containerd/tasks.ts';
import { removeCgroup } from './cgroup.ts';
import { decodeKnown, orNothing, type RuntimeContext } from './context.ts';
import { containerdId, shimSocket } from './ids.ts';
import { SIGKILL } from './spec/signal.ts';

const killDeadlineMs = 30_000;

export async function removeContainer(context: RuntimeContext, id: string): Promise<void> {
  const containerId = containerdId(id);
  await removeTask(context, containerId);
  const known = context.known.get(containerId) ?? (await lookUp(context, containerId));
  if (known) {
    await removeCgroup(context.layout, known.cgroup, true);
    // Fails while other containers of the pod are there, as it should.
    await removeCgroup(context.layout, dirname(known.cgroup));
    await removeStaleSocket(shimSocket(context.client.socket, context.client.namespace, known.podId));
  }
  await removeRecords(context, containerId);
}

/** Writable layer and record, of a container without a process. */
export async function removeRecords(context: RuntimeContext, containerId: string): Promise<void> {
  const { client, snapshotter } = context;
  await unlink(join(context.runDir, 'stdin', containerId)).catch(() => {});
  await orNothing(client.call(SnapshotsService.remove, { snapshotter, key: containerId }));
  await orNothing(client.call(ContainersService.delete, { id: containerId }));
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
