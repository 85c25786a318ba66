/**
 * The cluster as the scheduler sees it, kept up to date change by change: no pod change costs more than the pod, no node
 * change more than the node times the expressions in use. Nodes have dense numbers; all of their figures are typed arrays.
 * A `Room` copies these for one round of decisions and leaves the state as it is.
 */
import { compile } from '../../model/constraint/match.ts';
import { targetOf } from '../../model/constraint/target.ts';
import type { Affinity, Constraint, ConstraintSubject, ConstraintTarget } from '../../model/constraint/types.ts';
import type { NodeView } from '../../model/node.ts';
import { isFinal, type Pod, type PodPhase } from '../../model/pod.ts';
import type { Volume } from '../../model/service.ts';
import { Branches } from './branches.ts';
import { nanosPerCpu, type Demand } from './demand.ts';
import { Neighbours, type Column, type Repeller, type Resident } from './neighbours.ts';

/** Who holds a host port on a node. */
export interface PortHolder {
  readonly ip: string;
  readonly service: string;
}

interface PlacedPod {
  readonly nodeId: string;
  readonly service: string;
  readonly revision: string;
  readonly slot: number | string;
  readonly demand: Demand;
  /** It is to keep running, so spreading and limits count it. One that is on its way out only holds its resources. */
  readonly counts: boolean;
  /** Only its record is left, which keeps its address from being given away. */
  readonly ended: boolean;
}

interface Expression {
  readonly holds: (target: ConstraintTarget) => boolean;
  /** One byte per node number. */
  bits: Uint8Array;
}

/** Compiled expressions kept; beyond it the oldest is dropped and compiled again when it comes back. */
const maxExpressions = 1024;

export class ClusterState {
  readonly index = new Map<string, number>();
  readonly views: (NodeView | undefined)[] = [];
  readonly volumes = new Map<string, Volume>();
  cpuCapacity = new Float64Array(16);
  memoryCapacity = new Float64Array(16);
  addressCapacity = new Float64Array(16);
  cpuUsed = new Float64Array(16);
  memoryUsed = new Float64Array(16);
  addressesUsed = new Int32Array(16);
  /** Pods on the node, those on their way out included. */
  podCount = new Int32Array(16);
  /** By kind and node number: few nodes have any. */
  readonly #genericUsed = new Map<string, Map<number, number>>();
  readonly #targets: (ConstraintTarget | undefined)[] = [];
  readonly #free: number[] = [];
  readonly #pods = new Map<string, PlacedPod>();
  /** Pods by the id of their node, which may not be known (yet, or any more). */
  readonly #podsOf = new Map<string, Set<string>>();
  readonly #counts = new Map<string, Map<number, number>>();
  readonly #ports = new Map<string, Map<number, PortHolder[]>>();
  readonly #expressions = new Map<string, Expression>();
  readonly #branches = new Branches();
  readonly #neighbours = new Neighbours();
  #order: Int32Array | null = null;

  /** Node numbers are below this; some may be holes, where `views` has undefined. */
  get size(): number {
    return this.views.length;
  }

  get pods(): number {
    return this.#pods.size;
  }

