/** Which nodes a global service has a pod on. */
import { compileHard } from '../../model/constraint/match.ts';
import { targetOf } from '../../model/constraint/target.ts';
import type { NodeView } from '../../model/node.ts';
import type { ServiceInput } from './plan.ts';

/** Nodes whose pod may stay: not drained, and fit by their labels. A node that is down has its place, but nothing to do there. */
export function globalSlots(input: ServiceInput): readonly string[] {
  const fits = compileHard(input.service.spec.placement.constraints);
  const stays = (view: NodeView) => view.node.availability !== 'drain' && (view.node.availability === 'pause' ? input.pods.some((pod) => pod.slot === view.node.id) : fits(targetOf(view)));
  return [...input.nodes.values()].filter(stays).map((view) => view.node.id).sort();
}

/** Whether a pod may be made in the slot now. Replicated slots are the scheduler's to place. */
export function canCreate(slot: number | string, input: ServiceInput): boolean {
  if (typeof slot === 'number') return true;
  const view = input.nodes.get(slot);
  return view !== undefined && view.state === 'ready' && view.node.availability === 'active';
}
