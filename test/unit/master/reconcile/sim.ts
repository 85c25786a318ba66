/**
 * A small cluster around one service: it applies plans, places pods with the real scheduler and plays drain controller, agents
 * and garbage collector, one step at a time. Agents do what `behaviour` says.
 */
import { demandOf } from '../../../../master/scheduler/demand.ts';
import { seeded } from '../../../../master/scheduler/pick/random.ts';
import { schedule } from '../../../../master/scheduler/schedule.ts';
import { ClusterState } from '../../../../master/scheduler/state.ts';
import { reconcileService } from '../../../../master/reconcile/reconcile.ts';
import type { ServiceInput, ServicePlan } from '../../../../master/reconcile/plan.ts';
import { compareSlots, lifeOf } from '../../../../master/reconcile/slots.ts';
import { PodClock } from '../../../../master/reconcile/times.ts';
import type { NodeView } from '../../../../model/node.ts';
import { isFinal, type Pod, type PodStatus } from '../../../../model/pod.ts';
import type { Service, UpdateStatus } from '../../../../model/service.ts';
import type { ServiceSpec } from '../../../../model/spec.ts';
import { makeNode } from '../scheduler/make.ts';

export type Fate = 'serve' | 'succeed' | 'fail' | 'crash' | 'never ready';

export class Sim {
  service: Service;
  update: UpdateStatus = { state: 'none', message: '' };
  readonly revisions = new Map<string, ServiceSpec>();
  readonly pods = new Map<string, Pod>();
  readonly statuses = new Map<string, PodStatus>();
  readonly nodes = new Map<string, NodeView>();
  readonly clock = new PodClock();
  now = 1000;
  /** What becomes of a pod once it runs. */
  behaviour: (pod: Pod) => Fate = () => 'serve';
  /** Why a pod must leave at once. */
  evicted: (pod: Pod) => string | null = () => null;
  /** Plans that did something, as they were made. */
  readonly plans: ServicePlan[] = [];
  #ids = 0;

  constructor(spec: ServiceSpec, nodes = 3) {
    this.service = { id: `${spec.stack}_${spec.name}`, spec, revision: 'r1', previous: null };
    this.revisions.set('r1', spec);
    for (let i = 1; i <= nodes; i++) this.setNode(makeNode(i));
  }

  setNode(view: NodeView): void {
    this.nodes.set(view.node.id, view);
  }

  change(number: number, changes: { readonly state?: NodeView['state']; readonly availability?: 'active' | 'pause' | 'drain'; readonly labels?: Record<string, string> }): void {
    const view = this.nodes.get(`n${number}`);
    if (!view) return;
    const { state = view.state, ...rest } = changes;
    this.setNode({ ...view, state, node: { ...view.node, ...rest } });
  }

  /** Applies a spec; a new revision starts an update as the API does. */
  apply(spec: ServiceSpec, revision = this.service.revision): void {
    const updated = revision !== this.service.revision;
    this.service = { ...this.service, spec, revision, previous: updated ? this.service.revision : this.service.previous };
    this.revisions.set(revision, spec);
    if (updated) this.update = { state: 'updating', message: '' };
  }

  input(): ServiceInput {
    return {
      service: this.service, update: this.update, revisions: this.revisions, pods: [...this.pods.values()], statuses: this.statuses, nodes: this.nodes,
      times: (pod) => this.clock.get(pod), now: this.now, evicted: (pod) => (pod.node === null ? null : this.evicted(pod)),
    };
  }

  /** Plans and applies. */
  reconcile(): ServicePlan {
    for (const status of this.statuses.values()) this.clock.observe(status, this.now);
    const plan = reconcileService(this.input());
    if (plan.actions.length > 0 || plan.rollback) this.plans.push(plan);
    for (const action of plan.actions) {
      if (action.kind === 'create') {
        const id = `p${++this.#ids}`;
        this.add({
          id, service: this.service.id, stack: this.service.spec.stack, slot: action.slot, revision: action.revision, desired: 'running', reason: '',
          node: null, ip: null, createdAt: this.now + this.#ids / 1000,
        });
        continue;
      }
      const pod = this.pods.get(action.pod);
      if (!pod) throw new Error(`the plan names ${action.pod}, which does not exist`);
      if (action.kind === 'delete') {
        this.pods.delete(pod.id);
        this.statuses.delete(pod.id);
      } else this.pods.set(pod.id, { ...pod, desired: action.kind === 'drain' ? 'draining' : 'stopped', reason: action.reason });
    }
    if (plan.rollback) this.service = plan.rollback;
    if (plan.update) this.update = plan.update;
    return plan;
  }