  /** Adds a node or takes over what changed of it. */
  setNode(view: NodeView): void {
    const { id } = view.node;
    const known = this.index.get(id);
    const node = known ?? this.#free.pop() ?? this.views.length;
    const target = targetOf(view);
    if (known === undefined || this.#targets[node]?.name !== target.name) this.#order = null;
    this.#grow(node + 1);
    this.index.set(id, node);
    this.views[node] = view;
    this.#targets[node] = target;
    this.cpuCapacity[node] = Math.round((view.status?.capacity.cpus ?? 0) * nanosPerCpu);
    this.memoryCapacity[node] = view.status?.capacity.memory ?? 0;
    this.addressCapacity[node] = addressesIn(view.node.subnet);
    for (const expression of this.#expressions.values()) expression.bits[node] = expression.holds(target) ? 1 : 0;
    this.#branches.set(node, target);
    if (known === undefined) for (const pod of this.#podsOf.get(id) ?? []) this.#account(pod, 1);
  }

  removeNode(id: string): void {
    const node = this.index.get(id);
    if (node === undefined) return;
    for (const pod of this.#podsOf.get(id) ?? []) this.#account(pod, -1);
    this.index.delete(id);
    this.views[node] = undefined;
    this.#targets[node] = undefined;
    this.#free.push(node);
    this.#order = null;
  }

  /** A pod as it is now. One without a node takes nothing, one that has ended no more than its address. */
  setPod(pod: Pod, demand: Demand, phase?: PodPhase): void {
    const old = this.#pods.get(pod.id);
    const ended = phase !== undefined && isFinal(phase);
    if (pod.node === null || (ended && pod.ip === null)) {
      if (old) this.removePod(pod.id);
      return;
    }
    const counts = pod.desired === 'running' && !ended;
    if (old && old.nodeId === pod.node && old.counts === counts && old.ended === ended && old.revision === pod.revision && sameDemand(old.demand, demand)) return;
    if (old) this.removePod(pod.id);
    this.#pods.set(pod.id, { nodeId: pod.node, service: pod.service, revision: pod.revision, slot: pod.slot, demand, counts, ended });
    const there = this.#podsOf.get(pod.node);
    if (there) there.add(pod.id);
    else this.#podsOf.set(pod.node, new Set([pod.id]));
    if (this.index.has(pod.node)) this.#account(pod.id, 1);
  }

  removePod(id: string): void {
    const pod = this.#pods.get(id);
    if (!pod) return;
    if (this.index.has(pod.nodeId)) this.#account(id, -1);
    this.#pods.delete(id);
    const there = this.#podsOf.get(pod.nodeId);
    there?.delete(id);
    if (there?.size === 0) this.#podsOf.delete(pod.nodeId);
  }

  setVolume(volume: Volume): void {
    this.volumes.set(volume.name, volume);
  }

  removeVolume(name: string): void {
    this.volumes.delete(name);
  }

  hasDriver(node: number, driver: string): boolean {
    return driver === 'local' || this.views[node]?.status?.volumeDrivers?.some(({ name }) => name === driver) === true;
  }

  /** `global` when every node that has the driver says so. */
  driverScope(driver: string): 'local' | 'global' {
    const scopes = this.views.flatMap((view) => view?.status?.volumeDrivers?.find(({ name }) => name === driver)?.scope ?? []);
    return scopes.length > 0 && scopes.every((scope) => scope === 'global') ? 'global' : 'local';
  }

  /** Pods by node number, of a service (`stack_service`) or of one revision of it (`stack_service.digest`), that are to stay. */
  counts(key: string): ReadonlyMap<number, number> {
    return this.#counts.get(key) ?? none;
  }

  /** How many of a kind the pods of a node have. */
  genericUsed(kind: string, node: number): number {
    return this.#genericUsed.get(kind)?.get(node) ?? 0;
  }

  portHolders(key: string, node: number): readonly PortHolder[] {
    return this.#ports.get(key)?.get(node) ?? [];
  }

  target(node: number): ConstraintTarget | undefined {
    return this.#targets[node];
  }

  /** For each node number 1 when the expression holds there. To be asked for again after nodes have changed. */
  bits(constraint: Constraint): Uint8Array {
    const key = JSON.stringify([constraint.subject, constraint.op, constraint.pattern]);
    const known = this.#expressions.get(key);
    if (known) return known.bits;
    const holds = compile(constraint);
    const bits = new Uint8Array(this.podCount.length);
    this.#targets.forEach((target, node) => {
      if (target) bits[node] = holds(target) ? 1 : 0;
    });
    const oldest = this.#expressions.size >= maxExpressions ? this.#expressions.keys().next().value : undefined;
    if (oldest !== undefined) this.#expressions.delete(oldest);
    this.#expressions.set(key, { holds, bits });
    return bits;
  }

  /** The branch of each node number when spreading over the subject, and the branches' values by number. */
  branches(subject: ConstraintSubject): { readonly of: Int32Array; readonly values: readonly string[] } {
    return this.#branches.of(subject, this.#targets);
  }

  /** Pods that are to stay and match the affinity, by node number. `stack`: of the service that asks. */
  affinity(affinity: Affinity, stack: string): Column {
    return this.#neighbours.column(affinity, stack, () => this.#residents());
  }

  /** Revisions with pods here that keep others away from their nodes. */
  repellers(): readonly Repeller[] {
    return this.#neighbours.repellers();
  }

  /** The rank of each node by name: ties are broken by it, so that the order of arrival never shows in a decision. */
  order(): Int32Array {
    if (this.#order) return this.#order;
    const nodes = [...this.index.values()];
    const name = (node: number) => this.#targets[node]?.name ?? '';
    const id = (node: number) => this.#targets[node]?.id ?? '';
    nodes.sort((a, b) => compareText(name(a), name(b)) || compareText(id(a), id(b)));
    const order = new Int32Array(this.views.length);
    nodes.forEach((node, rank) => {
      order[node] = rank;
    });
    this.#order = order;
    return order;
  }

  /** Adds (1) or takes away (-1) what a pod has of its node. */
  #account(id: string, sign: 1 | -1): void {
    const pod = this.#pods.get(id);
    const node = pod === undefined ? undefined : this.index.get(pod.nodeId);
    if (pod === undefined || node === undefined) return;
    const { demand } = pod;
    if (pod.ended) {
      this.addressesUsed[node]! += sign;
      return;
    }
    this.cpuUsed[node]! += sign * demand.nanoCpus;
    this.memoryUsed[node]! += sign * demand.memory;
    for (const [kind, amount] of Object.entries(demand.generic ?? {})) addTo(this.#genericUsed, kind, node, sign * amount);
    this.addressesUsed[node]! += demand.address ? sign : 0;
    this.podCount[node]! += sign;
    if (pod.counts) {
      this.#count(pod.service, node, sign);
      this.#count(`${pod.service}.${pod.revision}`, node, sign);
      if (demand.neighbour) this.#neighbours.account({ id, slot: pod.slot, neighbour: demand.neighbour }, pod.service, pod.revision, node, sign);
    }
    for (const port of demand.hostPorts) this.#port(port.key, node, { ip: port.ip, service: pod.service }, sign);
  }

  *#residents(): Iterable<readonly [Resident, number]> {
    for (const [id, { nodeId, slot, demand, counts }] of this.#pods) {
      const node = this.index.get(nodeId);
      if (counts && node !== undefined && demand.neighbour) yield [{ id, slot, neighbour: demand.neighbour }, node];
    }
  }

  #count(key: string, node: number, sign: number): void {
    let counts = this.#counts.get(key);
    if (!counts) this.#counts.set(key, (counts = new Map()));
    const count = (counts.get(node) ?? 0) + sign;
    if (count === 0) counts.delete(node);
    else counts.set(node, count);
    if (counts.size === 0) this.#counts.delete(key);
  }

  #port(key: string, node: number, holder: PortHolder, sign: number): void {
    let nodes = this.#ports.get(key);
    if (!nodes) this.#ports.set(key, (nodes = new Map()));
    const holders = nodes.get(node) ?? [];
    if (sign > 0) {
      nodes.set(node, [...holders, holder]);
      return;
    }
    const at = holders.findIndex((other) => other.ip === holder.ip && other.service === holder.service);
    const left = holders.filter((_, index) => index !== at);
    if (left.length > 0) nodes.set(node, left);
    else nodes.delete(node);
    if (nodes.size === 0) this.#ports.delete(key);
  }

