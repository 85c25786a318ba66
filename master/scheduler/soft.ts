/**
 * Soft expressions rank nodes. They weigh by their order, constraints before affinities: the first outweighs all after it together,
 * so wishes that cannot all be had are given up one by one from the last, never all at once. Last come the wishes of pods that
 * are there already to be left alone.
 */
import { keptAway, ownTest, repellerTest } from './filters/affinities.ts';
import type { NodeTest } from './filters/filter.ts';
import type { PodGroup } from './group.ts';
import type { Room } from './room.ts';

/** The nodes in tiers, the best first. */
export function tiersOf(group: PodGroup, room: Room, nodes: readonly number[]): readonly (readonly number[])[] {
  let tiers: (readonly number[])[] = [nodes];
  for (const test of wishes(group, room)) {
    tiers = tiers
      .flatMap((tier) => [tier.filter((node) => test(node)), tier.filter((node) => !test(node))])
      .filter((tier) => tier.length > 0);
  }
  return tiers;
}

/** Wishes about pods: they hold for one group and one moment, unlike those about nodes. */
export function hasSoftAffinities(group: PodGroup, room: Room): boolean {
  return (group.spec.placement.affinities ?? []).some(({ soft }) => soft) || keptAway(group, room, true).length > 0;
}

/** A soft affinity to its own kind: what is best changes with every pod placed. */
export function wishesForItself(group: PodGroup, room: Room): boolean {
  return (group.spec.placement.affinities ?? []).some((affinity) => affinity.soft && room.affinity(affinity, group.spec.stack).matcher.service(group.neighbour.target));
}

function wishes(group: PodGroup, room: Room): readonly NodeTest[] {
  const { constraints, affinities = [] } = group.spec.placement;
  return [
    ...constraints.filter(({ soft }) => soft).map((constraint): NodeTest => {
      const bits = room.state.bits(constraint);
      return (node) => bits[node] === 1;
    }),
    ...affinities.filter(({ soft }) => soft).map((affinity) => ownTest(affinity, group, room)),
    ...keptAway(group, room, true).map(({ repeller }) => repellerTest(repeller, room)),
  ];
}
