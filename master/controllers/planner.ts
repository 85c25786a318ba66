/**
 * What the deciders need, kept up to date change by change: the scheduler's state, pods by service, times, address pools, and which
 * services are to be looked at. It decides nothing; pass.ts does.
 */
import type { NodeView } from '../../model/node.ts';
import type { Pod, PodStatus } from '../../model/pod.ts';
import type { ServiceSpec } from '../../model/spec.ts';
import { volumesOf } from '../../model/volumes.ts';
import { AddressPool } from '../../model/allocate/addresses.ts';
import type { Liveness } from '../nodes/liveness.ts';
import { reasons, type ServiceInput } from '../reconcile/plan.ts';
import { PodClock } from '../reconcile/times.ts';
import { demandOf, staticDemand, type Demand } from '../scheduler/demand.ts';
import { ClusterState } from '../scheduler/state.ts';
import type { Change } from '../store/port.ts';
import type { Maps, World } from '../world.ts';
import { Pending } from './pending.ts';
import { Work } from './work.ts';

export class Planner {
  readonly pending = new Pending();
  readonly state = new ClusterState();
  readonly times = new PodClock();
  /** Services that are to be restarted after others: these may come to be well by changes that are not their own. */
  readonly restarting = new Set<string>();
  readonly #world: World;
  readonly #liveness: Liveness;
  readonly #views = new Map<string, NodeView>();
  readonly #byService = new Map<string, Set<string>>();
  readonly #demands = new Map<string, Demand>();
  readonly #pools = new Map<string, AddressPool>();
  /** Pods by id as last seen, to know what a deleted one had. */
  readonly #known = new Map<string, Pod>();
  readonly #stateListeners: (() => void)[] = [];
  readonly #settleListeners = new Set<() => void>();
  readonly #work = new Work();
  #settled = 0;

