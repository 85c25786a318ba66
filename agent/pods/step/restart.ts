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

/** How an attempt ended. */
export interface Ending extends Omit<AttemptEnd, 'attempt' | 'startedAt'> {
  /** How long it ran, milliseconds. */
  readonly ranMs: number;
  /** The host went down, not the container: no failure of it, and no reason to wait. */
  readonly rebooted: boolean;
}

/** The container after its attempt ended. `mayRestart` is false in a pod that stops or drains. */
export function afterEnd(container: ContainerLocal, policy: RestartPolicy, ending: Ending, mayRestart: boolean): ContainerLocal {
  const { ranMs, rebooted, ...rest } = ending;
  const ended = [...container.ended, { ...rest, attempt: container.attempt, startedAt: container.startedAt }].slice(-keptAttempts);
  const failures = ranMs >= policy.windowMs || rebooted ? 0 : container.failures;
  const base = { ...container, ended, health: null, started: false, startedAt: null };
  if (!mayRestart || !wantsRestart(policy, ending, failures)) return { ...base, state: 'done', failures };
  return { ...base, state: 'waiting', failures: rebooted ? failures : failures + 1 };
}

function wantsRestart(policy: RestartPolicy, ending: Ending, failures: number): boolean {
  const room = policy.maxAttempts === 0 || failures < policy.maxAttempts || ending.rebooted;
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
