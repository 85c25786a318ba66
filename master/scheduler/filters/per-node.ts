/** `max_replicas_per_node`. */
import { countNodes } from '../../../model/constraint/explain.ts';
import { namesOf, type Filter } from './filter.ts';

export const perNode: Filter = {
  scope: 'service',
  prepare(group, room) {
    const most = group.spec.placement.maxPerNode;
    if (most <= 0) return null;
    const counts = room.counts(group.limitKey);
    return (node) => (counts.get(node) ?? 0) < most;
  },
  explain(group, room, nodes) {
    const most = group.spec.placement.maxPerNode;
    const message = `${countNodes(namesOf(room, nodes))} already ${nodes.length === 1 ? 'runs' : 'run'} ${most} of ${group.service}, the most per node`;
    return [{ filter: 'max replicas per node', message, nodes: namesOf(room, nodes) }];
  },
};
