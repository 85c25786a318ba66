/**
 * Replacing pods that run but should not as they are: of another revision, or on a node they may not stay on. At most
 * `parallelism` slots at a time are without a ready pod on account of it, so a service is never taken down by its own update
 * or by a node being drained.
 */
import type { Pod } from '../../model/pod.ts';
import type { UpdateConfig } from '../../model/spec.ts';
import { volumesByKind } from '../../model/volumes.ts';
import type { Draft } from './draft.ts';
import { reasons, type ServiceInput } from './plan.ts';
import { compareSlots, isCurrent, isReady, misplaced, newestFirst, type Slot } from './slots.ts';

/** Settings in force: those of the rollback while one is under way. */
export function configOf(input: ServiceInput): UpdateConfig {
  return input.update.state === 'rolling-back' ? input.service.spec.rollback : input.service.spec.update;
}

/** Whether what it is to be restarted after is not well yet. */
export function isHeld(input: ServiceInput): boolean {
  return input.waitsFor !== undefined && input.waitsFor.length > 0;
}

/** Two pods of a slot cannot share a host's port, and shall not share the slot's own data: there the old one must go first. */
export function startsFirst(input: ServiceInput): boolean {
  return configOf(input).order === 'start-first' && !input.service.spec.ports.some((port) => port.mode === 'host') && !keepsData(input);
}

/** Slots have volumes of their own. */
export function keepsData(input: ServiceInput): boolean {
  return volumesByKind(input.service.spec.template).perReplica.length > 0;
}

/** Whether the pod is what the slot should have. While an update is paused, pods of the revision before count as such. */
export function isGood(pod: Pod, input: ServiceInput): boolean {
  return (isCurrent(pod, input) || input.update.state === 'paused') && misplaced(pod, input) === null;
}

/** Leaves at most one good and one bad pod in the slot, and beside a good one no bad one that could do nothing for it. */
export function resolveSurge(slot: Slot, input: ServiceInput, draft: Draft): { readonly good: Pod | undefined; readonly bad: Pod | undefined } {
  const best = (pods: readonly Pod[]): Pod | undefined => {
    const [first, ...others] = pods.toSorted((a, b) => Number(isReady(b, input)) - Number(isReady(a, input)) || newestFirst(b, a));
    for (const pod of others) draft.end(pod, reasons.duplicate);
    return first;
  };
  const good = best(slot.live.filter((pod) => isGood(pod, input)));
  const bad = best(slot.live.filter((pod) => !isGood(pod, input)));
  if (good && bad && (isReady(good, input) || bad.node === null)) {
    draft.end(bad, whyBad(bad, input));
    return { good, bad: undefined };
  }
  return { good, bad };
}

export interface Candidate {
  readonly slot: number | string;
  readonly pod: Pod;
}

/** Slots that could not lose a pod now, because they are between two pods. */
export interface Busy {
  /** Without a ready pod, for whatever reason, or just ready and within the delay. */
  readonly slots: number;
  /** Of these, those that are on their way: not the ones that had their chance and failed. */
  readonly starting: number;
}

/**
 * Begins as many replacements as the settings leave room for. An update waits for every slot that is not ready: it may be what
 * broke it. Moving pods off a node waits only for those on their way, or one pod that crashes for ever would keep a node
 * from being drained. A pod that serves nobody is moved at once.
 */
export function replaceSome(candidates: readonly Candidate[], busy: Busy, input: ServiceInput, draft: Draft): void {
  const { parallelism } = configOf(input);
  const limit = parallelism === 0 ? Infinity : parallelism;
  const order = candidates.toSorted((a, b) => rank(a.pod, input) - rank(b.pod, input) || compareSlots(a.slot, b.slot));
  let begun = 0;
  for (const candidate of order.filter(({ pod }) => misplaced(pod, input) !== null)) {
    const idle = !isReady(candidate.pod, input);
    if (!idle && busy.starting + begun >= limit) continue;
    replace(candidate, input, draft);
    begun++;
  }
  if (isHeld(input)) return;
  for (const candidate of order.filter(({ pod }) => misplaced(pod, input) === null)) {
    if (busy.slots + begun >= limit) break;
    replace(candidate, input, draft);
    begun++;
  }
}

function replace({ slot, pod }: Candidate, input: ServiceInput, draft: Draft): void {
  const first = startsFirst(input) && pod.node !== null;
  if (!first) draft.end(pod, whyBad(pod, input));
  // A pod that was nowhere leaves nothing to wait for.
  if (first || pod.node === null) draft.create(slot, revisionAfter(pod, input));
}

/** Pods that serve nobody first; those without a node last, since their successors may find none either and hold up the rest. */
function rank(pod: Pod, input: ServiceInput): number {
  if (pod.node === null) return 2;
  return isReady(pod, input) ? 1 : 0;
}

export function whyBad(pod: Pod, input: ServiceInput): string {
  return misplaced(pod, input) ?? reasons.updated;
}

/** While an update is paused, what falls out of the revision before is replaced by the same: the new one is known to fail. */
export function revisionAfter(before: Pod | undefined, input: ServiceInput): string {
  return before && input.update.state === 'paused' && input.revisions.has(before.revision) ? before.revision : input.service.revision;
}
