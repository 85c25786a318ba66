/**
 * One pod's worker: steps, keeps the record, does what the step says, steps again. It may die anywhere: the record is
 * written before anything is done that depends on it, and every action may be done twice.
 */
import path from 'node:path';
import type { Clock } from '../../lib/clock.ts';
import { failpoint } from '../../lib/failpoint.ts';
import type { Log } from '../../lib/log.ts';
import { Loop } from '../../lib/loop.ts';
import type { Assignment } from '../../model/assignment.ts';
import { describeError, isCode, TsorchError } from '../../model/errors.ts';
import type { PodStatus } from '../../model/pod.ts';
import type { Limit } from '../../lib/limit.ts';
import { containersOf } from '../../model/spec.ts';
import { parseSignal, SIGTERM } from '../runtime/spec/signal.ts';
import { isDiskFull, removeFile, writeWhole } from '../state.ts';
import { type Effects, type EffectPorts, imageFacts, type Prepared } from './effects.ts';
import { Asks } from './ask/asks.ts';
import { placeOf } from './ask/place.ts';
import { encodeRecord, type PodRecord } from './record.ts';
import { attemptFailed } from './step/absorb.ts';
import { afterSuccess, isEnding } from './step/blocked.ts';
import { limitsOf } from './step/limits.ts';
import { rebuild } from './step/rebuild.ts';
import { restartsOf } from './step/status.ts';
import { step } from './step/step.ts';
import { type Action, type Alone, type ContainerLocal, containerId, emptyTimers, neverAlone, newContainer, newLocal, type PodLocal, type StepInput, type StepResult, type Timers } from './step/types.ts';

export interface WorkerContext {
  readonly ports: EffectPorts;
  readonly effects: Effects;
  readonly clock: Clock;
  readonly log: Log;
  readonly signal: AbortSignal;
  /** Creating is the work that costs; all workers share it. */
  readonly limit: Limit;
  /** Called when something could not be taken down because the disk is full. */
  readonly makeRoom: () => void;
  readonly stateDir: string;
  readonly node: string;
  readonly bootId: string;
  /** Since when no master hears of this host. */
  alone(): Alone;
  /** `local`: for pods of manifests, whose addresses no master gives. */
  networkReady(local: boolean): boolean;
  report(status: PodStatus): void;
  /** The pod has left without a trace; `again` when the leader has asked for it once more meanwhile. */
  gone(podId: string, again: Assignment | null): void;
}

export interface RunningContainer {
  readonly container: string;
  readonly attempt: number;
  /** The runtime's. */
  readonly id: string;
  readonly pid: number;
}

/** Failpoints after an action. */
const done = {
  prepare: 'prepare.done', attach: 'attach.done', create: 'create.done', start: 'start.done', limit: 'limit.done', check: 'check.done', hook: 'hook.done', signal: 'signal.done',
  remove: 'remove.done', detach: 'detach.done', release: 'release.done', forget: 'forget.done',
} as const satisfies Record<Action['kind'], string>;

/** Waits after failures: first and longest, milliseconds. */
const retry = { first: 100, most: 10_000 };
/** Of one container; each is told with every status. */
const mostWarnings = 20;
/** Whoever brings an image says so; this is for when that was not heard. */
const waitMs = 30_000;
/** An image may take its time to be brought here, and its coming wakes the worker anyway. */
const imageRetry = { first: 1000, most: 30_000 };

export class PodWorker {
  readonly id: string;
  readonly #context: WorkerContext;
  readonly #loop: Loop;
  readonly #stop = new AbortController();
  #record: PodRecord;
  #timers: Timers = emptyTimers;
  #status: PodStatus;
  #prepared: Prepared = new Map();
  #netns: string | null = null;
  /** The record in memory is newer than the one on disk. */
  #unsaved: boolean;
  /** The leader's word is among what is not on disk. */
  #wordUnsaved: boolean;
  /** Asked for from outside, done at the next pass. */
  #unblock = false;
  #again: Assignment | null = null;
  /** What the pod waits for, as the last preparation said. */
  #waiting: string | null = null;
  readonly #asks: Asks;

