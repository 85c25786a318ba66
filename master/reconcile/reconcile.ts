/** What is wanted of a service and what there is of it → what to do. Pure, level-triggered: applied, it has nothing left to say. */
import type { NodeView } from '../../model/node.ts';
import type { Pod, PodStatus } from '../../model/pod.ts';
import { Draft } from './draft.ts';
import { planJob } from './job.ts';
import { reasons, type PodAction, type ServiceInput, type ServicePlan } from './plan.ts';
import { planService } from './service.ts';
import { lifeOf } from './slots.ts';

export function reconcileService(input: ServiceInput): ServicePlan {
  switch (input.service.spec.mode.kind) {
    case 'replicated':
    case 'global': return planService(input);
    case 'replicated-job':
    case 'global-job': return planJob(input);
  }
}

export interface RemovedInput {
  /** Pods whose service does not exist any more. */
  readonly pods: readonly Pod[];
  readonly statuses: ReadonlyMap<string, PodStatus>;
  readonly nodes: ReadonlyMap<string, NodeView>;
}

/** Pods of removed services go; records of those that have ended go at once. */
export function reconcileRemoved({ pods, statuses, nodes }: RemovedInput): readonly PodAction[] {
  const draft = new Draft({ pods, nodes });
  for (const pod of pods.toSorted((a, b) => (a.id < b.id ? -1 : 1))) {
    switch (lifeOf(pod, { statuses, nodes })) {
      case 'live': draft.end(pod, reasons.serviceRemoved); break;
      case 'lost': draft.abandon(pod); break;
      case 'ended': draft.delete(pod, reasons.serviceRemoved); break;
      case 'over': if (pod.node === null || !nodes.has(pod.node)) draft.delete(pod, reasons.nodeGone); break;
      case 'leaving': break;
    }
  }
  return draft.actions;
}
