/** Why a pod stops, how its containers are ended, and what is left to clear afterwards. */
import type { Action, ContainerLocal, Observed, Plan, StepInput, Stop, Timers } from './types.ts';

/** How long a killed container may take to be reported dead before it is killed again. */
const killAgainMs = 5000;

/** The pod's stop, once there is a reason for one. The first reason stays. */
export function stopOf(input: StepInput, plan: Plan, containers: Readonly<Record<string, ContainerLocal>>): Stop | null {
  if (input.local.stop) return input.local.stop;
  const all = plan.containers.map(({ name }) => containers[name]);
  const last = (c: ContainerLocal | undefined) => c?.ended.at(-1);
  const failed = all.find((c) => c?.state === 'done' && last(c)?.failed);
  const over = all.every((c) => c?.state === 'done');
  const pod = input.assignment?.pod;
  const asked = input.removed || pod?.desired === 'stopped';
  // What ended by itself before it was asked to has its own result.
  if (failed) return { cause: 'ended', failed: true, message: last(failed)?.message ?? 'failed' };
  if (over) return { cause: 'ended', failed: false, message: all.map((c) => last(c)?.message).find(Boolean) ?? 'done' };
  if (asked) return { cause: 'asked', failed: false, message: pod?.reason ? `stopped: ${pod.reason}` : input.removed ? 'removed' : 'stopped' };
  return null;
}

/**
 * Whether a stopped pod has succeeded. One that was asked to stop has done all it was for when its policy would have run it
 * for ever; one that is meant to end by itself (a job) has only when every container exited with 0.
 */
export function hasFailed(stop: Stop, plan: Plan, containers: Readonly<Record<string, ContainerLocal>>): boolean {
  if (stop.cause === 'ended') return stop.failed;
  if (plan.restart.condition === 'any' || plan.restart.condition === 'unless-stopped') return false;
  return !plan.containers.every(({ name }) => containers[name]?.ended.at(-1)?.exitCode === 0);
}

export interface Ended {
  readonly actions: readonly Action[];
  readonly timers: Timers;
  readonly wakeIn: number | undefined;
}

/** One round of ending a container: signal, grace, kill, kill again, remove. */
export function endContainer(found: Observed, signal: string, graceMs: number, timers: Timers, now: number): Ended {
  const running = found.state === 'running' || (found.state === 'unknown' && found.pid > 0);
  if (!running) return { actions: [{ kind: 'remove', id: found.id }], timers, wakeIn: undefined };
  const sent = timers.signals[found.id];
  const note = (at: number, killedAt: number | null): Timers => ({ ...timers, signals: { ...timers.signals, [found.id]: { at, killedAt } } });
  if (!sent) {
    // No grace means no warning either.
    if (graceMs <= 0) return { actions: [{ kind: 'signal', id: found.id, signal: 'SIGKILL' }], timers: note(now, now), wakeIn: killAgainMs };
    return { actions: [{ kind: 'signal', id: found.id, signal }], timers: note(now, null), wakeIn: graceMs };
  }
  const due = sent.killedAt === null ? sent.at + graceMs : sent.killedAt + killAgainMs;
  if (now < due) return { actions: [], timers, wakeIn: due - now };
  return { actions: [{ kind: 'signal', id: found.id, signal: 'SIGKILL' }], timers: note(sent.at, now), wakeIn: killAgainMs };
}

/** The signal that asks a container to end: the spec's, else the image's, else SIGTERM. */
export function stopSignalOf(plan: Plan, containers: Readonly<Record<string, ContainerLocal>>, name: string): string {
  return plan.containers.find((c) => c.name === name)?.stopSignal ?? containers[name]?.image?.stopSignal ?? 'SIGTERM';
}
