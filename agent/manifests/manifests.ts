/**
 * The host's own manifests: sources → pods of this host, and a service table of their own. It needs no master; beside one, its
 * pods are reported like others.
 *
 * ```
 * sources ──► accept ──► expand ──► decide ──► pods ──► statuses ─┐
 *                                     ▲ └──► table ──► proxy      │
 *                                     └───────────────────────────┘
 * ```
 */
import type { Clock } from '../../lib/clock.ts';
import { Loop } from '../../lib/loop.ts';
import type { Log } from '../../lib/log.ts';
import { sha256 } from '../../lib/oci/manifest.ts';
import { overlaps } from '../../model/allocate/cidr.ts';
import type { PodStatus, StaticPod } from '../../model/pod.ts';
import type { Pods } from '../pods/pods.ts';
import { acceptStacks, isUnreadable, type Accepted } from './plan/accept.ts';
import { assignmentOf, decide, type Decision, type WaitingPod } from './plan/decide.ts';
import { expandStack, type LocalService } from './plan/expand.ts';
import type { Holder } from './plan/generic.ts';
import { localTable } from './plan/table.ts';
import type { LocalPod, ManifestHost, SourceContent } from './plan/types.ts';
import type { ManifestSource } from './source.ts';
import type { ManifestStateFile } from './state.ts';

export interface ManifestsOptions {
  /** In the order of precedence. */
  readonly sources: readonly ManifestSource[];
  readonly pods: Pick<Pods, 'assign' | 'drain' | 'locals' | 'tell'>;
  readonly state: ManifestStateFile;
  readonly table: { readonly applied: number; publish(table: ReturnType<typeof localTable>): Promise<number> };
  readonly host: () => Omit<ManifestHost, 'hostId'>;
  /** Stacks of which a master has pods here. */
  readonly clusterStacks: () => ReadonlySet<string>;
  /** What a master's pods here hold of the host's counted resources. */
  readonly holders: () => readonly Holder[];
  /** Blocks of addresses that a cluster has. */
  readonly clusterRanges: () => readonly string[];
  /** Of pods that are wanted and cannot be made yet; the others tell of themselves. */
  readonly report: (status: PodStatus) => void;
  readonly gone: (pod: string) => void;
  /** `problems` are others than before. */
  readonly onProblems: () => void;
  readonly clock: Clock;
  readonly log: Log;
  readonly signal: AbortSignal;
}

/** How long the proxy may take to take a pod out of the kernel's tables before the pod is stopped all the same. */
const drainMs = 2000;

export class Manifests {
  readonly #options: ManifestsOptions;
  readonly #loop: Loop;
  /** What the last acceptance was made from. */
  #seen: { readonly contents: readonly SourceContent[]; readonly clusterStacks: string } | undefined;
  #accepted: Accepted | undefined;
  #saved: { readonly accepted: Accepted; readonly given: string } | undefined;
  readonly #expanded = new WeakMap<object, { readonly key: string; readonly services: readonly LocalService[] }>();
  /** What each pod was last told. */
  readonly #told = new Map<string, string>();
  /** Draining pods: the table's revision without them, and since when; monotonic. */
  readonly #leaving = new Map<string, { readonly revision: number; readonly since: number }>();
  #waiting: ReadonlyMap<string, { readonly item: WaitingPod; readonly status: PodStatus }> = new Map();
  #problems: readonly string[] = [];
  #notes: ReadonlySet<string> = new Set();

