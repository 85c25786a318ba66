/**
 * What the runtime holds, kept at hand: listed once, then followed by events and by the agent's own calls, and listed again
 * after every reconnect and now and then, because events may be lost.
 */
import type { Clock } from '../../lib/clock.ts';
import type { Log } from '../../lib/log.ts';
import { Loop } from '../../lib/loop.ts';
import type { ExitStatus, Runtime, RuntimeContainer } from '../runtime/port.ts';
import type { Observed } from './step/types.ts';

export interface ViewOptions {
  readonly runtime: Runtime;
  readonly clock: Clock;
  readonly log: Log;
  readonly signal: AbortSignal;
  /** Called with every pod whose containers changed. */
  readonly changed: (podId: string) => void;
  /** How often everything is listed though nothing happened. */
  readonly relistMs?: number;
}

interface Entry extends Observed {
  readonly podId: string;
  /** Counts changes: a list that was begun before one cannot undo it. */
  readonly version: number;
}

const order = { unknown: 0, created: 1, running: 2, stopped: 3 } as const;

export class RuntimeView {
  readonly #options: ViewOptions;
  readonly #containers = new Map<string, Entry>();
  readonly #byPod = new Map<string, Set<string>>();
  /** Containers that ran out of memory; the word may come after the exit. */
  readonly #oomKilled = new Map<string, Set<string>>();
  /** Ids removed, with the version of the removal, until a later list has confirmed it. */
  readonly #removed = new Map<string, number>();
  readonly #loop: Loop;
  #version = 0;
  #synced = false;
  #onSynced: (() => void)[] = [];

  constructor(options: ViewOptions) {
    this.#options = options;
    const { runtime, clock, log, signal } = options;
    this.#loop = new Loop({ name: 'container list', clock, log, signal, run: () => this.#relist(), maxBackoffMs: 2000 });
    // Subscribe before listing: what happens in between is then seen by both.
    runtime.watch({ exit: (id, status) => this.exited(id, status), oom: (id) => this.#oom(id), resync: () => this.#loop.mark() }, signal);
    this.#loop.mark();
  }

  /** Resolves after the first complete list. */
  synced(): Promise<void> {
    return this.#synced ? Promise.resolve() : new Promise((resolve) => this.#onSynced.push(resolve));
  }

  get isSynced(): boolean {
    return this.#synced;
  }

  get done(): Promise<void> {
    return this.#loop.done;
  }

  of(podId: string): readonly Observed[] {
    return [...(this.#byPod.get(podId) ?? [])].flatMap((id) => this.#containers.get(id) ?? []);
  }

  /** Ids of the pod's containers that ran out of memory since the agent began, also of removed ones. */
  oomKilled(podId: string): ReadonlySet<string> {
    return this.#oomKilled.get(podId) ?? none;
  }

  pods(): readonly string[] {
    return [...this.#byPod.keys()];
  }

  /** Forgets what is kept beyond the containers themselves. */
  forget(podId: string): void {
    this.#oomKilled.delete(podId);
  }

  /** A container that the agent has just created. */
  created(container: RuntimeContainer): void {
    this.#removed.delete(container.id);
    this.#put(container);
  }

  started(id: string): void {
    const entry = this.#containers.get(id);
    if (entry) this.#put({ ...entry, state: 'running' });
  }

  exited(id: string, exit: ExitStatus): void {
    const entry = this.#containers.get(id);
    if (entry) this.#put({ ...entry, state: 'stopped', exit });
    // Somebody else's, or one whose creation is still being answered: a list will tell.
    else this.#loop.mark();
  }

  removed(id: string): void {
    const entry = this.#containers.get(id);
    this.#removed.set(id, ++this.#version);
    if (!entry) return;
    this.#delete(id, entry.podId);
  }

  /** Something did not fit what is at hand: look again. */
  refresh(): void {
    this.#loop.mark();
  }

  async #relist(): Promise<number> {
    const begun = this.#version;
    const listed = await this.#options.runtime.list();
    const ids = new Set(listed.map((c) => c.id));
    for (const container of listed) {
      const removedAt = this.#removed.get(container.id);
      if (removedAt === undefined || removedAt <= begun) this.#put(container);
    }
    for (const [id, entry] of this.#containers) {
      // What appeared or changed while the list was made may be missing from it rightly.
      if (ids.has(id) || entry.version > begun) continue;
      this.#delete(id, entry.podId);
    }
    for (const [id, at] of this.#removed) if (at <= begun) this.#removed.delete(id);
    if (!this.#synced) {
      this.#synced = true;
      for (const resolve of this.#onSynced.splice(0)) resolve();
    }
    return this.#options.relistMs ?? 30_000;
  }

  #oom(id: string): void {
    const podId = this.#containers.get(id)?.podId ?? id.split('.')[0] ?? '';
    const known = this.#oomKilled.get(podId) ?? new Set<string>();
    this.#oomKilled.set(podId, known.add(id));
    this.#options.changed(podId);
  }

  #delete(id: string, podId: string): void {
    this.#containers.delete(id);
    const ids = this.#byPod.get(podId);
    ids?.delete(id);
    if (ids?.size === 0) this.#byPod.delete(podId);
    this.#options.changed(podId);
  }

  /** States only move on: a list may be older than an event. */
  #put(found: RuntimeContainer | Entry): void {
    const before = this.#containers.get(found.id);
    const exit = found.exit ?? before?.exit;
    const next: Omit<Entry, 'version'> = {
      id: found.id,
      podId: found.podId,
      state: before !== undefined && order[found.state] < order[before.state] ? before.state : found.state,
      pid: found.pid || (before?.pid ?? 0),
      ...(exit ? { exit } : {}),
    };
    if (before !== undefined && before.state === next.state && before.pid === next.pid && before.exit?.code === next.exit?.code) return;
    this.#containers.set(found.id, { ...next, version: ++this.#version });
    const ids = this.#byPod.get(found.podId) ?? new Set<string>();
    this.#byPod.set(found.podId, ids.add(found.id));
    this.#options.changed(found.podId);
  }
}

const none: ReadonlySet<string> = new Set();
