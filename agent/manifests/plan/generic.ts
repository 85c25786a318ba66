/** Counted resources of the host as one decision gives them out: what pods hold, of manifests and of a cluster, is taken. */
import { amountOf, takeNames, type GenericAmounts, type GenericCapacity, type GenericNames } from '../../../model/generic.ts';

export interface Holder {
  readonly amounts: GenericAmounts;
  /** Absent: it has none that have names. */
  readonly names?: GenericNames;
}

export class GenericRoom {
  readonly #capacity: GenericCapacity | undefined;
  readonly #used = new Map<string, number>();
  readonly #names: GenericNames[] = [];

  constructor(capacity: GenericCapacity | undefined, holders: Iterable<Holder>) {
    this.#capacity = capacity;
    for (const holder of holders) this.#hold(holder);
  }

  /** The names among what was taken, or why there is too little; then nothing was. */
  take(amounts: GenericAmounts): { readonly ok: GenericNames } | { readonly waiting: string } {
    for (const [kind, wanted] of Object.entries(amounts)) {
      const free = Math.max(0, amountOf(this.#capacity, kind) - (this.#used.get(kind) ?? 0));
      if (wanted > free) return { waiting: `waiting for ${kind}: ${wanted} wanted, ${free} free` };
    }
    const names = takeNames(this.#capacity, amounts, this.#names);
    // Somebody holds names without having been counted: a host whose resources were said anew.
    if (names === null) return { waiting: `waiting for ${Object.keys(amounts).join(', ')}: pods of before hold them` };
    this.#hold({ amounts, names });
    return { ok: names };
  }

  #hold({ amounts, names }: Holder): void {
    for (const [kind, amount] of Object.entries(amounts)) this.#used.set(kind, (this.#used.get(kind) ?? 0) + amount);
    if (names) this.#names.push(names);
  }
}