  constructor(options: ManifestsOptions) {
    this.#options = options;
    const { clock, log, signal, sources } = options;
    this.#loop = new Loop({ name: 'manifests', clock, log, signal, run: () => this.#pass(), share: 0.5 });
    for (const source of sources) source.onChange(() => this.#loop.mark());
    this.#loop.mark();
  }

  get done(): Promise<void> {
    return Promise.all([this.#loop.done, ...this.#options.sources.map((source) => source.done)]).then(() => {});
  }

  /** Something it looks at may have changed: a pod's status, the host, what the proxy has. */
  mark(): void {
    this.#loop.mark();
  }

  /** What does not load or cannot be, a line each. */
  get problems(): readonly string[] {
    return this.#problems;
  }

  /** How many stacks count. */
  get stacks(): number {
    return this.#accepted?.stacks.length ?? 0;
  }

  /** Of pods that are wanted and not made yet. */
  waiting(): readonly PodStatus[] {
    return [...this.#waiting.values()].map(({ status }) => status);
  }

  /** What a master is told of a pod besides its status; undefined when it is none of a manifest's. */
  staticPod(id: string): Omit<StaticPod, 'status'> | undefined {
    const waiting = this.#waiting.get(id)?.item;
    if (waiting) {
      const { pod, service: { service, stack } } = waiting;
      return { pod, origin: stack.origin, image: service.spec.template.containers[0]?.image ?? '', reservations: service.spec.template.reservations, ports: [] };
    }
    const local = this.#options.pods.locals(id)[0];
    if (!local) return undefined;
    const { assignment: { pod, manifest, template } } = local;
    return {
      pod, origin: manifest.origin, image: template.containers[0]?.image ?? '', reservations: template.reservations,
      ports: this.#options.state.value.given.ports[pod.service] ?? [],
    };
  }

  async #pass(): Promise<number | undefined> {
    const { sources, pods, state, clock, table } = this.#options;
    const contents = sources.flatMap(({ content }) => content ?? []);
    // Until all of them have said something, nobody knows what is no more.
    if (contents.length < sources.length) return undefined;
    const host: ManifestHost = { ...this.#options.host(), hostId: state.value.hostId };
    const accepted = this.#accept(contents);
    const services = accepted.stacks.flatMap((stack) => this.#expand(stack, host));
    const locals = pods.locals();
    const now = clock.monotonic();
    const names = new Set(accepted.stacks.map(({ spec }) => spec.name));
    const clash = this.#options.clusterRanges().find((range) => [host.podCidr, host.vipCidr].some((own) => overlaps(own, range)));
    const decision = decide({
      host, services, pods: locals, given: { ...state.value.given, ports: accepted.ports }, now: clock.now(), hash: sha256, holders: this.#options.holders(),
      keeps: ({ assignment: { pod, manifest } }) => !names.has(pod.stack) && isUnreadable(accepted, manifest),
      drained: (id) => {
        const leaving = this.#leaving.get(id);
        return leaving !== undefined && (table.applied >= leaving.revision || now - leaving.since >= drainMs);
      },
    });
    const create = clash === undefined ? decision.create : decision.create.filter(({ pod }) => pod.ip === null);
    const given = JSON.stringify(decision.given);
    if (accepted !== this.#saved?.accepted || given !== this.#saved.given) await state.change({ stacks: accepted.stacks, given: decision.given });
    this.#saved = { accepted, given };
    // Isolation knows a pod before it starts, and nobody is sent to one that goes.
    const revision = await table.publish(localTable(host, services, after(locals, decision, create), decision.given));
    this.#act({ ...decision, create }, host);
    this.#tellProblems(accepted.problems, clash);
    this.#tellNotes(contents, services);
    this.#tellWaiting(decision.waiting);
    return this.#noteLeaving(pods.locals(), revision, now);
  }

  #accept(contents: readonly SourceContent[]): Accepted {
    const { state } = this.#options;
    const clusterStacks = this.#options.clusterStacks();
    const names = [...clusterStacks].sort().join();
    const seen = this.#seen;
    if (this.#accepted && seen?.clusterStacks === names && contents.every((content, i) => content === seen.contents[i])) return this.#accepted;
    this.#accepted = acceptStacks({ contents, before: this.#accepted?.stacks ?? state.value.stacks, ports: state.value.given.ports, clusterStacks });
    this.#seen = { contents, clusterStacks: names };
    return this.#accepted;
  }

  #expand(stack: Accepted['stacks'][number], host: ManifestHost): readonly LocalService[] {
    const key = JSON.stringify([stack.source, stack.origin, host.target]);
    const known = this.#expanded.get(stack.spec);
    if (known?.key === key) return known.services;
    const services = expandStack(stack, host, sha256);
    this.#expanded.set(stack.spec, { key, services });
    return services;
  }

  #act({ create, keep, drain, remove, given }: Decision, host: ManifestHost): void {
    const { pods, log } = this.#options;
    const upsert = keep.flatMap(({ local, pod }) => {
      // Made of the same objects it is the same; the text of a hundred pods is not written out for nothing.
      const key = `${host.nodeId} ${host.name} ${local.stack.origin} ${local.service.revision} ${JSON.stringify(given.ports[local.service.id])} ${JSON.stringify(local.service.spec.labels)}`;
      if (this.#told.get(pod.id) === key) return [];
      const assignment = assignmentOf(local, { ...pod, node: host.nodeId }, given, host);
      if (assignment) this.#told.set(pod.id, key);
      return assignment ?? [];
    });
    for (const { pod, manifest } of create) log.info('a pod begins', { pod: pod.id, slot: `${pod.service}.${pod.slot}`, manifest: manifest.origin });
    for (const { id, reason } of drain) {
      log.info('a pod is to go', { pod: id, reason });
      pods.drain(id, reason);
    }
    for (const id of remove) {
      log.info('a pod ends', { pod: id });
      this.#told.delete(id);
    }
    if (create.length + upsert.length + remove.length > 0) pods.assign({ upsert: [...create, ...upsert], remove, full: false }, 'manifests');
    pods.tell('manifests');
  }

  /** Milliseconds until the first of the draining pods has waited long enough. */
  #noteLeaving(locals: readonly LocalPod[], revision: number, now: number): number | undefined {
    const leaving = new Set(locals.filter(({ assignment, removed }) => !removed && assignment.pod.desired !== 'running').map(({ assignment }) => assignment.pod.id));
    for (const id of this.#leaving.keys()) if (!leaving.has(id)) this.#leaving.delete(id);
    for (const id of leaving) if (!this.#leaving.has(id)) this.#leaving.set(id, { revision, since: now });
    if (this.#leaving.size === 0) return undefined;
    if ([...this.#leaving.values()].some(({ revision: without }) => this.#options.table.applied >= without)) return 0;
    return Math.max(1, Math.min(...[...this.#leaving.values()].map(({ since }) => since)) + drainMs - now);
  }

  #tellProblems(found: readonly string[], clash: string | undefined): void {
    const { log, onProblems } = this.#options;
    const problems = [...found, ...(clash === undefined ? [] : [`the addresses for manifests' pods overlap ${clash}, which the cluster has: choose others with --local-cidr`])];
    const fresh = problems.filter((problem) => !this.#problems.includes(problem));
    for (const problem of fresh) log.error(problem);
    for (const problem of this.#problems) if (!problems.includes(problem)) log.info('no longer wrong', { was: problem });
    const changed = fresh.length > 0 || problems.length !== this.#problems.length;
    this.#problems = problems;
    if (changed) onProblems();
  }

  /** What is as it should be, but not all that the file says. */
  #tellNotes(contents: readonly SourceContent[], services: readonly LocalService[]): void {
    const warnings = contents.flatMap(({ entries }) => (entries ?? []).flatMap((entry) => ('specs' in entry ? entry.warnings : [])));
    const notes = new Set([...warnings, ...services.flatMap((local) => local.notes.map((note) => `${local.stack.origin}: services.${local.service.spec.name}: ${note}`))]);
    for (const note of notes) if (!this.#notes.has(note)) this.#options.log.warn(note);
    this.#notes = notes;
  }

  #tellWaiting(waiting: readonly WaitingPod[]): void {
    const { log, report, gone, host, clock, pods } = this.#options;
    const before = this.#waiting;
    const next = new Map<string, { item: WaitingPod; status: PodStatus }>();
    for (const item of waiting) {
      const { pod, message, service: { service } } = item;
      const known = before.get(pod.id)?.status;
      const status: PodStatus = known?.message === message ? known : {
        id: pod.id, node: host().nodeId, phase: 'pending', ready: false, message, restarts: 0, since: known?.since ?? clock.now(),
        containers: service.spec.template.containers.map(({ name, image }) => ({ name, image })),
      };
      next.set(pod.id, { item, status });
      if (known !== status) log.info('a pod waits', { slot: `${pod.service}.${pod.slot}`, for: message });
    }
    this.#waiting = next;
    for (const [id, { status }] of next) if (before.get(id)?.status !== status) report(status);
    for (const id of before.keys()) if (!next.has(id) && pods.locals(id).length === 0) gone(id);
  }
}

/** The pods as they will be: what the table is to say. */
function after(locals: readonly LocalPod[], { drain, remove }: Decision, create: Decision['create']): readonly LocalPod[] {
  const draining = new Set(drain.map(({ id }) => id));
  const removed = new Set(remove);
  const changed = locals.map((local): LocalPod => {
    const { assignment } = local;
    if (removed.has(assignment.pod.id)) return { ...local, removed: true };
    return draining.has(assignment.pod.id) ? { ...local, assignment: { ...assignment, pod: { ...assignment.pod, desired: 'draining' } } } : local;
  });
  const made = create.map((assignment): LocalPod => ({
    assignment, removed: false, status: { id: assignment.pod.id, node: assignment.pod.node ?? '', phase: 'assigned', ready: false, message: '', restarts: 0, since: 0, containers: [] },
  }));
  return [...changed, ...made];
}
