/**
 * Keeps the table and hands it to every proxy's stream: whole at first, then changes. Knows which revision each proxy has
 * in its kernel, which is what the drain handshake waits for.
 *
 * A burst of store changes becomes one update: rebuilding waits for the end of the current turn of the event loop, and takes at
 * most a fifth of the time, so that the first change is told at once and later ones of the same burst together. What concerns nobody
 * without pods, as a service that was just applied, waits a little for the pods that follow it. Pods are told of at once: one that
 * runs before its host's rules know it would be refused by all it connects to.
 */
import { setImmediate } from 'node:timers/promises';
import type { ServerDuplexStream } from '@grpc/grpc-js';
import { emptyTable, type ServiceTable, type TableUpdate } from '../../model/table.ts';
import type { Clock } from '../../lib/clock.ts';
import type { Log } from '../../lib/log.ts';
import { TableChange, type TableAck } from '../../proto/gen/tsorch/node.ts';
import type { NodeState } from '../../model/node.ts';
import type { Change, Kind } from '../store/port.ts';
import type { World } from '../world.ts';
import { buildTable, diffTables, fullUpdate } from './build.ts';

/** Proxies of a master that was away are back by then. */
const settleMs = 5_000;
/** Between two rebuilds: so many times what the first one took, and never longer than `most`. */
const pause = { times: 4, mostMs: 50 } as const;
/** A service's pods are in the store by then. */
const followMs = 40;

export type TableStream = ServerDuplexStream<TableAck, TableChange>;

interface Watcher {
  readonly node: string;
  readonly stream: TableStream;
  /** Last revision sent; 0 before the first. */
  sent: number;
  acked: number;
  /** The stream's buffer is full: what it misses meanwhile is made up for by one full update once it drains. */
  blocked: boolean;
  missed: boolean;
}

export class TablePublisher {
  readonly #world: World;
  readonly #stateOf: (nodeId: string) => NodeState;
  readonly #clock: Clock;
  readonly #log: Log;
  readonly #signal: AbortSignal;
  readonly #onWatcher: (node: string, began: boolean) => void;
  readonly #watchers = new Set<Watcher>();
  /** Nodes whose proxy is or was here. After a master's start: of which it may be thought. */
  readonly #seen: Set<string>;
  readonly #watched = new Set<string>();
  readonly #ackListeners = new Set<() => void>();
  #table: ServiceTable = emptyTable;
  #revision = 0;
  #scheduled = false;
  /** Ends the wait for what follows. */
  #hurry: AbortController | undefined;
  #notBefore = 0;
  #bookmarkFor = 0;

  constructor(options: { world: World; stateOf: (nodeId: string) => NodeState; clock: Clock; log: Log; signal: AbortSignal; onWatcher?: (node: string, began: boolean) => void }) {
    this.#world = options.world;
    this.#stateOf = options.stateOf;
    this.#clock = options.clock;
    this.#log = options.log;
    this.#signal = options.signal;
    this.#onWatcher = options.onWatcher ?? (() => {});
    this.#seen = new Set(options.world.maps.nodes.keys());
    options.clock.sleep(settleMs, options.signal).then(() => {
      for (const node of this.#seen) if (!this.#watched.has(node)) this.#seen.delete(node);
      this.#notify();
    }, () => {});
    options.world.subscribe((changes) => (changes.some(isPressing) ? this.refresh() : this.#schedule(followMs)), options.signal);
  }

  get table(): ServiceTable {
    return this.#table;
  }

  /** At once. Node states are not in the store, so their changes are told here. */
  refresh(): void {
    this.#hurry?.abort('now');
    this.#schedule(0);
  }

  #schedule(afterMs: number): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    void this.#due(afterMs).then(() => {
      if (!this.#signal.aborted) this.#pass();
    });
  }

  async #due(afterMs: number): Promise<void> {
    if (afterMs > 0) {
      this.#hurry = new AbortController();
      await this.#clock.sleep(afterMs, AbortSignal.any([this.#signal, this.#hurry.signal])).catch(() => {});
      this.#hurry = undefined;
    }
    const early = this.#notBefore - this.#clock.monotonic();
    if (early > 0) return this.#clock.sleep(early, this.#signal).catch(() => {});
    // Two turns: what others write on hearing of the change has left by then.
    await setImmediate();
    await setImmediate();
  }

