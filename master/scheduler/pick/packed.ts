/** The binpack strategy: the fullest node that fits, so that others stay empty for what needs much room. */
import type { NodeTest } from '../filters/filter.ts';
import type { Room } from '../room.ts';
import { Heap } from './heap.ts';
import type { Picker } from './picker.ts';

export class Packed implements Picker {
  readonly #heap: Heap<number>;
  readonly #fits: NodeTest;

  constructor(room: Room, nodes: readonly number[], fits: NodeTest) {
    this.#fits = fits;
    const score = new Float64Array(room.size);
    const order = room.state.order();
    for (const node of nodes) score[node] = fill(room, node);
    const pods = room.podCount;
    this.#heap = new Heap((a, b) => {
      if (score[a] !== score[b]) return score[a]! > score[b]!;
      if (pods[a] !== pods[b]) return pods[a]! > pods[b]!;
      return order[a]! < order[b]!;
    }, [...nodes]);
  }

  pick(): number {
    for (;;) {
      const node = this.#heap.top;
      if (node === undefined) return -1;
      if (this.#fits(node)) return node;
      this.#heap.pop();
    }
  }

  placed(): void {
    // Only the top is ever placed on, which makes it fuller still: it stays the top.
  }
}

/** The sum of both shares, as classic Swarm weighs them. */
function fill(room: Room, node: number): number {
  const cpu = room.state.cpuCapacity[node]!;
  const memory = room.state.memoryCapacity[node]!;
  return (cpu > 0 ? room.cpuUsed[node]! / cpu : 0) + (memory > 0 ? room.memoryUsed[node]! / memory : 0);
}
