/**
 * A map to which several owners contribute. A key that two owners claim (an address given anew before the old pod's
 * entry is gone) has one value at any time, the smallest owner's, whatever the order of events.
 */
interface Claim<V> {
  readonly owner: string;
  readonly value: V;
}

export class Overlay<V> {
  readonly #claims = new Map<string, Claim<V> | Claim<V>[]>();
  readonly #keys = new Map<string, readonly string[]>();

  get size(): number {
    return this.#claims.size;
  }

  get(key: string): V | undefined {
    const claim = this.#claims.get(key);
    return (Array.isArray(claim) ? claim[0] : claim)?.value;
  }

  *entries(): Generator<[string, V]> {
    for (const [key, claim] of this.#claims) yield [key, (Array.isArray(claim) ? (claim[0] as Claim<V>) : claim).value];
  }

  /**
   * Replaces all that `owner` contributes. `before` collects, for every key that may change, the value it had when it was
   * first touched.
   */
  replace(owner: string, entries: readonly (readonly [string, V])[], before: Map<string, V | undefined>): void {
    for (const key of this.#keys.get(owner) ?? []) {
      if (!before.has(key)) before.set(key, this.get(key));
      this.#drop(key, owner);
    }
    if (entries.length === 0) this.#keys.delete(owner);
    else this.#keys.set(owner, entries.map(([key]) => key));
    for (const [key, value] of entries) {
      if (!before.has(key)) before.set(key, this.get(key));
      this.#add(key, { owner, value });
    }
  }

  #add(key: string, claim: Claim<V>): void {
    const held = this.#claims.get(key);
    if (held === undefined) {
      this.#claims.set(key, claim);
      return;
    }
    const others = (Array.isArray(held) ? held : [held]).filter((other) => other.owner !== claim.owner);
    const all = [...others, claim].sort((a, b) => (a.owner < b.owner ? -1 : 1));
    this.#claims.set(key, all.length === 1 ? claim : all);
  }

  #drop(key: string, owner: string): void {
    const held = this.#claims.get(key);
    if (held === undefined) return;
    const rest = (Array.isArray(held) ? held : [held]).filter((claim) => claim.owner !== owner);
    if (rest.length === 0) this.#claims.delete(key);
    else this.#claims.set(key, rest.length === 1 ? (rest[0] as Claim<V>) : rest);
  }
}