  #pass(): void {
    this.#scheduled = false;
    const started = this.#clock.monotonic();
    this.#rebuild();
    const ended = this.#clock.monotonic();
    this.#notBefore = ended + Math.min((ended - started) * pause.times, pause.mostMs);
  }

  serve(node: string, stream: TableStream): void {
    const watcher: Watcher = { node, stream, sent: 0, acked: 0, blocked: false, missed: false };
    const end = () => {
      if (this.#watchers.delete(watcher)) {
        this.#log.info('proxy left', { node });
        this.#onWatcher(node, false);
        this.#notify();
      }
    };
    stream.on('data', (ack: TableAck) => {
      watcher.acked = Math.max(watcher.acked, ack.revision);
      this.#notify();
    });
    stream.on('drain', () => {
      watcher.blocked = false;
      if (!watcher.missed) return;
      watcher.missed = false;
      this.#send(watcher, fullUpdate(this.#table, this.#revision));
    });
    stream.on('end', () => {
      end();
      stream.end();
    });
    stream.on('error', end);
    stream.on('cancelled', end);
    this.#watchers.add(watcher);
    this.#seen.add(node);
    this.#watched.add(node);
    this.#onWatcher(node, true);
    this.#log.info('proxy watches', { node });
    if (this.#revision > 0) this.#send(watcher, fullUpdate(this.#table, this.#revision));
  }

  /**
   * Whether the proxy of every node that is not given up has the table of `revision` or a later one in its kernel. One that has just left
   * still routes by what it had, so it counts until it is back or its node is down; so do, after a start, those that have not had the time to come.
   */
  everyoneHas(revision: number): boolean {
    const having = new Set<string>();
    for (const watcher of this.#watchers) {
      if (watcher.acked < revision) return false;
      having.add(watcher.node);
    }
    for (const node of this.#seen) {
      if (having.has(node)) continue;
      if (!this.#world.maps.nodes.has(node)) {
        this.#seen.delete(node);
        this.#watched.delete(node);
      } else if (this.#stateOf(node) !== 'down') return false;
    }
    return true;
  }

  /** Asks for an acknowledgement of `revision` even if the table does not change with it. */
  request(revision: number): void {
    if (revision <= this.#bookmarkFor) return;
    this.#bookmarkFor = revision;
    this.refresh();
  }

  onAck(listener: () => void, signal: AbortSignal): void {
    this.#ackListeners.add(listener);
    signal.addEventListener('abort', () => this.#ackListeners.delete(listener), { once: true });
  }

  #notify(): void {
    for (const listener of this.#ackListeners) listener();
  }

  #rebuild(): void {
    const revision = this.#world.revision;
    const next = buildTable(this.#world.maps, this.#stateOf);
    const first = this.#revision === 0;
    const update = first ? fullUpdate(next, revision) : diffTables(this.#table, next, revision);
    this.#table = next;
    this.#revision = revision;
    for (const watcher of this.#watchers) {
      if (watcher.blocked) watcher.missed ||= update !== null || watcher.sent < this.#bookmarkFor;
      else if (update) this.#send(watcher, watcher.sent === 0 ? fullUpdate(next, revision) : update);
      else if (watcher.sent === 0) this.#send(watcher, fullUpdate(next, revision));
      else if (watcher.sent < this.#bookmarkFor) this.#send(watcher, { revision, full: false, services: {}, pods: {}, nodes: {}, networks: {} });
    }
  }

  #send(watcher: Watcher, update: TableUpdate): void {
    watcher.sent = update.revision;
    watcher.blocked = !watcher.stream.write(encodeUpdate(update));
  }
}

const pressing: ReadonlySet<Kind> = new Set(['pods', 'podstatus', 'staticpods', 'nodes', 'nodestatus']);

function isPressing({ kind }: Change): boolean {
  return pressing.has(kind);
}

export function encodeUpdate(update: TableUpdate): TableChange {
  const encode = (part: Readonly<Record<string, unknown>>) =>
    Object.fromEntries(Object.entries(part).map(([key, value]) => [key, value === null ? '' : JSON.stringify(value)]));
  return {
    revision: update.revision, full: update.full,
    services: encode(update.services), pods: encode(update.pods), nodes: encode(update.nodes), networks: encode(update.networks),
  };
}
