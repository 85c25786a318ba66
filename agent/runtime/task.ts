/** The process of a container, made by its shim and the OCI runtime. */
import { mkdir } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { makeFifo } from '../../lib/linux/fifo.ts';
import { isCode, TsorchError } from '../../model/errors.ts';
import { type CreateTaskRequest, TasksService } from '../../proto/gen/containerd/tasks.ts';
import type { Any, Mount } from '../../proto/gen/containerd/types.ts';
import { bundleIn, removeStaleBundle } from './bundle.ts';
import { readCgroupLayout } from './cgroup.ts';
import { layoutNow, orNothing, type RuntimeContext } from './context.ts';
import { runtimeFailure } from './failure.ts';
import { dropBrokenLayers, layersAreGone } from './mend.ts';
import { claimControllers, holdControllers } from './oci-runtime.ts';
import type { CreateRequest } from './port.ts';
import { clearAway } from './remove.ts';

const createDeadlineMs = 120_000;
/** How long an earlier try of ours, cut off, may take to be rolled back by containerd. */
const rollbackMs = 15_000;
/** After it what is half made is not being made any more. */
const orphanMs = 1000;
/** After it nobody is taking back what is left. */
const staleMs = 3000;

/** Has the shim make the container's process, not started; its pid. Finds what an earlier try made. */
export async function createTask(context: RuntimeContext, id: string, request: CreateRequest, mounts: readonly Mount[], options: Any | undefined): Promise<number> {
  const { client, clock } = context;
  const { tty, stdinOpen } = request.spec;
  const task: CreateTaskRequest = {
    containerId: id,
    rootfs: [...mounts],
    stdin: stdinOpen ? await stdinFifo(context, id) : '',
    stdout: request.stdout,
    stderr: tty ? '' : request.stderr,
    terminal: tty,
    options,
  };
  const since = clock.monotonic();
  for (let claimed = false; ; ) {
    try {
      return (await client.call(TasksService.create, task, { deadlineMs: createDeadlineMs })).pid;
    } catch (error) {
      if (!claimed && isHybridRefusal(error)) {
        claimed = true;
        await reclaimControllers(context);
        continue;
      }
      const waited = clock.monotonic() - since;
      if (!isHalfMade(error) || waited > rollbackMs) {
        const failure = runtimeFailure(error, `container ${request.id}`);
        // What may have happened stays for the next try; what failed for good leaves nothing.
        if (!(failure instanceof TsorchError && failure.retryable)) await clearAway(context, id);
        throw layersAreGone(error) ? await dropBrokenLayers(context, request.image, failure) : failure;
      }
      const there = await orNothing(client.call(TasksService.get, { containerId: id, execId: '' }));
      if (there?.process) return there.process.pid;
      // A shim that never made its container, left by a containerd that died: nobody else takes it back.
      if (waited > orphanMs) await orNothing(client.call(TasksService.delete, { containerId: id }));
      const stale = bundleIn(error);
      if (stale !== null && waited > staleMs) await removeStaleBundle(context, id, stale);
      await clock.sleep(50);
    }
  }
}

/** An earlier try was cut off, and containerd is still making the task or taking it back. */
function isHalfMade(error: unknown): boolean {
  return isCode(error, 'conflict') || (error instanceof TsorchError && error.code === 'internal' && /mkdir .*: file exists/.test(error.message));
}

/** crun found a controller on cgroup v2: the kernel moves one there long after the last host of this machine let go of it. */
function isHybridRefusal(error: unknown): boolean {
  return error instanceof TsorchError && /hybrid mode not supported/.test(error.message);
}

async function reclaimControllers(context: RuntimeContext): Promise<void> {
  await claimControllers(await readCgroupLayout(), context.clock);
  await holdControllers(context.cgroupPrefix, context.clock);
  await layoutNow(context);
}

/** Nobody needs to write into it: as long as it is there, the container's input does not end. */
async function stdinFifo(context: RuntimeContext, id: string): Promise<string> {
  const path = stdinPath(context, id);
  await mkdir(dirname(path), { recursive: true, mode: 0o700 });
  makeFifo(path);
  return path;
}

export function stdinPath(context: RuntimeContext, containerId: string): string {
  return join(context.runDir, 'stdin', containerId);
}
