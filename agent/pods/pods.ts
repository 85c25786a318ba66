/**
 * All pods of this host. Begins with what is on disk and what the runtime still runs, follows the leader's word and the host's own
 * manifests', each for its own pods, and ends what nobody asked for, but only once all of them have said what they ask for.
 */
import fs from 'node:fs/promises';
import path from 'node:path';
import type { Clock } from '../../lib/clock.ts';
import type { Log } from '../../lib/log.ts';
import { Loop } from '../../lib/loop.ts';
import type { Assignment, ManifestOrigin } from '../../model/assignment.ts';
import type { GenericAmounts, GenericNames } from '../../model/generic.ts';
import { isFinal, type PodStatus } from '../../model/pod.ts';
import { containersOf } from '../../model/spec.ts';
import { Limit } from '../../lib/limit.ts';
import { isMissing, readJson } from '../state.ts';
import { safeName } from '../volumes/names.ts';
import { Effects, type EffectPorts } from './effects.ts';
import { parseRecord, type PodRecord } from './record.ts';
import { type Alone, neverAlone } from './step/types.ts';
import { RuntimeView } from './view.ts';
import { PodWorker, type WorkerContext } from './worker.ts';

export interface PodsOptions {
  readonly ports: Omit<EffectPorts, 'view' | 'log'>;
  readonly clock: Clock;
  readonly log: Log;
  readonly signal: AbortSignal;
  readonly stateDir: string;
  readonly runDir: string;
  readonly node: string;
  readonly bootId: string;
  /** Whose word there will be; only a leader's unless told. */
  readonly sources?: readonly PodSource[];
  /** Creates at a time; 6 unless told. */
  readonly concurrency?: number;
  /** See WorkerContext. */
  readonly makeRoom?: () => void;
  /** Since when no master hears of this host. Absent: that is no matter here. */
  readonly alone?: () => Alone;
  readonly report: (status: PodStatus) => void;
  readonly gone: (podId: string) => void;
}

/** Who asks for pods. */
export type PodSource = 'leader' | 'manifests';

/** Between two looks for logs that are no longer kept. */
const pruneAfterMs = 1000;

export class Pods {
  readonly #options: PodsOptions;
  readonly #workers = new Map<string, PodWorker>();
  readonly #context: WorkerContext;
  readonly #view: RuntimeView;
  readonly #sweep: Loop;
  readonly #prune: Loop;
  readonly #networkReady = { cluster: false, local: false };
  /** Of whom no full list has come since this agent began. */
  readonly #untold: Set<PodSource>;
  #pruned = false;
  #onGone: (() => void)[] = [];

  private constructor(options: PodsOptions) {
    this.#options = options;
    const { clock, log, signal, ports } = options;
    this.#untold = new Set(options.sources ?? ['leader']);
    this.#view = new RuntimeView({ runtime: ports.runtime, clock, log, signal, changed: (id) => this.#changed(id) });
    const all: EffectPorts = { ...ports, view: this.#view, log };
    this.#context = {
      ports: all,
      effects: new Effects(all),
      clock,
      log,
      signal,
      limit: new Limit(options.concurrency ?? 6),
      makeRoom: options.makeRoom ?? (() => {}),
      stateDir: options.stateDir,
      node: options.node,
      bootId: options.bootId,
      alone: options.alone ?? (() => neverAlone),
      networkReady: (local) => (local ? this.#networkReady.local : this.#networkReady.cluster),
      report: (status) => options.report(status),
      gone: (id, again) => this.#forget(id, again),
    };
    this.#sweep = new Loop({ name: 'orphan sweep', clock, log, signal, run: () => this.#runSweep() });
    this.#prune = new Loop({ name: 'log pruning', clock, log, signal, run: () => this.#runPrune() });
  }

  /** Reads the records and takes up their pods. Pods are stepped once the runtime has answered. */
  static async open(options: PodsOptions): Promise<Pods> {
    const directory = path.join(options.stateDir, 'pods');
    await fs.mkdir(directory, { recursive: true, mode: 0o700 });
    const pods = new Pods(options);
    for (const file of await fs.readdir(directory)) {
      if (!file.endsWith('.json')) continue;
      const id = file.slice(0, -'.json'.length);
      const record = parseRecord(id, await readJson(path.join(directory, file)));
      if (record) pods.#add(id, record, true);
      else options.log.warn('pod record is torn, its containers wait for the leader', { pod: id });
    }
    void pods.#view.synced().then(() => {
      for (const worker of pods.#workers.values()) worker.mark();
      pods.#sweep.mark();
      pods.#prune.mark();
    });
    return pods;
  }

