/** `logs --previous` and `logs --attempt`: which earlier run of its containers is meant, in each slot. Pure. */
import { TsorchError } from '../../model/errors.ts';
import { keptAttempts } from '../../model/log-chunk.ts';
import type { Pod } from '../../model/pod.ts';
import type { Maps } from '../world.ts';
import { podStatusOf } from '../pods.ts';
import { containersOf, type Target } from './targets.ts';

export interface PastAttempt {
  readonly pod: Pod;
  readonly container: string;
  readonly attempt: number;
}

/**
 * Of every slot and container the last attempt that is over: in the same pod when the container was restarted, else in the pod that had
 * the slot before. What waits to be restarted has no attempt now, so its last one counts.
 */
export function previousAttempts(maps: Maps, target: Target): readonly PastAttempt[] {
  return ofEverySlot(maps, target, (pods, container) => lastOver(maps, pods, container) ?? []);
}

/**
 * Of every slot and container the attempt of this number, in the newest pod that came so far. `not-found` when there is none, or when what it
 * wrote is not kept any more; `of` is what was asked for.
 */
export function numberedAttempts(maps: Maps, target: Target, number: number, of: string): readonly PastAttempt[] {
  const attempts = ofEverySlot(maps, target, (pods, container) => begun(maps, pods, container));
  const found = attempts.filter(({ attempt }) => attempt >= number);
  if (found.length === 0) throw new TsorchError('not-found', `${of} has no attempt ${number}`, { hint: attempts.length === 0 ? 'none has begun' : `the last is ${Math.max(...attempts.map(({ attempt }) => attempt))}` });
  const kept = found.filter(({ attempt }) => attempt - number < keptAttempts);
  if (kept.length === 0) {
    const oldest = Math.min(...found.map(({ attempt }) => attempt)) - keptAttempts + 1;
    throw new TsorchError('not-found', `what attempt ${number} of ${of} wrote is not kept any more`, { hint: `of each container the last ${keptAttempts} are: from ${oldest} on` });
  }
  const newest = new Map<string, PastAttempt>();
  for (const each of kept) {
    const key = `${each.pod.service}.${each.pod.slot} ${each.container}`;
    if ((newest.get(key)?.pod.createdAt ?? -Infinity) < each.pod.createdAt) newest.set(key, { ...each, attempt: number });
  }
  return [...newest.values()];
}

/** `pick` has a slot's pods, the newest first, and one of their containers at a time. */
function ofEverySlot(maps: Maps, target: Target, pick: (newestFirst: readonly Pod[], container: string) => PastAttempt | readonly PastAttempt[]): readonly PastAttempt[] {
  const slots = Map.groupBy(target.pods, (pod) => `${pod.service}.${pod.slot}`);
  return [...slots.values()].flatMap((pods) => {
    const newestFirst = pods.toSorted((a, b) => b.createdAt - a.createdAt);
    const names = target.container === undefined ? new Set(newestFirst.flatMap((pod) => containersOf(maps, pod))) : [target.container];
    return [...names].flatMap((container) => pick(newestFirst, container));
  });
}

function lastOver(maps: Maps, newestFirst: readonly Pod[], container: string): PastAttempt | null {
  for (const pod of newestFirst) {
    const status = podStatusOf(maps, pod.id)?.containers.find(({ name }) => name === container);
    if (pod.node === null || status?.attempt === undefined) continue;
    const attempt = status.state === 'running' ? status.attempt - 1 : status.attempt;
    if (attempt > 0) return { pod, container, attempt };
  }
  return null;
}

/** The attempt that each pod has come to. */
function begun(maps: Maps, pods: readonly Pod[], container: string): readonly PastAttempt[] {
  return pods.flatMap((pod) => {
    const attempt = podStatusOf(maps, pod.id)?.containers.find(({ name }) => name === container)?.attempt ?? 0;
    return pod.node === null || attempt < 1 ? [] : [{ pod, container, attempt }];
  });
}
