/**
 * The store as this process sees it: an informer's maps, one per kind. Reading is free; nothing here writes.
 * `revision` says up to where the maps are true, so a loop that has just committed can wait for its own writes.
 */
import { TsorchError } from '../model/errors.ts';
import type { Change, Entry, Kind, Kinds, Store } from './store/port.ts';

export type Maps = { readonly [K in Kind]: ReadonlyMap<string, Entry<K>> };

type MutableMaps = { [K in Kind]: Map<string, Entry<K>> };

export type Subscriber = (changes: readonly Change[], revision: number) => void;

const kinds: readonly Kind[] = [
  'cluster', 'ca', 'tokens', 'stacks', 'services', 'revisions', 'servicestatus', 'pods', 'podstatus', 'staticpods', 'nodes', 'nodestatus',
  'sessions', 'networks', 'volumes', 'secrets', 'configs', 'registries', 'events',
];

export class World {
  readonly #maps: MutableMaps;
  readonly #subscribers = new Set<Subscriber>();
  readonly #waiters = new Set<{ revision: number; resolve: () => void }>();
  readonly #synced: Promise<void>;
  #revision = 0;
  #connected = false;

  constructor(store: Store, signal: AbortSignal) {
    this.#maps = Object.fromEntries(kinds.map((kind) => [kind, new Map()])) as MutableMaps;
    let first: (() => void) | undefined;
    this.#synced = new Promise((resolve, reject) => {
      first = resolve;
      signal.addEventListener('abort', () => reject(new TsorchError('aborted', 'stopped before the store was read')), { once: true });
    });
    this.#synced.catch(() => {});
    store.watch(kinds, {
      changes: (changes, revision) => {
        for (const change of changes) this.#apply(change);
        this.#revision = Math.max(this.#revision, revision);
        for (const subscriber of this.#subscribers) subscriber(changes, this.#revision);
        for (const waiter of this.#waiters) {
          if (waiter.revision > this.#revision) continue;
          this.#waiters.delete(waiter);
          waiter.resolve();
        }
        first?.();
      },
      connected: (connected) => {
        this.#connected = connected;
      },
    }, signal);
  }

  get maps(): Maps {
    return this.#maps;
  }

  get revision(): number {
    return this.#revision;
  }

  /** Whether the watch is up; the maps stay usable either way. */
  get connected(): boolean {
    return this.#connected;
  }

  /** Resolves once everything there was has been read. */
  get synced(): Promise<void> {
    return this.#synced;
  }

  get<K extends Kind>(kind: K, id: string): Kinds[K] | undefined {
    return this.#maps[kind].get(id)?.value;
  }

  entry<K extends Kind>(kind: K, id: string): Entry<K> | undefined {
    return this.#maps[kind].get(id);
  }

  values<K extends Kind>(kind: K): Kinds[K][] {
    return Array.from(this.#maps[kind].values(), (entry) => entry.value);
  }

  /** Calls back after every step of changes, maps already up to date. Ends with the signal. */
  subscribe(subscriber: Subscriber, signal: AbortSignal): void {
    if (signal.aborted) return;
    this.#subscribers.add(subscriber);
    signal.addEventListener('abort', () => this.#subscribers.delete(subscriber), { once: true });
  }

  /** Resolves when the maps include `revision`; rejects with the signal's reason. */
  waitFor(revision: number, signal: AbortSignal): Promise<void> {
    if (this.#revision >= revision) return Promise.resolve();
    return new Promise((resolve, reject) => {
      const waiter = { revision, resolve };
      this.#waiters.add(waiter);
      signal.addEventListener('abort', () => {
        this.#waiters.delete(waiter);
        reject(signal.reason);
      }, { once: true });
    });
  }

  #apply(change: Change): void {
    const map = this.#maps[change.kind] as Map<string, Entry<Kind>>;
    if (change.entry === null) map.delete(change.id);
    else map.set(change.id, change.entry as Entry<Kind>);
  }
}