  constructor(world: World, liveness: Liveness, signal: AbortSignal) {
    this.#world = world;
    this.#liveness = liveness;
    for (const id of world.maps.nodes.keys()) this.#syncNode(id);
    for (const { value } of world.maps.volumes.values()) this.state.setVolume(value);
    for (const id of world.maps.pods.keys()) this.#syncPod(id);
    for (const id of world.maps.staticpods.keys()) this.#syncStatic(id);
    for (const id of world.maps.services.keys()) this.#syncService(id);
    world.subscribe((changes) => this.#onChanges(changes), signal);
  }

  /** Nothing that was decided without knowing the store up to this revision is still on its way to it. */
  get settled(): number {
    return this.#settled;
  }

  /** A pass is over that began when the maps were at `revision`. */
  settle(revision: number): void {
    this.#settled = Math.max(this.#settled, revision);
    for (const listener of this.#settleListeners) listener();
  }

  onSettled(listener: () => void, signal: AbortSignal): void {
    this.#settleListeners.add(listener);
    signal.addEventListener('abort', () => this.#settleListeners.delete(listener), { once: true });
  }

  get work(): Work {
    return this.#work;
  }

  get views(): ReadonlyMap<string, NodeView> {
    return this.#views;
  }

  /** Called back when a node's state has changed with time alone. */
  onStates(listener: () => void): void {
    this.#stateListeners.push(listener);
  }

  /** A node's session began or ended. */
  nodeChanged(id: string): void {
    this.#syncNode(id);
    this.#work.all();
  }

  /** Nodes whose grace is over. Milliseconds until the next one's is. */
  tick(): number | undefined {
    for (const [id, view] of this.#views) {
      if (view.state === this.#liveness.state(id)) continue;
      this.#syncNode(id);
      this.#work.all();
      for (const listener of this.#stateListeners) listener();
    }
    return this.#liveness.nextChange(this.#views.keys());
  }

  podsOf(service: string): Pod[] {
    return Array.from(this.#byService.get(service) ?? [], (id) => this.#world.get('pods', id)).filter((pod) => pod !== undefined);
  }

  /** Services that have pods, removed ones too. */
  servicesWithPods(): Iterable<string> {
    return this.#byService.keys();
  }

  /** All that is known of a service, or null when it does not exist (any more). `maps` may be a preview of what will be. */
  input(id: string, maps: Maps, now: number): ServiceInput | null {
    const service = maps.services.get(id)?.value;
    if (!service) return null;
    const pods = this.podsOf(id);
    const revisions = new Map<string, ServiceSpec>();
    for (const revision of new Set([service.revision, service.previous, ...pods.map((pod) => pod.revision)])) {
      const spec = revision === null ? undefined : maps.revisions.get(`${id}.${revision}`)?.value.spec;
      if (revision !== null && spec) revisions.set(revision, spec);
    }
    return {
      service, update: maps.servicestatus.get(id)?.value.update ?? { state: 'none', message: '' }, revisions, pods, statuses: this.statusesOf(pods), nodes: this.#views,
      times: (pod) => this.times.get(pod), lostAt: (node) => this.#liveness.lostAt(node), now, ...evictions(maps, revisions),
    };
  }

  statusesOf(pods: readonly Pod[]): Map<string, PodStatus> {
    const statuses = new Map<string, PodStatus>();
    for (const pod of pods) {
      const status = this.#world.get('podstatus', pod.id);
      if (status) statuses.set(pod.id, status);
    }
    return statuses;
  }

  /** The next free address of a node's subnet; null when there is none. */
  nextAddress(node: string): string | null {
    const subnet = this.#world.get('nodes', node)?.subnet;
    if (subnet === undefined) return null;
    let pool = this.#pools.get(node);
    if (!pool) this.#pools.set(node, (pool = new AddressPool(subnet, [])));
    const given = pool.next();
    return 'ok' in given ? given.ok : null;
  }

  releaseAddress(node: string, ip: string): void {
    this.#pools.get(node)?.release(ip);
  }

  #onChanges(changes: readonly Change[]): void {
    const now = performance.now();
    for (const change of changes) {
      switch (change.kind) {
        case 'nodes':
        case 'nodestatus':
          this.#syncNode(change.id);
          this.#work.all();
          break;
        case 'volumes':
          // Pods that have it are to leave, or may come back.
          if (change.entry?.value.move?.id !== this.state.volumes.get(change.id)?.move?.id) this.#work.all();
          if (change.entry) this.state.setVolume(change.entry.value);
          else this.state.removeVolume(change.id);
          this.#work.unplaced();
          break;
        case 'services':
          this.#syncService(change.id);
          this.#work.service(change.id);
          break;
        case 'servicestatus':
          this.#work.service(change.id);
          break;
        case 'revisions':
          // Pods may have been seen before the revision that says what they need.
          this.#demands.delete(change.id);
          if (change.entry) for (const pod of this.#byService.get(change.entry.value.service) ?? []) this.#syncPod(pod);
          break;
        case 'pods':
          this.#syncPod(change.id);
          break;
        case 'staticpods':
          this.#syncStatic(change.id);
          this.#work.unplaced();
          break;
        case 'podstatus':
          if (change.entry) this.times.observe(change.entry.value, now);
          this.#syncPod(change.id);
          break;
        default:
          break;
      }
    }
  }

  #syncNode(id: string): void {
    const node = this.#world.get('nodes', id);
    if (!node) {
      this.state.removeNode(id);
      this.#views.delete(id);
      this.#pools.delete(id);
      return;
    }
    const view: NodeView = { node, status: this.#world.get('nodestatus', id) ?? null, state: this.#liveness.state(id) };
    this.#views.set(id, view);
    this.state.setNode(view);
  }

  #syncService(id: string): void {
    if (this.#world.get('services', id)?.restartAfter) this.restarting.add(id);
    else this.restarting.delete(id);
  }

  #syncPod(id: string): void {
    const pod = this.#world.get('pods', id);
    const before = this.#known.get(id);
    const service = pod?.service ?? before?.service;
    if (service !== undefined) this.#work.service(service);
    if (before?.node && before.ip !== null && (!pod || pod.ip !== before.ip)) this.releaseAddress(before.node, before.ip);
    if (!pod) {
      if (before) this.#byService.get(before.service)?.delete(id);
      if (before && this.#byService.get(before.service)?.size === 0) this.#byService.delete(before.service);
      this.#known.delete(id);
      this.times.forget(id);
      this.state.removePod(id);
      return;
    }
    this.#known.set(id, pod);
    const own = this.#byService.get(pod.service);
    if (own) own.add(id);
    else this.#byService.set(pod.service, new Set([id]));
    if (pod.node !== null && pod.ip !== null) this.#reserve(pod.node, pod.ip);
    const status = this.#world.get('podstatus', id);
    if (status && !this.times.get(id)) this.times.observe(status, performance.now());
    this.state.setPod(pod, this.#demandOf(pod), status?.phase);
  }

  /** Pods of hosts' own manifests are not the cluster's to plan, but they take what they take of their hosts. */
  #syncStatic(id: string): void {
    const own = this.#world.get('staticpods', id);
    if (!own) return this.state.removePod(id);
    // Its address is none of the node's subnet, and its service none that is spread or limited here.
    this.state.setPod({ ...own.pod, service: `manifest/${own.pod.service}`, ip: null }, staticDemand(own), own.status.phase);
  }

  #reserve(node: string, ip: string): void {
    const subnet = this.#world.get('nodes', node)?.subnet;
    if (subnet === undefined) return;
    const pool = this.#pools.get(node);
    if (pool) pool.reserve(ip);
    else this.#pools.set(node, new AddressPool(subnet, [ip]));
  }

  #demandOf(pod: Pod): Demand {
    const key = `${pod.service}.${pod.revision}`;
    const known = this.#demands.get(key);
    if (known) return known;
    const spec = this.#world.get('revisions', key)?.spec;
    if (!spec) return nothing;
    const demand = demandOf(spec);
    this.#demands.set(key, demand);
    return demand;
  }
}

/** Pods are to leave volumes that move, at once and all of them. */
function evictions(maps: Maps, revisions: ReadonlyMap<string, ServiceSpec>): Pick<ServiceInput, 'evicted'> {
  const moving = new Map<string, string>();
  for (const { value: { name, move } } of maps.volumes.values()) if (move) moving.set(name, move.to);
  if (moving.size === 0) return {};
  return {
    evicted: (pod) => {
      const spec = revisions.get(pod.revision);
      const volume = spec && pod.node !== null ? volumesOf(spec.template, pod.slot).find((name) => moving.has(name)) : undefined;
      if (volume === undefined) return null;
      const to = moving.get(volume) ?? '';
      return reasons.volumeMoves(volume, maps.nodes.get(to)?.value.name ?? to);
    },
  };
}

const nothing: Demand = { nanoCpus: 0, memory: 0, address: false, hostPorts: [] };
