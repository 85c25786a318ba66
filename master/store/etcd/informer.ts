/**
 * Lists, then watches from the next revision on. The cursor moves only over whole revisions that were handed on, so a
 * stream may break anywhere: the next one begins where the last one was understood to end. After a gap (history compacted,
 * another cluster, a restored one) it lists again and hands on the difference.
 *
 * One stream over all keys rather than one per kind: a transaction's changes then arrive together.
 */
import type { IDuplexStream, IEvent, IKeyValue, IWatchRequest, IWatchResponse, KVClient, WatchClient } from 'etcd3';
import type { Clock } from '../../../lib/clock.ts';
import type { Log } from '../../../lib/log.ts';
import type { KeySpace, Range } from '../keys.ts';
import type { AnyEntry, Change, Kind, WatchHandler } from '../port.ts';
import { decodeEntry } from './decode.ts';
import { listRange, listRangeAt } from './list.ts';
import type { Listing } from './list.ts';

export interface InformerOptions {
  readonly kv: KVClient;
  readonly watch: WatchClient;
  readonly keys: KeySpace;
  readonly kinds: readonly Kind[];
  readonly handler: WatchHandler;
  readonly signal: AbortSignal;
  readonly clock: Clock;
  readonly log: Log;
  /** Between two full lists that are only there to catch what a watch of etcd might miss. */
  readonly relistMs: () => number;
}

/** `compacted`: the cursor is of no use any more. `relist`: time to check. */
type StreamEnd = 'broken' | 'compacted' | 'relist';

const firstBackoff = 50;
const maxBackoff = 2000;
/** etcd says at once that it has taken a watch. */
const createdMs = 5000;

export class Informer {
  readonly #options: InformerOptions;
  readonly #kinds: ReadonlySet<Kind>;
  readonly #range: Range;
  /** Everything in the range, by key. */
  #cache = new Map<string, AnyEntry>();
  /** Everything up to here was handed on; null before the first list. */
  #cursor: number | null = null;
  #cluster = '';
  #connected = false;

  constructor(options: InformerOptions) {
    this.#options = options;
    this.#kinds = new Set(options.kinds);
    this.#range = options.kinds.length === 1 ? options.keys.kind(options.kinds[0]!) : options.keys.all();
  }

  /** Resolves when the signal has fired. Never rejects. */
  async run(): Promise<void> {
    const { signal, clock, log } = this.#options;
    let backoff = firstBackoff;
    let next: 'list' | 'check' | 'stream' = 'list';
    while (!signal.aborted) {
      let end: StreamEnd = 'broken';
      const opened = clock.monotonic();
      try {
        if (next === 'list') await this.#list();
        if (next === 'check') await this.#check();
        next = 'stream';
        end = await this.#stream();
      } catch (error) {
        if (!signal.aborted) log.debug('watch failed', { error });
      }
      this.#setConnected(end === 'relist' && this.#connected);
      if (end === 'compacted') next = 'list';
      if (end === 'relist') next = 'check';
      if (end === 'relist') continue;
      if (signal.aborted) break;
      backoff = clock.monotonic() - opened > 10_000 ? firstBackoff : Math.min(backoff * 2, maxBackoff);
      await clock.sleep(backoff * (0.5 + Math.random() / 2), signal).catch(() => {});
    }
    this.#setConnected(false);
  }