  add(pod: Pod, status?: Partial<PodStatus>): void {
    this.pods.set(pod.id, pod);
    if (status) this.setStatus(pod, status);
  }

  setStatus(pod: Pod, changes: Partial<PodStatus>): void {
    const before = this.statuses.get(pod.id);
    this.statuses.set(pod.id, { id: pod.id, node: pod.node ?? '', phase: 'running', ready: false, message: '', restarts: 0, since: this.now, containers: [], ...before, ...changes });
  }

  schedule(): void {
    const state = new ClusterState();
    for (const view of this.nodes.values()) state.setNode(view);
    for (const pod of this.pods.values()) {
      const spec = this.revisions.get(pod.revision);
      if (spec) state.setPod(pod, demandOf(spec), this.statuses.get(pod.id)?.phase);
    }
    const pending = [...this.pods.values()].filter((pod) => pod.node === null && pod.desired === 'running');
    const result = schedule(state, pending.flatMap((pod) => {
      const spec = this.revisions.get(pod.revision);
      return spec ? [{ pod, spec }] : [];
    }), { random: seeded(1) });
    for (const { pod, node } of result.assignments) this.pods.set(pod, { ...this.pods.get(pod)!, node });
  }

  /** Every agent that can be reached goes one step with every pod. */
  agents(): void {
    for (const pod of this.pods.values()) {
      const node = pod.node === null ? undefined : this.nodes.get(pod.node);
      if (node?.state !== 'ready') continue;
      const status = this.statuses.get(pod.id);
      if (pod.desired === 'stopped') {
        if (status?.phase === 'stopping' || (status && isFinal(status.phase))) this.statuses.delete(pod.id);
        else if (status) this.setStatus(pod, { phase: 'stopping', ready: false });
        continue;
      }
      if (status && isFinal(status.phase)) continue;
      const fate = this.behaviour(pod);
      if (!status) this.setStatus(pod, { phase: 'starting' });
      else if (fate === 'serve') this.setStatus(pod, { phase: 'running', ready: true });
      else if (fate === 'never ready') this.setStatus(pod, { phase: 'running', ready: false });
      else if (fate === 'crash') this.setStatus(pod, { phase: 'running', ready: false, restarts: status.restarts + 1, message: 'exit code 1' });
      else this.setStatus(pod, { phase: fate === 'succeed' ? 'succeeded' : 'failed', ready: false, message: fate === 'fail' ? 'exit code 1' : '' });
    }
  }

  /** The drain handshake and the collector. */
  controllers(): void {
    for (const pod of this.pods.values()) {
      if (pod.desired === 'draining') this.pods.set(pod.id, { ...pod, desired: 'stopped' });
      else if (pod.desired === 'stopped' && !this.statuses.has(pod.id)) this.pods.delete(pod.id);
    }
    for (const id of this.statuses.keys()) if (!this.pods.has(id)) this.statuses.delete(id);
  }

  step(ms = 100): ServicePlan {
    this.now += ms;
    const plan = this.reconcile();
    this.schedule();
    this.agents();
    this.controllers();
    return plan;
  }

  /** Steps until nothing changes for a while (a minute of the sim's time beyond every wait); the number of steps, or throws. */
  settle(most = 400, check?: () => void): number {
    let quiet = 0;
    for (let steps = 1; steps <= most; steps++) {
      const before = this.picture();
      this.step(quiet > 3 ? 20_000 : 100);
      check?.();
      quiet = this.picture() === before ? quiet + 1 : 0;
      if (quiet > 8) return steps;
    }
    throw new Error(`not settled after ${most} steps:\n${this.picture()}`);
  }

  picture(): string {
    const lines = Array.from(this.pods.values(), (pod) => {
      const status = this.statuses.get(pod.id);
      return `${pod.slot} ${pod.id} ${pod.revision} ${pod.desired} ${pod.node} ${status?.phase} ${status?.ready}`;
    });
    return [this.service.revision, this.update.state, ...lines.sort()].join('\n');
  }

  live(slot?: number | string): Pod[] {
    return [...this.pods.values()].filter((pod) => (slot === undefined || pod.slot === slot) && lifeOf(pod, this.input()) === 'live');
  }

  ready(): Pod[] {
    return this.live().filter((pod) => this.statuses.get(pod.id)?.ready === true);
  }

  /** `1@n1 2@n2`: ready pods by slot. */
  where(): string {
    return this.ready().sort((a, b) => compareSlots(a.slot, b.slot)).map((pod) => `${pod.slot}@${pod.node}`).join(' ');
  }
}
