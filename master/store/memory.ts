/**
 * The store in memory: the fake for tests, with etcd's rules. One MemoryStore is one client; `fork` gives another client of
 * the same data, as a second master would have. What etcd and the network do wrong is done on demand: see `faults`.
 */
import { TsorchError } from '../../model/errors.ts';
import { conflict, encodeOps, opName } from './ops.ts';
import type { Change, Entry, Epoch, Kind, Op, Store, WatchHandler } from './port.ts';

export interface MemoryFaults {
  /**
   * Asked before each commit. `unavailable`: nothing happens. `lost-reply`: it is applied, the caller is told
   * `unknown-outcome`. `lost-request`: it is not, and the caller is told the same.
   */
  commit?: (ops: readonly Op[]) => 'ok' | 'unavailable' | 'lost-reply' | 'lost-request';
}

interface Row {
  readonly kind: Kind;
  readonly id: string;
  readonly json: string;
  readonly revision: number;
  readonly lease: string | undefined;
}

interface Watcher {
  readonly kinds: ReadonlySet<Kind>;
  readonly handler: WatchHandler;
  /** What it has been told of, by name: the base of the difference after a cut. */
  readonly known: Map<string, { readonly kind: Kind; readonly id: string; readonly revision: number }>;
  queue: { readonly changes: readonly Change[]; readonly revision: number }[];
  scheduled: boolean;
  connected: boolean;
}

interface Data {
  revision: number;
  leases: number;
  readonly rows: Map<string, Row>;
  readonly leased: Map<string, AbortController>;
  readonly clients: Set<MemoryStore>;
}

export class MemoryStore implements Store {
  readonly faults: MemoryFaults = {};
  readonly #data: Data;
  readonly #watchers = new Set<Watcher>();
  readonly #closing = new AbortController();
  #cut = false;

  constructor(data?: Data) {
    this.#data = data ?? { revision: 1, leases: 0, rows: new Map(), leased: new Map(), clients: new Set() };
    this.#data.clients.add(this);
  }