  #grow(size: number): void {
    if (size <= this.podCount.length) return;
    const length = Math.max(size, this.podCount.length * 2);
    const floats = (old: Float64Array) => {
      const grown = new Float64Array(length);
      grown.set(old);
      return grown;
    };
    const ints = (old: Int32Array) => {
      const grown = new Int32Array(length);
      grown.set(old);
      return grown;
    };
    this.cpuCapacity = floats(this.cpuCapacity);
    this.memoryCapacity = floats(this.memoryCapacity);
    this.addressCapacity = floats(this.addressCapacity);
    this.cpuUsed = floats(this.cpuUsed);
    this.memoryUsed = floats(this.memoryUsed);
    this.addressesUsed = ints(this.addressesUsed);
    this.podCount = ints(this.podCount);
    for (const expression of this.#expressions.values()) {
      const grown = new Uint8Array(length);
      grown.set(expression.bits);
      expression.bits = grown;
    }
  }
}

const none: ReadonlyMap<number, number> = new Map();

function addTo(counts: Map<string, Map<number, number>>, key: string, node: number, amount: number): void {
  const own = counts.get(key) ?? new Map<number, number>();
  own.set(node, (own.get(node) ?? 0) + amount);
  if (own.get(node) === 0) own.delete(node);
  if (own.size > 0) counts.set(key, own);
  else counts.delete(key);
}

function compareText(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

function sameDemand(a: Demand, b: Demand): boolean {
  return a === b || JSON.stringify(a) === JSON.stringify(b);
}

/** Addresses for pods in a subnet: all but the node's own (the first) and the broadcast address (the last). */
function addressesIn(subnet: string): number {
  const prefix = Number(subnet.slice(subnet.indexOf('/') + 1));
  return Number.isInteger(prefix) && prefix > 0 && prefix <= 30 ? 2 ** (32 - prefix) - 2 : 0;
}
