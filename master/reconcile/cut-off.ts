/**
 * Pods that stop by themselves when no master hears of their host (`x-on-disconnect`). Nobody can ask such a host whether they have, but
 * after a certain time they must have. Until then nothing takes their place.
 */
import { overAfterMs } from '../../model/disconnect.ts';
import { isFinal, type Pod } from '../../model/pod.ts';
import type { ServiceInput } from './plan.ts';

export type CutOffInput = Pick<ServiceInput, 'statuses' | 'nodes' | 'revisions' | 'lostAt' | 'now'>;

/**
 * Until when a pod on a node that is down may still run; null when it has ended, or would run on for ever, so that nobody waits for its
 * end. A node that was removed from the cluster is gone, on the word of who removed it.
 */
export function mayRunUntil(pod: Pod, { statuses, nodes, revisions, lostAt, now = 0 }: Partial<CutOffInput>): number | null {
  if (pod.node === null || nodes?.get(pod.node)?.state !== 'down') return null;
  const status = statuses?.get(pod.id);
  if (status && isFinal(status.phase)) return null;
  const template = revisions?.get(pod.revision)?.template;
  const after = template && overAfterMs(template);
  const lost = lostAt?.(pod.node) ?? null;
  if (after === undefined || lost === null) return null;
  return lost + after > now ? lost + after : null;
}

/** Has the service looked at again when such pods have ended. Whether any of these may still run. */
export function awaitCutOff(pods: readonly Pod[], input: ServiceInput, draft: { wake(at: number): void }): boolean {
  const times = pods.flatMap((pod) => mayRunUntil(pod, input) ?? []);
  for (const time of times) draft.wake(time);
  return times.length > 0;
}