  constructor(id: string, record: PodRecord, context: WorkerContext, saved: boolean) {
    this.id = id;
    this.#record = record;
    this.#context = context;
    this.#unsaved = !saved;
    this.#wordUnsaved = !saved;
    this.#status = this.#unseen();
    context.report(this.#status);
    const signal = AbortSignal.any([context.signal, this.#stop.signal]);
    this.#asks = new Asks({
      podId: id, runtime: context.ports.runtime, clock: context.clock, log: context.log, signal,
      place: (container, host) => placeOf(this.#assigned(), this.#pidOf(container), host),
      answered: () => this.mark(),
    });
    this.#loop = new Loop({ name: `pod ${id}`, clock: context.clock, log: context.log, signal, run: () => this.#pass(), maxBackoffMs: 2000 });
    this.#loop.mark();
  }

  /** The last status told. */
  get status(): PodStatus {
    return this.#status;
  }

  get assignment(): Assignment | null {
    return this.#record.assignment;
  }

  get removed(): boolean {
    return this.#record.removed;
  }

  get done(): Promise<void> {
    return this.#loop.done;
  }

  /** The running attempt of a container, the first when no name is given. */
  running(container?: string): RunningContainer | null {
    return this.allRunning().find(({ container: name }) => container === undefined || name === container) ?? null;
  }

  /** Every container that runs now. */
  allRunning(): readonly RunningContainer[] {
    const observed = this.#context.ports.view.of(this.id);
    return Object.entries(this.#record.local?.containers ?? {}).flatMap(([container, { attempt, state, started }]) => {
      const id = containerId(this.id, container, attempt);
      const found = state === 'live' && started ? observed.find((o) => o.id === id && o.state === 'running') : undefined;
      return found ? [{ container, attempt, id, pid: found.pid }] : [];
    });
  }

  /** The leader's word has come, perhaps the same as before. */
  assign(assignment: Assignment): void {
    // It is on its way out, and pods only move forward: it may begin anew when it is gone.
    if (this.#record.removed) {
      this.#again = assignment;
      return;
    }
    const found = this.#record.assignment === null;
    this.#record = { ...this.#record, assignment, withheld: [], local: found ? null : this.#record.local };
    this.#unsaved = true;
    this.#wordUnsaved = true;
    this.#unblock = true;
    // A master that asks again may have lost what was told.
    this.#context.report(this.#status);
    this.mark();
  }

  /** The leader does not list it any more: it is stopped and leaves without a trace. */
  remove(): void {
    this.#again = null;
    if (this.#record.removed) return;
    this.#record = { ...this.#record, removed: true };
    this.#unsaved = true;
    this.#wordUnsaved = true;
    this.#unblock = true;
    this.mark();
  }

  /** Nobody is to be sent to it any more; it runs on until it is removed. */
  drain(reason: string): void {
    const { assignment, removed } = this.#record;
    if (!assignment || removed || assignment.pod.desired !== 'running') return;
    this.#record = { ...this.#record, assignment: { ...assignment, pod: { ...assignment.pod, desired: 'draining', reason } } };
    this.#unsaved = true;
    this.mark();
  }

  /** Something it waited for may be there now. */
  poke(): void {
    this.#unblock = true;
    this.mark();
  }

  mark(): void {
    this.#loop.mark();
  }

  async #pass(): Promise<number | undefined> {
    if (!this.#context.ports.view.isSynced) {
      if (this.#unsaved) await this.#save(this.#record, this.#wordUnsaved);
      this.#tell(this.#unseen());
      return undefined;
    }
    for (;;) {
      this.#takeIn();
      await this.#rebuildIfNeeded();
      const input = this.#input();
      const result = step(input);
      const changed = JSON.stringify(result.local) !== JSON.stringify(input.local);
      const daring = result.actions.some((a) => a.kind === 'create' || a.kind === 'start' || a.kind === 'attach' || a.kind === 'prepare');
      // A record that is about to be deleted need not be true any more.
      const over = result.actions.some((a) => a.kind === 'forget');
      if (!over && (changed || this.#unsaved)) {
        try {
          await this.#save({ ...this.#record, local: result.local }, (this.#wordUnsaved && endsPod(this.#record)) || result.actions.some(mustBeDurable));
        } catch (error) {
          // A full disk must not keep a pod from being stopped.
          if (daring) return this.#blocked(error, input);
          this.#context.log.warn('pod record not written', { pod: this.id, error });
          this.#record = { ...this.#record, local: result.local };
        }
      } else this.#record = { ...this.#record, local: result.local };
      this.#timers = result.timers;
      this.#asks.taken(input.answers.length);
      this.#tell(this.#stillWaiting(result));
      if (result.actions.length === 0) return result.wakeIn;
      await this.#perform(result.actions);
      if (this.#stop.signal.aborted || this.#context.signal.aborted) return undefined;
    }
  }

  /** While it looks again for what it waited for, it says so as before. */
  #stillWaiting({ status, actions }: StepResult): PodStatus {
    const looks = this.#waiting !== null && status.message === '' && actions.some((action) => action.kind === 'prepare');
    return looks ? { ...status, message: this.#waiting ?? '' } : status;
  }

  #input(): StepInput {
    const { ports, node, bootId, clock } = this.#context;
    return {
      podId: this.id,
      node,
      assignment: this.#record.assignment,
      removed: this.#record.removed,
      local: this.#record.local ?? newLocal(bootId, clock.now()),
      timers: this.#timers,
      observed: ports.view.of(this.id),
      answers: this.#asks.answers,
      oomKilled: ports.view.oomKilled(this.id),
      networkReady: this.#context.networkReady(this.#record.assignment?.manifest !== undefined),
      bootId,
      // Pods of the host's own manifests have nothing to do with masters.
      alone: this.#record.assignment?.manifest ? neverAlone : this.#context.alone(),
      now: clock.monotonic(),
      wall: clock.now(),
    };
  }

  /** What came in from outside since the last pass. */
  #takeIn(): void {
    if (this.#unblock) this.#timers = { ...this.#timers, blocked: null };
    this.#unblock = false;
  }

  async #rebuildIfNeeded(): Promise<void> {
    if (this.#record.local) return;
    const { ports, bootId, clock } = this.#context;
    const template = this.#record.assignment?.template ?? null;
    const lastAttempts: Record<string, number> = {};
    for (const { name } of template ? containersOf(template) : []) lastAttempts[name] = await ports.logs.lastAttempt(this.id, name);
    const local = rebuild({ podId: this.id, observed: ports.view.of(this.id), lastAttempts, bootId, wall: clock.now() }, template);
    this.#record = { ...this.#record, local };
    this.#unsaved = true;
  }

  async #save(record: PodRecord, sync: boolean): Promise<void> {
    const before = this.#record;
    const word = this.#wordUnsaved;
    this.#unsaved = false;
    this.#wordUnsaved = false;
    try {
      // What a master has not been asked about yet is in containerd, not here.
      if (record.assignment || record.removed) await writeWhole(path.join(this.#context.stateDir, 'pods', `${this.id}.json`), encodeRecord(record), { sync });
      failpoint('save.done', this.id);
    } catch (error) {
      this.#unsaved = true;
      this.#wordUnsaved ||= word;
      throw error;
    }
    // The leader's word may have changed while it was written.
    this.#record = this.#record === before ? record : { ...this.#record, local: this.#record.local && record.local };
  }

  #tell(status: PodStatus): void {
    const changed = JSON.stringify(status) !== JSON.stringify(this.#status);
    this.#status = status;
    if (changed) this.#context.report(status);
  }

  /** While the runtime has not answered the record's word stands. */
  #unseen(): PodStatus {
    const { local, assignment } = this.#record;
    const { node, clock } = this.#context;
    return {
      id: this.id,
      node,
      phase: local?.phase ?? 'assigned',
      ready: local?.ready ?? false,
      message: '',
      restarts: local ? restartsOf(assignment?.template ?? null, local) : 0,
      since: local?.since ?? clock.now(),
      containers: assignment?.template.containers.map(({ name, image }) => ({ name, image })) ?? [],
    };
  }

  async #perform(actions: readonly Action[]): Promise<void> {
    this.#waiting = null;
    const results = await Promise.allSettled(actions.map((action) => this.#act(action)));
    // An ending that failed weighs more than a beginning: it holds up both.
    const failures = results.flatMap((result, i) => (result.status === 'rejected' ? [{ reason: result.reason as unknown, ends: isEnding(actions[i]), by: actions[i]?.kind }] : []));
    const failed = failures.find(({ ends }) => ends) ?? failures[0];
    if (failed) this.#blocked(failed.reason, this.#input(), failed);
    else if (this.#waiting !== null) this.#timers = { ...this.#timers, blocked: { message: this.#waiting, until: this.#input().now + waitMs, tries: 0, ends: false } };
    else this.#timers = { ...this.#timers, blocked: afterSuccess(this.#timers.blocked, actions) };
    if (actions.some((a) => a.kind === 'release') && !failed) this.#setLocal((local) => ({ ...local, released: true }));
  }

  /** Notes a failure, and says when to try again. */
  #blocked(error: unknown, input: StepInput, { ends, by }: { readonly ends: boolean; readonly by?: Action['kind'] | undefined } = { ends: false }): number {
    const tries = (this.#timers.blocked?.tries ?? 0) + 1;
    if (ends && isDiskFull(error)) this.#context.makeRoom();
    const { first, most } = isCode(error, 'not-found') ? imageRetry : retry;
    const wait = Math.min(first * 2 ** Math.min(tries - 1, 20), most);
    const message = !(error instanceof TsorchError) && isDiskFull(error) ? "no space left on the host's disk" : describeError(error);
    this.#timers = { ...this.#timers, blocked: { message, until: input.now + wait, tries, ends, ...(by === undefined ? {} : { by }) } };
    this.#context.log.warn('pod waits', { pod: this.id, error: describeError(error), ms: wait });
    this.#tell({ ...this.#status, message });
    return wait;
  }

  async #act(action: Action): Promise<void> {
    failpoint(action.kind, this.id);
    await this.#do(action);
    failpoint(done[action.kind], this.id);
  }

  async #do(action: Action): Promise<void> {
    const { effects, ports, limit, stateDir } = this.#context;
    switch (action.kind) {
      case 'prepare':
        return this.#prepare();
      case 'attach':
        this.#netns = await limit.run(() => effects.attach(this.#assigned()));
        this.#timers = { ...this.#timers, attached: true };
        return;
      case 'create':
        // Pods that are prepared go on before others begin, so that the runtime has work from the first one on.
        return limit.run(() => this.#create(action.container, action.attempt), { urgent: true });
      case 'start':
        return this.#ownFault(action.container, action.attempt, () => effects.start(containerId(this.id, action.container, action.attempt)));
      case 'limit':
        return this.#limit(action.container, action.attempt);
      case 'check':
        this.#asks.check(action);
        return;
      case 'hook':
        this.#asks.hook(action);
        return;
      case 'signal':
        return this.#signal(action.id, action.signal);
      case 'remove':
        return effects.remove(this.id, action.id);
      case 'detach':
        await ports.network.detach(this.id);
        this.#netns = null;
        this.#timers = { ...this.#timers, attached: false };
        return;
      case 'release':
        return effects.release(this.id);
      case 'forget':
        await removeFile(path.join(stateDir, 'pods', `${this.id}.json`));
        ports.view.forget(this.id);
        this.#stop.abort();
        this.#context.gone(this.id, this.#again);
    }
  }

  async #prepare(): Promise<void> {
    // Somebody else's server or plugin may take its time: not that of the pods that wait for their turn.
    await this.#context.effects.attachVolumes(this.#assigned());
    const result = await this.#context.limit.run(() => this.#context.effects.prepare(this.#assigned(), this.#record.withheld));
    if (result.kind === 'waiting') {
      this.#waiting = result.message;
      return;
    }
    this.#prepared = result.prepared;
    this.#timers = { ...this.#timers, prepared: true };
    this.#setLocal((local) => {
      const containers = { ...local.containers };
      for (const [name, { image }] of this.#prepared) containers[name] = { ...(containers[name] ?? newContainer), image: imageFacts(image) };
      return { ...local, containers };
    });
  }

  async #create(container: string, attempt: number): Promise<void> {
    try {
      await this.#ownFault(container, attempt, async () => {
        const warnings = await this.#context.effects.create(this.#assigned(), container, attempt, this.#prepared, this.#netns);
        const before = this.#record.local?.containers[container] ?? newContainer;
        if (warnings.length > 0 || before.warnings) this.#setLocal((local) => ({ ...local, containers: { ...local.containers, [container]: withWarnings(before, warnings) } }));
      });
    } catch (error) {
      // Whatever was prepared may be what failed it: the image may have been removed meanwhile.
      this.#timers = { ...this.#timers, prepared: false };
      throw error;
    }
  }

  /** Limits that cannot be had now are told, and are those of the next attempt: nothing is stopped for them. */
  async #limit(name: string, attempt: number): Promise<void> {
    const spec = containersOf(this.#assigned().template).find((container) => container.name === name);
    if (!spec) return;
    let warnings: readonly string[] = [];
    try {
      warnings = await this.#context.ports.runtime.update(containerId(this.id, name, attempt), spec.limits, spec.blkio);
      this.#context.log.info('limits changed', { pod: this.id, container: name });
    } catch (error) {
      const over = isCode(error, 'conflict');
      if (!over && error instanceof TsorchError && error.retryable) throw error;
      // It has just ended, or the kernel does not take them while it runs: its next attempt has them.
      if (over) this.#context.ports.view.refresh();
      else warnings = [`limits not changed before the next start: ${describeError(error)}`];
    }
    const before = this.#record.local?.containers[name];
    if (before?.attempt === attempt) this.#setLocal((local) => ({ ...local, containers: { ...local.containers, [name]: { ...withWarnings(before, warnings), limits: limitsOf(spec) } } }));
  }

  /** An error that is the container's own (its command, its mounts) ends the attempt; others are tried again. */
  async #ownFault(container: string, attempt: number, work: () => Promise<void>): Promise<void> {
    try {
      await work();
    } catch (error) {
      if (isCode(error, 'not-found')) this.#context.ports.view.refresh();
      if (!isCode(error, 'invalid')) throw error;
      await this.#context.effects.remove(this.id, containerId(this.id, container, attempt));
      const plan = this.#assigned().template;
      this.#setLocal((local) => ({ ...local, containers: { ...local.containers, [container]: attemptFailed(this.#input(), plan, container, describeError(error)) } }));
      this.#timers = { ...this.#timers, prepared: false };
    }
  }

  async #signal(id: string, name: string): Promise<void> {
    this.#asks.endHook(id);
    let number: number;
    try {
      number = parseSignal(name);
    } catch {
      number = SIGTERM;
    }
    try {
      await this.#context.ports.runtime.kill(id, number);
    } catch (error) {
      const { [id]: unsent, ...endings } = this.#timers.endings;
      if (unsent) this.#timers = { ...this.#timers, endings: { ...endings, [id]: { ...unsent, signalledAt: unsent.killedAt === null ? null : unsent.signalledAt, killedAt: null } } };
      throw error;
    }
  }

  /** 0 when it does not run: then there is nowhere to ask. */
  #pidOf(container: string): number {
    const id = containerId(this.id, container, this.#record.local?.containers[container]?.attempt ?? 0);
    return this.#context.ports.view.of(this.id).find((o) => o.id === id)?.pid ?? 0;
  }

  #assigned(): Assignment {
    if (!this.#record.assignment) throw new TsorchError('internal', `pod ${this.id} has no assignment`);
    return this.#record.assignment;
  }

  #setLocal(change: (local: PodLocal) => PodLocal): void {
    if (!this.#record.local) return;
    this.#record = { ...this.#record, local: change(this.#record.local) };
    this.#unsaved = true;
  }
}

/** Kept until the next attempt says others. */
function withWarnings(container: ContainerLocal, warnings: readonly string[]): ContainerLocal {
  const { warnings: _before, ...rest } = container;
  return warnings.length > 0 ? { ...rest, warnings: warnings.slice(0, mostWarnings).map((text) => text.slice(0, 500)) } : rest;
}

/**
 * Whether the record must survive a power cut before this is done. An agent's own death loses nothing that was written; and
 * after a power cut every attempt has ended, so all that counts is which were given out, and that a pod was being stopped.
 */
function mustBeDurable(action: Action): boolean {
  return action.kind === 'create' || action.kind === 'signal';
}

/** The leader's word, as far as a power cut must not undo it: a pod that was told to end may not run again when no master is there. */
function endsPod(record: PodRecord): boolean {
  return record.removed || record.assignment?.pod.desired === 'stopped';
}
