/**
 * The leader's work on volumes: takes the steps that steps.ts decides, asks nodes, and remembers what people want to see of it: how far a copy
 * is, what is waited for, why a move was given up. None of that is stored; a new leader begins with the records alone and goes on.
 */
import { Loop } from '../../lib/loop.ts';
import { describeError, isCode, TsorchError } from '../../model/errors.ts';
import { commitAsLeader, type Context } from '../context.ts';
import type { Planner } from '../controllers/planner.ts';
import { ask, hold } from './nodes.ts';
import { cleared, type VolumeJob, volumeSteps } from './steps.ts';

export interface CopyProgress {
  readonly phase: 'copying' | 'verifying';
  /** Bytes of files' data; `total` is what they take on the source's disk. */
  readonly bytes: number;
  readonly total: number | null;
}

interface Running {
  readonly job: VolumeJob;
  readonly stop: AbortController;
}

/** So many failures that might pass are waited out, of a copy. Each goes on from where the one before broke off. */
const mostTries = 8;
const retryMs = { first: 200, most: 5_000 };

export class VolumeWork {
  readonly progress = new Map<string, CopyProgress>();
  /** By volume: what is waited for, or what failed last. */
  readonly waits = new Map<string, string>();
  /** By move: why it was given up. */
  readonly failures = new Map<string, string>();
  readonly #context: Context;
  readonly #planner: Planner;
  readonly #running = new Map<string, Running>();
  readonly #tries = new Map<string, number>();
  /** Monotonic times before which a job is not tried again. */
  readonly #due = new Map<string, number>();
  readonly #listeners = new Set<() => void>();
  #loop: Loop | undefined;

  constructor(context: Context, planner: Planner) {
    this.#context = context;
    this.#planner = planner;
  }

