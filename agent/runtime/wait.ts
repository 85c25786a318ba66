/** Waits for a process through restarts of containerd and deaths of shims. */
import { isCode, TsorchError } from '../../model/errors.ts';
import { Status, TasksService } from '../../proto/gen/containerd/tasks.ts';
import { milliseconds, orNothing, type RuntimeContext } from './context.ts';
import type { ExitStatus } from './port.ts';

/** What an exit counts as when nobody can tell any more: the shim died and took the process with it. */
const lostCode = 137;
const retryMs = 50;

/** `execId` is empty for the container's main process. Rejects with `aborted` when the signal fires. */
export async function waitForExit(context: RuntimeContext, containerId: string, execId: string, signal?: AbortSignal): Promise<ExitStatus> {
  const { client, clock } = context;
  for (;;) {
    try {
      const reply = await client.call(TasksService.wait, { containerId, execId }, { deadlineMs: null, ...(signal ? { signal } : {}) });
      return { code: reply.exitStatus, at: milliseconds(reply.exitedAt, clock.now()) };
    } catch (error) {
      if (isCode(error, 'aborted')) throw error;
      if (isCode(error, 'not-found')) return { code: lostCode, at: clock.now() };
    }
    // containerd restarts, or the connection to the shim broke: what the task says now decides.
    const status = await peek(context, containerId, execId);
    if (status) return status;
    await clock.sleep(retryMs, signal).catch(() => {
      throw new TsorchError('aborted', `waiting for ${containerId} was aborted`);
    });
  }
}

async function peek(context: RuntimeContext, containerId: string, execId: string): Promise<ExitStatus | null> {
  const { client, clock } = context;
  try {
    const reply = await orNothing(client.call(TasksService.get, { containerId, execId }, { deadlineMs: 5000 }));
    if (!reply?.process) return { code: lostCode, at: clock.now() };
    if (reply.process.status !== Status.STOPPED) return null;
    return { code: reply.process.exitStatus, at: milliseconds(reply.process.exitedAt, clock.now()) };
  } catch {
    return null;
  }
}
