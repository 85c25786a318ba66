/**
 * Which of a service's slots get their pod now, and which old pods go for it. Stop-first, at most `parallelism` slots at a time without a
 * ready pod; one that is not ready anyway need not wait for its turn.
 */
import { isFinal } from '../../../model/pod.ts';
import type { LocalPod } from './types.ts';

export interface SlotView {
  readonly slot: number;
  /** Of the pod that is wanted. */
  readonly id: string;
  readonly current: LocalPod | undefined;
  /** Of other revisions, or on their way out. */
  readonly others: readonly LocalPod[];
}

export interface SlotRules {
  /** 0: all at once. */
  readonly parallelism: number;
  readonly concurrency: number;
  /** What the service waits for is not there: no new pod is made, so no old one goes for it. */
  readonly blocked: boolean;
}

export interface SlotPlan {
  readonly create: readonly { readonly slot: number; readonly id: string }[];
  /** Wanted, but not yet. */
  readonly wait: readonly { readonly slot: number; readonly id: string }[];
  /** Ids of old pods that stay for now. */
  readonly hold: readonly string[];
}

export function planSlots(slots: readonly SlotView[], { parallelism, concurrency, blocked }: SlotRules): SlotPlan {
  const create: SlotView[] = [];
  const wait: SlotView[] = [];
  const hold: string[] = [];
  const stale: SlotView[] = [];
  let busy = 0;
  let running = slots.filter(({ current, others }) => (current && !isFinal(current.status.phase)) || others.some(({ status }) => !isFinal(status.phase))).length;
  for (const view of slots) {
    const { current, others } = view;
    if (current) {
      if (!current.status.ready && !isFinal(current.status.phase)) busy++;
    } else if (others.length > 0) {
      if (others.some((pod) => isStaying(pod))) stale.push(view);
      else busy++;
    } else if (blocked) wait.push(view);
    else if (running < concurrency) {
      create.push(view);
      running++;
      busy++;
    }
  }
  for (const view of stale) {
    const serves = view.others.some((pod) => isStaying(pod) && pod.status.ready);
    if (!blocked && (!serves || parallelism === 0 || busy < parallelism)) {
      busy++;
      continue;
    }
    hold.push(...view.others.filter(isStaying).map(({ assignment }) => assignment.pod.id));
  }
  return { create, wait, hold };
}

function isStaying({ assignment, removed }: LocalPod): boolean {
  return assignment.pod.desired === 'running' && !removed;
}
