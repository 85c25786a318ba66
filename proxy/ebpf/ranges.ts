/**
 * Gives out runs of consecutive numbers. What is given back rests for a while first: a program on another CPU may have
 * read where its slots are just before they changed.
 */
import { TsorchError } from '../../model/errors.ts';

interface Range {
  readonly base: number;
  readonly size: number;
}

export class Ranges {
  readonly #total: number;
  readonly #restMs: number;
  /** Sorted by base, never touching one another. */
  #free: Range[];
  readonly #resting: { readonly range: Range; readonly until: number }[] = [];

  /** `used` may be in any order and must not overlap. */
  constructor(total: number, restMs: number, used: readonly Range[] = []) {
    this.#total = total;
    this.#restMs = restMs;
    this.#free = [];
    let at = 0;
    for (const range of [...used].filter((each) => each.size > 0).sort((a, b) => a.base - b.base)) {
      if (range.base > at) this.#free.push({ base: at, size: range.base - at });
      at = Math.max(at, range.base + range.size);
    }
    if (at < total) this.#free.push({ base: at, size: total - at });
  }

  /** The first of `size` numbers. Throws `exhausted`. */
  take(size: number, now: number): number {
    this.#reclaim(now);
    if (size === 0) return 0;
    const index = this.#free.findIndex((range) => range.size >= size);
    const found = this.#free[index];
    if (!found) {
      throw new TsorchError('exhausted', `no room for ${size} more of ${this.#total}`, { hint: 'Publish fewer ports or run fewer endpoints per service' });
    }
    if (found.size === size) this.#free.splice(index, 1);
    else this.#free[index] = { base: found.base + size, size: found.size - size };
    return found.base;
  }

  giveBack(base: number, size: number, now: number): void {
    if (size > 0) this.#resting.push({ range: { base, size }, until: now + this.#restMs });
  }

  #reclaim(now: number): void {
    let count = 0;
    while (count < this.#resting.length && (this.#resting[count] as { until: number }).until <= now) count++;
    for (const { range } of this.#resting.splice(0, count)) this.#insert(range);
  }

  #insert(range: Range): void {
    let low = 0;
    let high = this.#free.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.#free[middle] as Range).base < range.base) low = middle + 1;
      else high = middle;
    }
    const before = this.#free[low - 1];
    const after = this.#free[low];
    const joinsBefore = before !== undefined && before.base + before.size === range.base;
    const joinsAfter = after !== undefined && range.base + range.size === after.base;
    const base = joinsBefore ? before.base : range.base;
    const end = joinsAfter ? after.base + after.size : range.base + range.size;
    this.#free.splice(joinsBefore ? low - 1 : low, Number(joinsBefore) + Number(joinsAfter), { base, size: end - base });
  }
}
