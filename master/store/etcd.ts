/** The store on etcd, the truth. */
import { randomBytes } from 'node:crypto';
import { systemClock } from '../../lib/clock.ts';
import type { Clock } from '../../lib/clock.ts';
import { silentLog } from '../../lib/log.ts';
import type { Log } from '../../lib/log.ts';
import { TsorchError } from '../../model/errors.ts';
import { Committer } from './etcd/committer.ts';
import { EtcdConnection } from './etcd/connection.ts';
import type { EtcdTls } from './etcd/connection.ts';
import { decodeEntry } from './etcd/decode.ts';
import { Informer } from './etcd/informer.ts';
import { holdLease } from './etcd/lease.ts';
import { listRange, readKey } from './etcd/list.ts';
import { keySpace } from './keys.ts';
import type { KeySpace } from './keys.ts';
import type { Entry, Epoch, Kind, Op, Store, WatchHandler } from './port.ts';

export type { EtcdTls } from './etcd/connection.ts';

export interface EtcdOptions {
  /** `https://127.0.0.1:2379`, one or more. */
  readonly endpoints: readonly string[];
  readonly tls?: EtcdTls;
  /** A name for this client that outlives the process, such as the master's id; random by default. No two may share one. */
  readonly client?: string;
  /** Prefix of all keys, ends in `/`. */
  readonly root?: string;
  readonly log?: Log;
  readonly clock?: Clock;
  /** Of each call, milliseconds. */
  readonly deadlineMs?: number;
  /** For how long a commit with a lost reply is looked into, milliseconds. */
  readonly settleMs?: number;
  /** Shortest time between two full lists of a watch; the longest is twice that. */
  readonly relistMs?: number;
}

export class EtcdStore implements Store {
  readonly #log: Log;
  readonly #clock: Clock;
  readonly #keys: KeySpace;
  /** Streams have a connection of their own, so that renewals never queue behind a large list. */
  readonly #calls: EtcdConnection;
  readonly #streams: EtcdConnection;
  readonly #committer: Committer;
  readonly #relistMs: number;
  readonly #ownsClient: boolean;
  readonly #closing = new AbortController();
  readonly #running = new Set<Promise<void>>();

  constructor(options: EtcdOptions) {
    this.#log = options.log ?? silentLog;
    this.#clock = options.clock ?? systemClock;
    this.#keys = keySpace(options.root);
    this.#relistMs = options.relistMs ?? 300_000;
    const connection = { endpoints: options.endpoints, deadlineMs: options.deadlineMs ?? 5000, ...(options.tls ? { tls: options.tls } : {}) };
    this.#calls = new EtcdConnection(connection);
    this.#streams = new EtcdConnection(connection);
    this.#ownsClient = options.client === undefined;
    this.#committer = new Committer({
      kv: this.#calls.kv,
      keys: this.#keys,
      client: options.client ?? randomBytes(8).toString('hex'),
      clock: this.#clock,
      settleMs: options.settleMs ?? 10_000,
    });
  }

  commit(ops: readonly Op[], epoch?: Epoch): Promise<{ readonly revision: number }> {
    return this.#committer.commit(ops, epoch);
  }

  async get<K extends Kind>(kind: K, id: string): Promise<Entry<K> | null> {
    const kv = await readKey(this.#calls.kv, this.#clock, this.#keys.key(kind, id));
    if (!kv) return null;
    const entry = decodeEntry({ kind, id }, kv, this.#log);
    if (!entry) throw new TsorchError('internal', `${kind}/${id} in etcd is not JSON`, { hint: 'put it right or delete it with etcdctl' });
    return entry as unknown as Entry<K>;
  }

  async list<K extends Kind>(kind: K): Promise<readonly Entry<K>[]> {
    const { kvs } = await listRange(this.#calls.kv, this.#clock, this.#keys.kind(kind));
    return kvs.flatMap((kv) => {
      const name = this.#keys.parse(kv.key.toString());
      const entry = name && decodeEntry(name, kv, this.#log);
      return entry ? [entry as unknown as Entry<K>] : [];
    });
  }

  watch(kinds: readonly Kind[], handler: WatchHandler, signal: AbortSignal): void {
    this.#track(new Informer({
      kv: this.#streams.kv,
      watch: this.#streams.watch,
      keys: this.#keys,
      kinds,
      handler,
      signal: AbortSignal.any([signal, this.#closing.signal]),
      clock: this.#clock,
      log: this.#log,
      relistMs: () => this.#relistMs * (1 + Math.random()),
    }).run());
  }

  async lease(ttlMs: number, signal: AbortSignal): Promise<{ readonly id: string; readonly lost: AbortSignal }> {
    const lease = await holdLease({ client: this.#streams.lease, clock: this.#clock, log: this.#log, ttlMs, signal: AbortSignal.any([signal, this.#closing.signal]) });
    this.#track(lease.done);
    return { id: lease.id, lost: lease.lost };
  }

  /** New calls and streams use the new client certificate. */
  rotate(tls: EtcdTls): void {
    this.#calls.rotate(tls);
    this.#streams.rotate(tls);
  }

  /** Ends all watches and revokes all leases. */
  async close(): Promise<void> {
    if (this.#closing.signal.aborted) return;
    this.#closing.abort(new TsorchError('aborted', 'the store was closed'));
    await Promise.all(this.#running);
    if (this.#ownsClient) await this.#committer.close().catch(() => {});
    this.#calls.close();
    this.#streams.close();
  }

  #track(running: Promise<void>): void {
    this.#running.add(running);
    void running.finally(() => this.#running.delete(running));
  }
}
