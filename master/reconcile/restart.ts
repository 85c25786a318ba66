/**
 * Whether a slot whose pod has ended gets another. Agents restart containers in place, so an end is the agent's last word: with
 * a limit on attempts it means that they are used up, and another pod would only begin to count anew.
 */
import type { RestartPolicy } from '../../model/spec.ts';
import type { ServiceInput } from './plan.ts';
import { isCurrent, type Slot } from './slots.ts';

export type Verdict =
  /** Another pod, as soon as may be. */
  | { readonly kind: 'create' }
  /** Another pod, but not before. */
  | { readonly kind: 'wait'; readonly until: number }
  /** The slot has done its work, or has failed for good. */
  | { readonly kind: 'settled'; readonly succeeded: boolean };

const create: Verdict = { kind: 'create' };
const longestDelayMs = 60_000;

/** `job`: success is all that is wanted of a pod, whatever the restart policy says. */
export function verdictOn(slot: Slot, input: ServiceInput, job: boolean): Verdict {
  const { restart } = input.service.spec.template;
  const [lost] = slot.lost;
  // Its node may come back with it; one that was removed from the cluster will not.
  if (lost?.node !== undefined && lost.node !== null && input.service.spec.placement.reschedule === 'off' && input.nodes.has(lost.node)) return { kind: 'settled', succeeded: false };
  if (lost && isCurrent(lost, input)) return restart.condition === 'none' && hasStarted(lost.id, input) ? { kind: 'settled', succeeded: false } : create;
  const [last] = slot.ended;
  if (!last || !isCurrent(last, input)) return create;
  const phase = input.statuses.get(last.id)?.phase;
  if (phase === 'lost') return restart.condition === 'none' ? { kind: 'settled', succeeded: false } : create;
  const succeeded = phase === 'succeeded';
  if (succeeded && (job || restart.condition === 'none' || restart.condition === 'on-failure')) return { kind: 'settled', succeeded: true };
  if (restart.condition === 'none' || restart.maxAttempts > 0) return { kind: 'settled', succeeded };
  const until = (input.times(last.id)?.endedAt ?? input.now) + delayAfter(slot.ended.filter((pod) => isCurrent(pod, input)).length, restart);
  return until > input.now ? { kind: 'wait', until } : create;
}

/** Grows fast, since a slot remembers a few attempts only. */
function delayAfter(attempts: number, restart: RestartPolicy): number {
  return Math.min(longestDelayMs, Math.max(restart.delayMs, 100) * 4 ** (attempts - 1));
}

/** A pod that never ran may be tried elsewhere, even if its work must not be done twice. */
function hasStarted(pod: string, input: ServiceInput): boolean {
  const phase = input.statuses.get(pod)?.phase;
  return phase === 'starting' || phase === 'running' || phase === 'stopping';
}