  /** Hands on the difference to what there is now. */
  async #list(): Promise<void> {
    const { kv, clock } = this.#options;
    this.#take(await listRange(kv, clock, this.#range));
  }

  /** Lists at the cursor, where the cache stands: a difference is something that the watch has missed. */
  async #check(): Promise<void> {
    const { kv, clock, log } = this.#options;
    const listing = await listRangeAt(kv, clock, this.#range, this.#cursor!);
    if (!listing) return this.#list();
    const missed = this.#take(listing);
    if (missed > 0) log.warn('the watch had missed changes, a full list found them', { changes: missed });
  }

  /** Returns how many changes there were. */
  #take(listing: Listing): number {
    const { log, signal } = this.#options;
    if (signal.aborted) return 0;
    const changes: Change[] = [];
    const next = new Map<string, AnyEntry>();
    for (const found of listing.kvs) {
      const key = found.key.toString();
      const old = this.#cache.get(key);
      const entry = old && old.revision === Number(found.mod_revision) && listing.cluster === this.#cluster ? old : this.#decode(key, found) ?? old;
      if (!entry) continue;
      next.set(key, entry);
      if (entry !== old) changes.push({ kind: entry.kind, id: entry.id, entry } as Change);
    }
    for (const [key, old] of this.#cache) {
      if (!next.has(key)) changes.push({ kind: old.kind, id: old.id, entry: null } as Change);
    }
    if (this.#cursor !== null && listing.revision < this.#cursor) log.warn('the store went back in time, as after a restore', { from: this.#cursor, to: listing.revision });
    const moved = listing.revision !== this.#cursor;
    this.#cache = next;
    this.#cursor = listing.revision;
    this.#cluster = listing.cluster;
    if (moved || changes.length > 0) this.#emit(changes, listing.revision);
    return changes.length;
  }

  /** One watch stream, from the cursor until it ends. */
  async #stream(): Promise<StreamEnd> {
    const { watch, signal, clock } = this.#options;
    const stream = await watch.watch();
    if (signal.aborted) {
      stream.on('error', () => {});
      stream.cancel();
      return 'broken';
    }
    const over = new AbortController();
    const end = await new Promise<StreamEnd>((resolve) => {
      const timers = AbortSignal.any([over.signal, signal]);
      let created = false;
      clock.sleep(createdMs, timers).then(() => {
        if (!created) resolve('broken');
      }, () => {});
      clock.sleep(this.#options.relistMs(), timers).then(() => resolve('relist'), () => {});
      signal.addEventListener('abort', () => resolve('broken'), { once: true, signal: over.signal });
      stream.on('error', () => resolve('broken'));
      stream.on('end', () => resolve('broken'));
      const batch: IEvent[] = [];
      stream.on('data', (message: IWatchResponse) => {
        // Nothing of a stream that was given up: a newer one begins at the cursor.
        if (over.signal.aborted) return;
        if (message.created) created = true;
        const wanted = this.#message(message, batch);
        if (wanted) resolve(wanted);
      });
      this.#create(stream);
    });
    over.abort();
    stream.cancel();
    return end;
  }

  #create(stream: IDuplexStream<IWatchRequest, IWatchResponse>): void {
    stream.write({
      create_request: {
        key: Buffer.from(this.#range.start),
        range_end: Buffer.from(this.#range.end),
        start_revision: this.#cursor! + 1,
        progress_notify: true,
        // Without it a long backlog comes as one message of any size.
        fragment: true,
      },
    });
  }

  /** Takes in one message; `batch` holds the events of a revision that may not be complete yet. */
  #message(message: IWatchResponse, batch: IEvent[]): StreamEnd | null {
    if (Number(message.compact_revision) > 0) return 'compacted';
    if (message.canceled) return 'broken';
    const revision = Number(message.header.revision);
    if (message.created) {
      // A member that has seen less than we have is behind, or the data is not what it was.
      if (message.header.cluster_id !== this.#cluster || revision < this.#cursor!) return 'compacted';
      this.#setConnected(true);
      return null;
    }
    if (message.events.length === 0 && !message.fragment && batch.length === 0) {
      // A sign of life: nothing up to here that was not sent.
      if (revision > this.#cursor!) {
        this.#cursor = revision;
        this.#emit([], revision);
      }
      return null;
    }
    for (const event of message.events) batch.push(event);
    const complete = message.fragment ? wholeRevisions(batch) : batch.length;
    this.#apply(batch.splice(0, complete));
    return null;
  }

  #apply(events: readonly IEvent[]): void {
    const changes: Change[] = [];
    let cursor = this.#cursor!;
    for (const { type, kv } of events) {
      const revision = Number(kv.mod_revision);
      // Known faults of etcd 3.4 repeat events.
      if (revision <= this.#cursor!) continue;
      cursor = Math.max(cursor, revision);
      const key = kv.key.toString();
      if (type === 'Delete') {
        const old = this.#cache.get(key);
        if (!old) continue;
        this.#cache.delete(key);
        changes.push({ kind: old.kind, id: old.id, entry: null } as Change);
      } else {
        const entry = this.#decode(key, kv);
        if (!entry) continue;
        this.#cache.set(key, entry);
        changes.push({ kind: entry.kind, id: entry.id, entry } as Change);
      }
    }
    if (cursor === this.#cursor) return;
    this.#cursor = cursor;
    this.#emit(changes, cursor);
  }

  #decode(key: string, kv: IKeyValue): AnyEntry | null {
    const name = this.#options.keys.parse(key);
    if (!name || !this.#kinds.has(name.kind)) return null;
    return decodeEntry(name, kv, this.#options.log);
  }

  #emit(changes: readonly Change[], revision: number): void {
    try {
      this.#options.handler.changes(changes, revision);
    } catch (error) {
      this.#options.log.error('a watcher failed on changes', { error, revision });
    }
  }

  #setConnected(connected: boolean): void {
    if (connected === this.#connected) return;
    this.#connected = connected;
    try {
      this.#options.handler.connected?.(connected);
    } catch (error) {
      this.#options.log.error('a watcher failed on its connection', { error });
    }
  }
}

/** How many leading events belong to revisions of which nothing can follow: all but those of the last. */
function wholeRevisions(events: readonly IEvent[]): number {
  const last = events.at(-1)?.kv.mod_revision;
  let count = events.length;
  while (count > 0 && events[count - 1]!.kv.mod_revision === last) count--;
  return count;
}
