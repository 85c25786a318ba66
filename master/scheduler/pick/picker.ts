/** Chooses nodes for the pods of one group, one after the other, by one strategy. */
export interface Picker {
  /** The best node that fits, or -1. Asking again without `placed` gives the same node, but for the random strategy. */
  pick(): number;
  /** A pod was placed on the node picked last, and the room knows it. */
  placed(node: number): void;
}

/** Pickers in order of preference: the next is made and asked when the one before has no node left. */
export class Sequence implements Picker {
  readonly #next: (() => Picker)[];
  #current: Picker | undefined;

  constructor(pickers: readonly (() => Picker)[]) {
    this.#next = pickers.toReversed();
  }

  pick(): number {
    for (;;) {
      this.#current ??= this.#next.pop()?.();
      if (this.#current === undefined) return -1;
      const node = this.#current.pick();
      if (node >= 0) return node;
      this.#current = undefined;
    }
  }

  placed(node: number): void {
    this.#current?.placed(node);
  }
}
