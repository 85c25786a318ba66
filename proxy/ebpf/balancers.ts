/**
 * The balancer maps: what they hold, and changing it under running programs. A balancer's new endpoints are written to
 * slots nobody reads, then one update of the balancer turns to them; its counter goes on.
 */
import { deleteElement, dumpMap, updateElements } from '../../lib/linux/bpf.ts';
import type { Clock } from '../../lib/clock.ts';
import type { Backend } from '../rules/fragment.ts';
import { decodeBackend, decodeBalancerKey, decodeBalancerValue, encodeBalancerKey, maps, writeBackend, writeBalancerValue } from './layout.ts';
import type { BalancerValue, MapName } from './layout.ts';
import { Ranges } from './ranges.ts';

interface Held extends BalancerValue {
  readonly backends: readonly Backend[];
}

const restMs = 2000;

export class Balancers {
  readonly #fds: ReadonlyMap<MapName, number>;
  readonly #clock: Clock;
  #held = new Map<string, Held>();
  #slots = new Ranges(0, restMs);
  #counters = new Ranges(0, restMs);

  constructor(fds: ReadonlyMap<MapName, number>, clock: Clock) {
    this.#fds = fds;
    this.#clock = clock;
    this.adopt();
  }

  /** Reads what the maps hold: at start, and after a change failed half way. */
  adopt(): void {
    const values = dumpMap(this.#fd('balancers'), maps.balancers).map(({ key, value }) => [decodeBalancerKey(key), decodeBalancerValue(value)] as const);
    const end = values.reduce((most, [, { base, count }]) => Math.max(most, base + count), 0);
    const backends = end === 0 ? [] : dumpMap(this.#fd('backends'), maps.backends, end).map(({ value }) => decodeBackend(value));
    this.#held = new Map(values.map(([key, value]) => [key, { ...value, backends: backends.slice(value.base, value.base + value.count) }]));
    this.#slots = new Ranges(maps.backends.maxEntries, restMs, values.map(([, { base, count }]) => ({ base, size: count })));
    this.#counters = new Ranges(maps.counters.maxEntries, restMs, values.map(([, { counter }]) => ({ base: counter, size: 1 })));
  }

  /** What the kernel has, as far as this process knows. */
  entries(): Iterable<readonly [string, readonly Backend[]]> {
    return [...this.#held].map(([key, { backends }]) => [key, backends] as const);
  }

  /** Makes the maps hold exactly `wanted`. Returns how many balancers changed. */
  replace(wanted: Iterable<readonly [string, readonly Backend[]]>): number {
    const changes = new Map<string, readonly Backend[] | undefined>(wanted);
    for (const [key, { backends }] of this.#held) {
      const next = changes.get(key);
      if (next === undefined) changes.set(key, undefined);
      else if (sameBackends(backends, next)) changes.delete(key);
    }
    this.apply(changes);
    return changes.size;
  }

  /** Throws `exhausted` when something does not fit; call `adopt` before going on after any error. */
  apply(changes: ReadonlyMap<string, readonly Backend[] | undefined>): void {
    const now = this.#clock.monotonic();
    const next: (Held & { readonly key: string })[] = [];
    for (const [key, backends] of changes) {
      if (backends === undefined) continue;
      const held = this.#held.get(key);
      next.push({
        key, backends, count: backends.length,
        counter: held?.counter ?? this.#counters.take(1, now),
        base: this.#slots.take(backends.length, now),
      });
    }
    this.#writeSlots(next);
    this.#writeBalancers(next);
    for (const [key, backends] of changes) if (backends === undefined) this.#remove(key, now);
    for (const { key, ...held } of next) {
      const old = this.#held.get(key);
      if (old) this.#slots.giveBack(old.base, old.count, now);
      this.#held.set(key, held);
    }
  }

  #remove(key: string, now: number): void {
    const held = this.#held.get(key);
    if (!held) return;
    deleteElement(this.#fd('balancers'), encodeBalancerKey(key));
    this.#held.delete(key);
    this.#slots.giveBack(held.base, held.count, now);
    this.#counters.giveBack(held.counter, 1, now);
  }

  #writeSlots(next: readonly Held[]): void {
    const count = next.reduce((sum, each) => sum + each.count, 0);
    const keys = Buffer.alloc(count * maps.backends.keySize);
    const values = Buffer.alloc(count * maps.backends.valueSize);
    let at = 0;
    for (const { base, backends } of next) {
      for (const [i, backend] of backends.entries()) {
        keys.writeUInt32LE(base + i, at * maps.backends.keySize);
        writeBackend(values, at * maps.backends.valueSize, backend);
        at++;
      }
    }
    updateElements(this.#fd('backends'), keys, values, count);
  }

  #writeBalancers(next: readonly (Held & { readonly key: string })[]): void {
    const keys = Buffer.alloc(next.length * maps.balancers.keySize);
    const values = Buffer.alloc(next.length * maps.balancers.valueSize);
    for (const [i, balancer] of next.entries()) {
      encodeBalancerKey(balancer.key).copy(keys, i * maps.balancers.keySize);
      writeBalancerValue(values, i * maps.balancers.valueSize, balancer);
    }
    updateElements(this.#fd('balancers'), keys, values, next.length);
  }

  #fd(name: MapName): number {
    const fd = this.#fds.get(name);
    if (fd === undefined) throw new RangeError(`no map ${name}`);
    return fd;
  }
}

function sameBackends(a: readonly Backend[], b: readonly Backend[]): boolean {
  return a.length === b.length && a.every((backend, i) => backend.ip === b[i]?.ip && backend.port === b[i]?.port);
}
