/** When an ended container gets another attempt, and how long that waits. */
import type { RestartPolicy } from '../../../model/spec.ts';
import { type AttemptEnd, type ContainerLocal, keptAttempts } from './types.ts';

const longestDelayMs = 60_000;
/** Up to here a delay is there to tame a loop of crashes, not to wait for something: the first restart does without. */
const tamingMs = 100;

/** The delay before the attempt that follows `failures` short runs in a row: `delayMs`, doubled each time, at most a minute. */
export function restartDelay(policy: RestartPolicy, failures: number): number {
  const doublings = policy.delayMs > tamingMs ? failures - 1 : failures - 2;
  if (failures <= 0 || doublings < 0) return 0;
  // 2^30 × 1 ms is past any cap; a larger exponent would only leave the safe integers.
  return Math.min(policy.delayMs * 2 ** Math.min(doublings, 30), Math.max(policy.delayMs, longestDelayMs));
}

/** What is left of the delay, milliseconds: it counts from the end of the attempt, also for an agent that came later. */
export function delayLeft(policy: RestartPolicy, container: ContainerLocal, wall: number): number {
  const delay = restartDelay(policy, container.failures);
  const since = wall - (container.ended.at(-1)?.endedAt ?? wall);
  // The wall clock may have been set: never longer than the whole delay, and of a time to come nothing is known.
  return since < 0 ? delay : Math.max(0, delay - since);
}

/** How an attempt ended. */
export interface Ending extends Omit<AttemptEnd, 'attempt' | 'startedAt' | 'rebooted'> {
  /** How long it ran, milliseconds. */
  readonly ranMs: number;
  /** The host went down, not the container: no failure of it, and no reason to wait. */
  readonly rebooted: boolean;
}

/** The container after its attempt ended. `mayRestart` is false in a pod that stops or drains. */
export function afterEnd(container: ContainerLocal, policy: RestartPolicy, ending: Ending, mayRestart: boolean): ContainerLocal {
  const { ranMs, rebooted, ...rest } = ending;
  const end: AttemptEnd = { ...rest, attempt: container.attempt, startedAt: container.startedAt, ...(rebooted ? { rebooted } : {}) };
  const failures = ranMs >= policy.windowMs || rebooted ? 0 : container.failures;
  const base = { ...withoutRun(container), ended: [...container.ended, end].slice(-keptAttempts) };
  const granted = grantedWithin(container, policy, ending.endedAt);
  if (!mayRestart || !wantsRestart(policy, ending, granted?.length ?? failures)) return { ...base, state: 'done', failures };
  const counted = granted && !rebooted ? { granted: [...granted, ending.endedAt] } : {};
  return { ...base, ...counted, state: 'waiting', failures: rebooted ? failures : failures + 1 };
}

/** The container without what is known of the attempt that was live. */
export function withoutRun(container: ContainerLocal): ContainerLocal {
  const { hooksDone: _hooks, startupPassed: _startup, probedReady: _ready, condemned: _condemned, ...rest } = container;
  return { ...rest, health: null, started: false, startedAt: null };
}

/** Restarts that count against the limit; undefined when it counts those in a row. */
function grantedWithin(container: ContainerLocal, policy: RestartPolicy, endedAt: number): readonly number[] | undefined {
  const within = policy.attemptsWithinMs;
  if (within === undefined || policy.maxAttempts === 0) return undefined;
  return (container.granted ?? []).filter((at) => endedAt - at < within).slice(-policy.maxAttempts);
}

function wantsRestart(policy: RestartPolicy, ending: Ending, restarts: number): boolean {
  const room = policy.maxAttempts === 0 || restarts < policy.maxAttempts || ending.rebooted;
  switch (policy.condition) {
    case 'none':
      return false;
    case 'on-failure':
      return (ending.failed || ending.rebooted) && room;
    case 'any':
    case 'unless-stopped':
      return room;
  }
}