  /** Until the lead ends. */
  start(signal: AbortSignal): Loop {
    const { world, clock, log } = this.#context;
    const loop = new Loop({ name: 'volumes', clock, log, signal, run: () => this.#pass(signal) });
    this.#loop = loop;
    world.subscribe((changes) => {
      if (this.#isIdle() && !changes.some((change) => change.kind === 'volumes')) return;
      if (changes.some((change) => change.kind === 'volumes' || change.kind === 'pods' || change.kind === 'podstatus' || change.kind === 'sessions' || change.kind === 'nodes')) loop.mark();
    }, signal);
    this.#planner.onSettled(() => {
      if (!this.#isIdle()) loop.mark();
    }, signal);
    signal.addEventListener('abort', () => {
      for (const { stop } of this.#running.values()) stop.abort(signal.reason);
    }, { once: true });
    loop.mark();
    return loop;
  }

  /** Calls back whenever there is something new to see. */
  onNews(listener: () => void, signal: AbortSignal): void {
    this.#listeners.add(listener);
    signal.addEventListener('abort', () => this.#listeners.delete(listener), { once: true });
  }

  /** Whether the session of a node with a volume came or went matters to nobody. */
  #isIdle(): boolean {
    return !Array.from(this.#context.world.maps.volumes.values()).some(({ value }) => value.removing || value.move || value.stale);
  }

  async #pass(signal: AbortSignal): Promise<number | undefined> {
    const { world, sessions, liveness, events, clock } = this.#context;
    const steps = volumeSteps(world.maps, {
      connected: (node) => sessions.has(node),
      down: (node) => liveness.state(node) === 'down',
      settled: this.#planner.settled,
      scope: (driver) => this.#planner.state.driverScope(driver),
      failed: (move) => this.failures.get(move),
    });
    const wanted = new Set(steps.jobs.map(keyOf));
    for (const [key, { stop }] of this.#running) if (!wanted.has(key)) stop.abort(new TsorchError('aborted', 'it is not wanted any more'));
    this.waits.clear();
    for (const [volume, text] of steps.waits) this.waits.set(volume, text);
    for (const { ops, volumes, event } of steps.commits) {
      await commitAsLeader(this.#context, ops);
      for (const volume of volumes) events.add(`volume/${volume}`, event);
    }
    const now = clock.monotonic();
    let next: number | undefined;
    for (const job of steps.jobs) {
      const key = keyOf(job);
      const due = this.#due.get(key) ?? 0;
      if (this.#running.has(key)) continue;
      if (due > now) next = Math.min(next ?? Infinity, due - now);
      else this.#begin(key, job, signal);
    }
    this.#tell();
    if (steps.commits.length > 0) this.#loop?.mark();
    // A node that goes down tells nobody: time does.
    return steps.waits.size > 0 || steps.jobs.length > 0 ? Math.min(next ?? 500, 500) : next;
  }

  #begin(key: string, job: VolumeJob, signal: AbortSignal): void {
    const stop = new AbortController();
    this.#running.set(key, { job, stop });
    void this.#do(job, AbortSignal.any([stop.signal, signal])).then(
      () => {
        this.#due.delete(key);
        this.#tries.delete(key);
      },
      (error: unknown) => {
        if (!stop.signal.aborted && !signal.aborted) this.#failed(key, job, error);
      },
    ).finally(() => {
      this.#running.delete(key);
      this.#loop?.mark();
    });
  }

  #failed(key: string, job: VolumeJob, error: unknown): void {
    const { clock, log } = this.#context;
    const tries = (this.#tries.get(key) ?? 0) + 1;
    this.#tries.set(key, tries);
    this.#due.set(key, clock.monotonic() + Math.min(retryMs.first * 2 ** (tries - 1), retryMs.most));
    log.warn('volume not done with', { ...job, error: describeError(error), tries });
    if (job.kind !== 'copy') return;
    const passes = isCode(error, 'unavailable') || isCode(error, 'timeout') || isCode(error, 'aborted');
    if (!passes || tries >= mostTries) this.failures.set(job.move, describeError(error));
  }

  async #do(job: VolumeJob, signal: AbortSignal): Promise<void> {
    switch (job.kind) {
      case 'remove': return this.#remove(job);
      case 'discard':
        await ask(this.#context, job.node, 'volume-discard', { name: job.volume, move: job.move });
        return this.#clear(job.volume, job.node, job.move);
      case 'copy': return this.#copy(job, signal);
    }
  }

  async #remove(job: Extract<VolumeJob, { kind: 'remove' }>): Promise<void> {
    const { world } = this.#context;
    try {
      await ask(this.#context, job.node, 'volume-rm', { name: job.volume, driver: job.driver, forget: job.forget });
    } catch (error) {
      this.waits.set(job.volume, describeError(error));
      const entry = world.entry('volumes', job.volume);
      // A pod of that host has it after all: it stays, and whoever asked hears why.
      if (isCode(error, 'conflict') && entry?.value.removing === 'asked') {
        const { removing: _asked, ...value } = entry.value;
        this.failures.set(`removing ${job.volume}`, describeError(error));
        await commitAsLeader(this.#context, [{ op: 'put', kind: 'volumes', id: job.volume, value, guard: entry.revision }]);
        return;
      }
      throw error;
    }
    await this.#clear(job.volume, job.node, undefined);
  }

  async #clear(volume: string, node: string, move: string | undefined): Promise<void> {
    const entry = this.#context.world.entry('volumes', volume);
    if (entry) await commitAsLeader(this.#context, [{ op: 'put', kind: 'volumes', id: volume, value: cleared(entry.value, node, move), guard: entry.revision }]);
  }

  async #copy({ volume: name, from, to, move }: Extract<VolumeJob, { kind: 'copy' }>, signal: AbortSignal): Promise<void> {
    const { world } = this.#context;
    const source = world.get('nodestatus', from);
    const record = world.get('volumes', name);
    if (!source?.blobPort) throw new TsorchError('unsupported', `${world.get('nodes', from)?.name ?? from} serves nothing to other nodes`, { hint: 'start its host program without --blob-port none' });
    if (!record) return;
    const target = { name, move, driverOpts: record.driverOpts, from: { id: from, address: source.address, port: source.blobPort } };
    let total: number | null = null;
    await ask(this.#context, from, 'volume-usage', { name }, (bytes) => {
      total = typeof bytes === 'number' ? bytes : null;
    });
    await hold(this.#context, from, 'volume-offer', { name, move, to }, (offered) => ask(this.#context, to, 'volume-receive', { ...target, offered }, (step) => {
      this.progress.set(name, { ...(step as Omit<CopyProgress, 'total'>), total });
      this.#tell();
    }, signal));
    signal.throwIfAborted();
    const entry = world.entry('volumes', name);
    if (entry?.value.move?.id === move) await commitAsLeader(this.#context, [{ op: 'put', kind: 'volumes', id: name, value: { ...entry.value, move: { ...entry.value.move, phase: 'copied' } }, guard: entry.revision }]);
    this.progress.delete(name);
  }

  #tell(): void {
    for (const listener of this.#listeners) listener();
  }
}

function keyOf(job: VolumeJob): string {
  return JSON.stringify(job);
}
