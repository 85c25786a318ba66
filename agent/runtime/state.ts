/** A task's state in our words. */
import { type Process, Status } from '../../proto/gen/containerd/tasks.ts';
import { type Known, milliseconds, type RuntimeContext } from './context.ts';
import type { RuntimeContainer } from './port.ts';

export function containerState(context: RuntimeContext, known: Omit<Known, 'oom'>, process: Process | undefined): RuntimeContainer {
  const { id, podId, labels } = known;
  // A record without a process: never created to the end, or its shim is gone.
  if (!process) return { id, podId, labels, state: 'unknown', pid: 0 };
  const { pid } = process;
  switch (process.status) {
    case Status.CREATED:
      return { id, podId, labels, state: known.startedUnseen ? 'running' : 'created', pid };
    case Status.RUNNING:
    case Status.PAUSED:
    case Status.PAUSING:
      return { id, podId, labels, state: 'running', pid };
    case Status.STOPPED:
      return { id, podId, labels, state: 'stopped', pid, exit: { code: process.exitStatus, at: milliseconds(process.exitedAt, context.clock.now()) } };
    default:
      return { id, podId, labels, state: 'unknown', pid };
  }
}