  /** Another client of the same data. */
  fork(): MemoryStore {
    return new MemoryStore(this.#data);
  }

  /** Cuts this client off: watches stand still, calls are `unavailable`, leases are kept by nobody but do not run out. */
  disconnect(): void {
    this.#cut = true;
    for (const watcher of this.#watchers) this.#setConnected(watcher, false);
  }

  /** After a cut, every watch gets the difference, as after a compaction. */
  reconnect(): void {
    this.#cut = false;
    for (const watcher of this.#watchers) this.#sync(watcher);
  }

  /** Ends a lease as etcd does when nobody renews it. */
  expire(lease: string): void {
    this.#endLease(lease, 'it ran out');
  }

  async commit(ops: readonly Op[], epoch?: Epoch): Promise<{ readonly revision: number }> {
    const encoded = encodeOps(ops);
    await this.#call();
    const fault = this.faults.commit?.(ops) ?? 'ok';
    if (fault === 'unavailable') throw new TsorchError('unavailable', 'memory store: told to be');
    const unknown = () => new TsorchError('unknown-outcome', 'memory store: the reply was lost', { hint: 'read again before deciding' });
    if (fault === 'lost-request') throw unknown();

    const { rows } = this.#data;
    if (epoch && rows.get(epoch.key)?.revision !== epoch.createRevision) throw new TsorchError('fenced', `the leader's term ${epoch.createRevision} is over`);
    const failed = ops.map((op) => ({ op, found: rows.get(opName(op))?.revision ?? 0 })).filter(({ op, found }) => op.guard !== undefined && op.guard !== found);
    if (failed.length > 0) throw conflict(failed);
    for (const op of ops) {
      if (op.op === 'put' && op.lease !== undefined && !this.#data.leased.has(op.lease)) throw new TsorchError('not-found', `lease ${op.lease} is gone`, { hint: 'take a new lease' });
    }

    const revision = this.#apply(encoded);
    if (fault === 'lost-reply') throw unknown();
    return { revision };
  }

  async get<K extends Kind>(kind: K, id: string): Promise<Entry<K> | null> {
    await this.#call();
    const row = this.#data.rows.get(`${kind}/${id}`);
    return row ? toEntry<K>(row) : null;
  }

  async list<K extends Kind>(kind: K): Promise<readonly Entry<K>[]> {
    await this.#call();
    return Array.from(this.#data.rows.values()).filter((row) => row.kind === kind).sort(byId).map((row) => toEntry<K>(row));
  }

  watch(kinds: readonly Kind[], handler: WatchHandler, signal: AbortSignal): void {
    if (signal.aborted || this.#closing.signal.aborted) return;
    const watcher: Watcher = { kinds: new Set(kinds), handler, known: new Map(), queue: [], scheduled: false, connected: false };
    this.#watchers.add(watcher);
    signal.addEventListener('abort', () => this.#watchers.delete(watcher), { once: true });
    if (!this.#cut) this.#sync(watcher);
  }

  async lease(_ttlMs: number, signal: AbortSignal): Promise<{ readonly id: string; readonly lost: AbortSignal }> {
    if (signal.aborted) throw new TsorchError('aborted', 'no lease was taken');
    await this.#call();
    const id = String(++this.#data.leases);
    const lost = new AbortController();
    this.#data.leased.set(id, lost);
    const revoke = () => this.#endLease(id, null);
    AbortSignal.any([signal, this.#closing.signal]).addEventListener('abort', revoke, { once: true });
    if (signal.aborted) revoke();
    return { id, lost: lost.signal };
  }

  async close(): Promise<void> {
    this.#closing.abort(new TsorchError('aborted', 'the store was closed'));
    this.#watchers.clear();
    this.#data.clients.delete(this);
  }

  /** Every call takes a turn of the event loop, as one over a network would. */
  async #call(): Promise<void> {
    await Promise.resolve();
    if (this.#closing.signal.aborted) throw new TsorchError('unavailable', 'memory store: closed');
    if (this.#cut) throw new TsorchError('unavailable', 'memory store: cut off');
  }

  #apply(encoded: ReturnType<typeof encodeOps>): number {
    const { rows } = this.#data;
    const revision = this.#data.revision + 1;
    const changes: Change[] = [];
    for (const { op, json } of encoded) {
      const name = opName(op);
      if (op.op === 'put') {
        const row: Row = { kind: op.kind, id: op.id, json: json!, revision, lease: op.lease };
        rows.set(name, row);
        changes.push({ kind: op.kind, id: op.id, entry: toEntry(row) } as Change);
      } else if (rows.delete(name)) {
        changes.push({ kind: op.kind, id: op.id, entry: null } as Change);
      }
    }
    if (changes.length === 0) return 0;
    this.#data.revision = revision;
    for (const client of this.#data.clients) client.#publish(changes, revision);
    return revision;
  }

  #endLease(id: string, why: string | null): void {
    const lost = this.#data.leased.get(id);
    if (!lost) return;
    this.#data.leased.delete(id);
    const keys = Array.from(this.#data.rows.values()).filter((row) => row.lease === id);
    if (keys.length > 0) this.#apply(keys.map(({ kind, id: key }) => ({ op: { op: 'delete', kind, id: key } as Op, json: null, bytes: 0 })));
    if (why !== null) lost.abort(new TsorchError('fenced', `the lease is lost: ${why}`));
  }

  #publish(changes: readonly Change[], revision: number): void {
    if (this.#cut) return;
    for (const watcher of this.#watchers) this.#enqueue(watcher, changes.filter((change) => watcher.kinds.has(change.kind)), revision);
  }

  /** Everything that differs from what the watcher knows. */
  #sync(watcher: Watcher): void {
    const changes: Change[] = [];
    const names = new Set<string>();
    for (const [name, row] of this.#data.rows) {
      if (!watcher.kinds.has(row.kind)) continue;
      names.add(name);
      if (watcher.known.get(name)?.revision !== row.revision) changes.push({ kind: row.kind, id: row.id, entry: toEntry(row) } as Change);
    }
    for (const [name, { kind, id }] of watcher.known) {
      if (!names.has(name)) changes.push({ kind, id, entry: null } as Change);
    }
    this.#enqueue(watcher, changes, this.#data.revision);
  }

  #enqueue(watcher: Watcher, changes: readonly Change[], revision: number): void {
    for (const { kind, id, entry } of changes) {
      if (entry) watcher.known.set(`${kind}/${id}`, { kind, id, revision: entry.revision });
      else watcher.known.delete(`${kind}/${id}`);
    }
    watcher.queue.push({ changes, revision });
    if (watcher.scheduled) return;
    watcher.scheduled = true;
    queueMicrotask(() => {
      watcher.scheduled = false;
      const queue = watcher.queue;
      watcher.queue = [];
      for (const { changes: step, revision: upTo } of queue) {
        if (!this.#watchers.has(watcher)) return;
        watcher.handler.changes(step, upTo);
      }
      this.#setConnected(watcher, !this.#cut);
    });
  }

  #setConnected(watcher: Watcher, connected: boolean): void {
    if (watcher.connected === connected) return;
    watcher.connected = connected;
    watcher.handler.connected?.(connected);
  }
}

function byId(a: Row, b: Row): number {
  return a.id < b.id ? -1 : a.id > b.id ? 1 : 0;
}

function toEntry<K extends Kind>(row: Row): Entry<K> {
  return { kind: row.kind as K, id: row.id, value: JSON.parse(row.json) as Entry<K>['value'], revision: row.revision };
}
