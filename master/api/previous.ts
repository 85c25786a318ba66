/** `logs --previous`: which attempt came before the one that runs now, in each slot. Pure. */
import type { Pod } from '../../model/pod.ts';
import type { Maps } from '../world.ts';
import { podStatusOf } from '../pods.ts';
import { containersOf, type Target } from './targets.ts';

export interface PreviousAttempt {
  readonly pod: Pod;
  readonly container: string;
  readonly attempt: number;
}

/**
 * Of every slot and container the last attempt that is over: in the same pod when the container was restarted, else in the pod that had
 * the slot before. What waits to be restarted has no attempt now, so its last one counts.
 */
export function previousAttempts(maps: Maps, target: Target): readonly PreviousAttempt[] {
  const slots = Map.groupBy(target.pods, (pod) => `${pod.service}.${pod.slot}`);
  return [...slots.values()].flatMap((pods) => {
    const newestFirst = pods.toSorted((a, b) => b.createdAt - a.createdAt);
    const names = target.container === undefined ? new Set(newestFirst.flatMap((pod) => containersOf(maps, pod))) : [target.container];
    return [...names].flatMap((container) => lastOver(maps, newestFirst, container) ?? []);
  });
}

function lastOver(maps: Maps, newestFirst: readonly Pod[], container: string): PreviousAttempt | null {
  for (const pod of newestFirst) {
    const status = podStatusOf(maps, pod.id)?.containers.find(({ name }) => name === container);
    if (pod.node === null || status?.attempt === undefined) continue;
    const attempt = status.state === 'running' ? status.attempt - 1 : status.attempt;
    if (attempt > 0) return { pod, container, attempt };
  }
  return null;
}
