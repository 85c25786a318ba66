/** CLUSTER without a value: the first pod chooses for all, so the choice looks at how many of them there is room for. */
import type { PodGroup } from './group.ts';
import type { Room } from './room.ts';

/** Of `nodes`, all of which fit one pod now: those of the value with the most room. All of them when there is nothing to choose. */
export function roomiest(group: PodGroup, room: Room, nodes: readonly number[]): readonly number[] {
  let left = nodes;
  for (const { operator, value, subject } of group.spec.placement.operators ?? []) {
    if (operator !== 'CLUSTER' || value !== undefined) continue;
    const { of, values, counts } = room.branchCounts(group.limitKey, subject);
    if (counts.size > 0) continue;
    const branches = Array.from(Map.groupBy(left, (node) => of[node]!), ([branch, own]) => ({
      own, name: values[branch] ?? '', pods: Math.min(group.pods.length, own.reduce((sum, node) => sum + podsThatFit(group, room, node), 0)),
    }));
    // Of those with room for all, the one with the least to spare in nodes keeps the large ones for others; names break ties.
    branches.sort((a, b) => b.pods - a.pods || a.own.length - b.own.length || (a.name < b.name ? -1 : 1));
    left = branches[0]?.own ?? left;
  }
  return left;
}

function podsThatFit({ demand, spec }: PodGroup, room: Room, node: number): number {
  const { state } = room;
  const share = (free: number, wanted: number) => (wanted > 0 ? Math.floor(free / wanted) : Infinity);
  return Math.min(
    share(state.cpuCapacity[node]! - room.cpuUsed[node]!, demand.nanoCpus),
    share(state.memoryCapacity[node]! - room.memoryUsed[node]!, demand.memory),
    ...Object.entries(demand.generic ?? {}).map(([kind, amount]) => share(room.freeGeneric(kind, node), amount)),
    demand.address ? state.addressCapacity[node]! - room.addressesUsed[node]! : Infinity,
    demand.hostPorts.length > 0 ? 1 : Infinity,
    spec.placement.maxPerNode > 0 ? spec.placement.maxPerNode : Infinity,
  );
}
