/**
 * Spread preferences: each level splits the nodes into branches by a label's value, and every pod goes down the branches with
 * the fewest pods of its service. Branches get equal shares whatever their number of nodes; one that is full leaves its share
 * to the others.
 */
import type { ConstraintSubject } from '../../../model/constraint/types.ts';
import type { Room } from '../room.ts';
import { Heap } from './heap.ts';
import type { Picker } from './picker.ts';

interface Branch {
  readonly value: string;
  readonly picker: Picker;
  pods: number;
}

export class Tree implements Picker {
  readonly #branches: Heap<Branch>;
  #chosen: Branch | undefined;

  constructor(branches: Branch[]) {
    this.#branches = new Heap((a, b) => a.pods < b.pods || (a.pods === b.pods && a.value < b.value), branches);
  }

  pick(): number {
    for (;;) {
      this.#chosen = this.#branches.top;
      if (this.#chosen === undefined) return -1;
      const node = this.#chosen.picker.pick();
      if (node >= 0) return node;
      this.#branches.pop();
    }
  }

  placed(node: number): void {
    if (!this.#chosen) return;
    this.#chosen.pods++;
    this.#chosen.picker.placed(node);
    this.#branches.sink();
  }
}

/** A tree over `nodes` by the subjects from the first; `leaf` chooses among the nodes of a last branch. */
export function growTree(
  subjects: readonly ConstraintSubject[],
  nodes: readonly number[],
  room: Room,
  counts: ReadonlyMap<number, number>,
  leaf: (nodes: readonly number[]) => Picker,
): Picker {
  return grow(subjects, nodes, counts, room, leaf);
}

function grow(
  [subject, ...deeper]: readonly ConstraintSubject[],
  nodes: readonly number[],
  /** Pods of the service on the nodes of the branch so far, on unusable ones too. */
  counts: ReadonlyMap<number, number>,
  room: Room,
  leaf: (nodes: readonly number[]) => Picker,
): Picker {
  if (subject === undefined) return leaf(nodes);
  const { of, values } = room.state.branches(subject);
  const nodesOf = Map.groupBy(nodes, (node) => of[node]!);
  const countsOf = Map.groupBy(counts, ([node]) => of[node]!);
  const branches = Array.from(nodesOf, ([branch, own]): Branch => {
    const existing = countsOf.get(branch) ?? [];
    return {
      value: values[branch] ?? '',
      pods: existing.reduce((sum, [, count]) => sum + count, 0),
      picker: grow(deeper, own, new Map(existing), room, leaf),
    };
  });
  return new Tree(branches);
}
