/** The random strategy, and the generator it is given. */
import type { NodeTest } from '../filters/filter.ts';
import type { Picker } from './picker.ts';

export class Random implements Picker {
  readonly #nodes: number[];
  readonly #fits: NodeTest;
  readonly #random: () => number;

  constructor(nodes: readonly number[], fits: NodeTest, random: () => number) {
    this.#nodes = [...nodes];
    this.#fits = fits;
    this.#random = random;
  }

  pick(): number {
    const nodes = this.#nodes;
    while (nodes.length > 0) {
      const at = Math.floor(this.#random() * nodes.length);
      const node = nodes[at]!;
      if (this.#fits(node)) return node;
      nodes[at] = nodes[nodes.length - 1]!;
      nodes.pop();
    }
    return -1;
  }

  placed(): void {}
}

/** Numbers in [0, 1) that follow from the seed alone (mulberry32). */
export function seeded(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}
