/** One rule on where a pod may go, able to explain itself. A rule is a file beside this one and a line in index.ts. */
import type { FilterReason } from '../../../model/api.ts';
import type { PodGroup } from '../group.ts';
import type { Room } from '../room.ts';

export type NodeTest = (node: number) => boolean;

export interface Filter {
  /**
   * What the answer depends on besides the node. `node`: the group's wishes alone, so it stands for the whole round. `room`:
   * what was placed so far; it only ever turns from yes to no in a round, and for all groups of one demand alike. `service`:
   * what was placed so far of this very service.
   */
  readonly scope: 'node' | 'room' | 'service';
  /** Null when the group asks nothing of this filter. */
  prepare(group: PodGroup, room: Room): NodeTest | null;
  /** Why the filter excludes `nodes`, all of which fail it, for people; `everyone` is all the nodes there are. */
  explain(group: PodGroup, room: Room, nodes: readonly number[], everyone: readonly number[]): readonly FilterReason[];
}

export function namesOf(room: Room, nodes: readonly number[]): readonly string[] {
  return nodes.map((node) => room.name(node));
}
