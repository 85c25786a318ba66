/** Pods that stop by themselves when their host is cut off: what master and agent agree on, without a word between them. */
import type { PodTemplate } from './spec.ts';

/** Below it a master that is started again, or one lost packet, would stop pods. */
export const leastStopAfterMs = 5000;
export const defaultStopAfterMs = 30_000;

/**
 * What is left of the grace for a container's signal at least, as Kubernetes has it, when hooks or others have used it up; less if the grace
 * is shorter. At worst they end one after the other.
 */
export const leastGraceMs = 2000;

/** For what is slow on a busy host: noticing that the time is up, and a kill. */
const slackMs = 3000;

/**
 * How long after its host was last heard of nothing of the pod runs any more; undefined for one that runs on. The agent counts from a
 * moment that is no later: when it sent the last heartbeat that a master answered.
 */
export function overAfterMs({ onDisconnect, stopGraceMs, containers, initContainers = [] }: Pick<PodTemplate, 'onDisconnect' | 'stopGraceMs' | 'containers' | 'initContainers'>): number | undefined {
  if (!onDisconnect) return undefined;
  return onDisconnect.stopAfterMs + stopGraceMs + (containers.length + initContainers.length) * Math.min(leastGraceMs, stopGraceMs) + slackMs;
}
