/** Why a group's pods cannot go to some or to all nodes, filter by filter. */
import type { FilterReason } from '../../model/api.ts';
import { filters } from './filters/index.ts';
import type { PodGroup } from './group.ts';
import type { Room } from './room.ts';

export interface Explanation {
  readonly reasons: readonly FilterReason[];
  /** One line. */
  readonly summary: string;
}

/**
 * The reasons in filter order. Each node is counted by the first filter that excludes it, except that constraints speak of
 * all nodes. `among` narrows the question, for pods that may go to one node only.
 */
export function explain(group: PodGroup, room: Room, among?: readonly number[]): Explanation {
  const everyone = among ?? allNodes(room);
  let left = everyone;
  const reasons: FilterReason[] = [];
  for (const filter of filters) {
    const test = filter.prepare(group, room);
    if (test === null || left.length === 0) continue;
    const failing = left.filter((node) => !test(node));
    if (failing.length > 0) reasons.push(...filter.explain(group, room, failing, everyone));
    left = left.filter(test);
  }
  return { reasons, summary: summarize(reasons, left.length, everyone.length) };
}

function allNodes(room: Room): readonly number[] {
  const order = room.state.order();
  return [...room.state.index.values()].sort((a, b) => order[a]! - order[b]!);
}

function summarize(reasons: readonly FilterReason[], fit: number, all: number): string {
  if (all === 0) return 'there are no nodes';
  const [first] = reasons;
  if (fit > 0 || first === undefined) return `${fit} of ${all} nodes fit`;
  const lines = reasons.map((reason) => `${reason.filter}: ${reason.message}`);
  return reasons.length === 1 ? (lines[0] ?? '') : `no node fits: ${lines.join('; ')}`;
}