  /** The word of one of them: whole assignments, ids that are no more, and with `full` that it asks for no others. */
  assign(change: { readonly upsert: readonly Assignment[]; readonly remove: readonly string[]; readonly full: boolean }, from: PodSource = 'leader'): void {
    const named = new Set<string>();
    for (const assignment of change.upsert) {
      const id = safeName('pod', assignment.pod.id);
      named.add(id);
      const worker = this.#workers.get(id);
      if (worker) worker.assign(assignment);
      else this.#add(id, newRecord(assignment), false);
    }
    for (const id of change.remove) this.#workers.get(id)?.remove();
    if (!change.full) return;
    for (const [id, worker] of this.#workers) if (!named.has(id) && sourceOf(worker) === from) worker.remove();
    this.tell(from);
  }

  /** From now on it is known what this one asks for. */
  tell(from: PodSource): void {
    this.#untold.delete(from);
    this.#sweep.mark();
  }

  /** Pods of the host's own manifests, all or the one with this id. */
  locals(id?: string): readonly { readonly assignment: Assignment & { readonly manifest: ManifestOrigin }; readonly status: PodStatus; readonly removed: boolean }[] {
    const workers = id === undefined ? [...this.#workers.values()] : [this.#workers.get(id)].filter((worker) => worker !== undefined);
    return workers.flatMap(({ assignment, status, removed }) => (assignment?.manifest ? [{ assignment: { ...assignment, manifest: assignment.manifest }, status, removed }] : []));
  }

  isLocal(id: string): boolean {
    return this.#workers.get(id)?.assignment?.manifest !== undefined;
  }

  /** Stacks of which a leader has pods here. */
  clusterStacks(): ReadonlySet<string> {
    return new Set([...this.#workers.values()].flatMap(({ assignment }) => (assignment && !assignment.manifest ? [assignment.pod.stack] : [])));
  }

  /** What a leader's pods hold of the host's counted resources, until they have ended. */
  clusterHolders(): readonly { readonly amounts: GenericAmounts; readonly names?: GenericNames }[] {
    return [...this.#workers.values()].flatMap(({ assignment, status }) => {
      const amounts = assignment && !assignment.manifest && !isFinal(status.phase) ? assignment.template.reservations.generic : undefined;
      return amounts ? [{ amounts, ...(assignment?.pod.generic ? { names: assignment.pod.generic } : {}) }] : [];
    });
  }

  /** See PodWorker. */
  drain(id: string, reason: string): void {
    this.#workers.get(id)?.drain(reason);
  }

  /** The host's side of the cluster's network is set up. */
  setNetworkReady(): void {
    this.#setReady('cluster');
  }

  /** Likewise, for pods of manifests. */
  setLocalNetworkReady(): void {
    this.#setReady('local');
  }

  /** Ends all pods, whoever asked for them. */
  clear(): void {
    for (const worker of this.#workers.values()) worker.remove();
    this.#untold.clear();
    this.#sweep.mark();
  }

  /** Something that pods may wait for has come: an image. */
  poke(): void {
    for (const worker of this.#workers.values()) worker.poke();
  }

  /** Whether any of them is to stop when no master hears of this host. */
  get mindsMasters(): boolean {
    return [...this.#workers.values()].some(({ assignment }) => assignment?.template.onDisconnect !== undefined);
  }

  /** Of every pod that this host has or shall have. */
  statuses(): readonly PodStatus[] {
    return [...this.#workers.values()].map((worker) => worker.status);
  }

  /** Of all pods, what they have and what they shall have. */
  *images(): Iterable<{ readonly image: string; readonly imageDigest?: string | undefined }> {
    for (const { assignment, status } of this.#workers.values()) {
      for (const container of assignment ? containersOf(assignment.template) : []) {
        yield container;
        for (const mount of container.mounts) if (mount.kind === 'image') yield mount;
      }
      for (const { image, imageDigest } of status.containers) if (imageDigest !== undefined) yield { image, imageDigest };
    }
  }

  workers(): Iterable<PodWorker> {
    return this.#workers.values();
  }

  get(id: string): PodWorker | undefined {
    return this.#workers.get(id);
  }

  /** Whether the pod has a record here; otherwise it is gone or was never here. */
  has(id: string): boolean {
    return this.#workers.has(id);
  }

  /** Resolves when what no pod owns has been looked for once more. Rejects when the agent stops before. */
  async swept(): Promise<void> {
    await this.#view.synced();
    await this.#runSweep();
  }

  /** Resolves when all pods are gone or the signal fires. */
  async empty(signal: AbortSignal): Promise<void> {
    while (this.#workers.size > 0 && !signal.aborted) {
      await new Promise<void>((resolve) => {
        this.#onGone.push(resolve);
        signal.addEventListener('abort', () => resolve(), { once: true });
      });
    }
  }

  /** Resolves when the signal has fired and nothing is under way any more. */
  async done(): Promise<void> {
    await Promise.all([...[...this.#workers.values()].map((worker) => worker.done), this.#view.done, this.#sweep.done, this.#prune.done]);
  }

  get #told(): boolean {
    return this.#untold.size === 0;
  }

  #setReady(which: 'cluster' | 'local'): void {
    this.#networkReady[which] = true;
    for (const worker of this.#workers.values()) worker.poke();
  }

  #add(id: string, record: PodRecord, saved: boolean): void {
    if (!record.local?.released) this.#options.ports.logs.expect(id);
    this.#workers.set(id, new PodWorker(id, record, this.#context, saved));
    const live = Object.entries(record.local?.containers ?? {}).filter(([, c]) => c.state === 'live');
    if (!record.assignment) return;
    const { pod, template } = record.assignment;
    // Output that came while no agent was there gets its times now, not when somebody reads it.
    for (const [container, { attempt }] of live) {
      const owner = { id, service: pod.service, slot: String(pod.slot), createdAt: pod.createdAt };
      const spec = [...template.containers, ...(template.initContainers ?? [])].find(({ name }) => name === container);
      this.#options.ports.logs.begin(owner, container, attempt, spec?.logging).catch((error: unknown) => this.#options.log.warn('log not taken up', { pod: id, error }));
    }
  }

  #changed(id: string): void {
    const worker = this.#workers.get(id);
    if (worker) worker.mark();
    else this.#sweep.mark();
  }

  #forget(id: string, again: Assignment | null): void {
    this.#workers.delete(id);
    if (again) this.#add(id, newRecord(again), false);
    else this.#options.gone(id);
    for (const resolve of this.#onGone.splice(0)) resolve();
    this.#prune.mark();
  }

  /** Reads all there is, so pods that go together are waited for. */
  async #runPrune(): Promise<void> {
    const { clock, signal, ports } = this.#options;
    if (this.#pruned) await clock.sleep(pruneAfterMs, signal);
    this.#pruned = true;
    await ports.logs.prune((id) => this.#workers.has(id));
  }

  /** Finds what belongs to no pod: containers always, namespaces and folders once the leader's list is known. */
  async #runSweep(): Promise<void> {
    if (!this.#view.isSynced) return;
    const orphans = new Set(this.#view.pods());
    if (this.#told) {
      for (const { id } of await this.#options.ports.network.list()) orphans.add(id);
      for (const base of [this.#options.stateDir, this.#options.runDir]) for (const id of await folders(path.join(base, 'pods'))) orphans.add(id);
    }
    for (const id of orphans) {
      const worker = this.#workers.get(id);
      if (worker) {
        if (this.#told && !worker.assignment) worker.remove();
        continue;
      }
      if (this.#told) this.#options.log.info('removing what no pod owns', { pod: id });
      this.#add(id, { version: 1, assignment: null, withheld: [], removed: this.#told, local: null }, false);
    }
  }
}

/** Undefined for containers that no record tells of. */
function sourceOf({ assignment }: PodWorker): PodSource | undefined {
  return assignment ? (assignment.manifest ? 'manifests' : 'leader') : undefined;
}

function newRecord(assignment: Assignment): PodRecord {
  return { version: 1, assignment, withheld: [], removed: false, local: null };
}

async function folders(directory: string): Promise<readonly string[]> {
  try {
    const entries = await fs.readdir(directory, { withFileTypes: true });
    return entries.filter((entry) => entry.isDirectory()).map((entry) => entry.name);
  } catch (error) {
    if (isMissing(error)) return [];
    throw error;
  }
}
