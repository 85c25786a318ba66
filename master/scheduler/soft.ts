/**
 * Soft expressions rank nodes. They weigh by their order: the first outweighs all after it together, so wishes that cannot
 * all be had are given up one by one from the last, never all at once.
 */
import type { PodGroup } from './group.ts';
import type { Room } from './room.ts';

/** The nodes in tiers, the best first. */
export function tiersOf(group: PodGroup, room: Room, nodes: readonly number[]): readonly (readonly number[])[] {
  let tiers: (readonly number[])[] = [nodes];
  for (const constraint of group.spec.placement.constraints) {
    if (!constraint.soft) continue;
    const bits = room.state.bits(constraint);
    tiers = tiers
      .flatMap((tier) => [tier.filter((node) => bits[node] === 1), tier.filter((node) => bits[node] !== 1)])
      .filter((tier) => tier.length > 0);
  }
  return tiers;
}
