/** The state as one round of decisions changes it: pods placed earlier in the round take room from later ones. */
import type { AffinityMatcher } from '../../model/constraint/affinity.ts';
import type { Affinity, ConstraintSubject } from '../../model/constraint/types.ts';
import { amountOf } from '../../model/generic.ts';
import type { Pod } from '../../model/pod.ts';
import type { Demand } from './demand.ts';
import type { PodGroup } from './group.ts';
import { columnKey, matchesPod, add, type Column, type Repeller } from './neighbours.ts';
import type { ClusterState, PortHolder } from './state.ts';

export class Room {
  readonly state: ClusterState;
  readonly cpuUsed: Float64Array;
  readonly memoryUsed: Float64Array;
  readonly addressesUsed: Int32Array;
  readonly podCount: Int32Array;
  readonly #counts = new Map<string, Map<number, number>>();
  readonly #ports = new Map<string, Map<number, PortHolder[]>>();
  /** By kind and node number: what this round has given away. */
  readonly #generic = new Map<string, Map<number, number>>();
  readonly #columns = new Map<string, Column>();
  readonly #branchCounts = new Map<string, Map<string, BranchCounts>>();
  readonly #repellers = new Map<string, Repeller>();
  readonly #placed: { readonly pod: Pod; readonly node: number; readonly group: PodGroup }[] = [];
  /** Volumes that this round binds, by name: node numbers. */
  readonly bindings = new Map<string, number>();

  constructor(state: ClusterState) {
    this.state = state;
    const { size } = state;
    this.cpuUsed = state.cpuUsed.slice(0, size);
    this.memoryUsed = state.memoryUsed.slice(0, size);
    this.addressesUsed = state.addressesUsed.slice(0, size);
    this.podCount = state.podCount.slice(0, size);
  }

  get size(): number {
    return this.podCount.length;
  }

  name(node: number): string {
    return this.state.views[node]?.node.name ?? '';
  }

  /** The larger share of CPU and memory that is taken, from 0 to 1. */
  load(node: number): number {
    const cpu = this.state.cpuCapacity[node] ?? 0;
    const memory = this.state.memoryCapacity[node] ?? 0;
    return Math.max(cpu > 0 ? this.cpuUsed[node]! / cpu : 0, memory > 0 ? this.memoryUsed[node]! / memory : 0);
  }

  /** Pods of a service, or of one revision of it, by node number, those placed in this round included. Live. */
  counts(key: string): Map<number, number> {
    let counts = this.#counts.get(key);
    if (!counts) {
      const before = this.state.counts(key);
      counts = before.size === 0 ? new Map() : new Map(before);
      this.#counts.set(key, counts);
    }
    return counts;
  }

  /** Pods that match an affinity, by node number, those placed in this round included. Live. */
  affinity(affinity: Affinity, stack: string): Column {
    const key = columnKey(affinity, stack);
    let column = this.#columns.get(key);
    if (!column) {
      const before = this.state.affinity(affinity, stack);
      column = { matcher: before.matcher, counts: new Map(before.counts) };
      for (const { pod, node, group } of this.#placed) if (matches(column.matcher, group, pod)) add(column.counts, node, 1);
      this.#columns.set(key, column);
    }
    return column;
  }

  /** Revisions whose pods keep others away, those placed in this round included. */
  repellers(): readonly Repeller[] {
    const before = this.state.repellers();
    if (this.#repellers.size === 0) return before;
    const all = new Map(this.#repellers);
    for (const repeller of before) all.set(repeller.key, repeller);
    return [...all.values()];
  }

  /** Pods of a service, or of one revision, by the value that the subject has on their nodes. Live. */
  branchCounts(key: string, subject: ConstraintSubject): BranchCounts {
    let own = this.#branchCounts.get(key);
    if (!own) this.#branchCounts.set(key, (own = new Map()));
    const name = JSON.stringify(subject);
    let made = own.get(name);
    if (!made) {
      const { of, values } = this.state.branches(subject);
      made = { of, values, counts: new Map() };
      for (const [node, count] of this.counts(key)) add(made.counts, of[node]!, count);
      own.set(name, made);
    }
    return made;
  }

  /** How many of a kind the node has left. */
  freeGeneric(kind: string, node: number): number {
    return amountOf(this.state.views[node]?.status?.capacity.generic, kind) - this.state.genericUsed(kind, node) - (this.#generic.get(kind)?.get(node) ?? 0);
  }

  portHolders(key: string, node: number): readonly PortHolder[] {
    const added = this.#ports.get(key)?.get(node);
    const before = this.state.portHolders(key, node);
    return added ? [...before, ...added] : before;
  }

  place(node: number, group: PodGroup, pod: Pod): void {
    const demand: Demand = group.demand;
    this.cpuUsed[node]! += demand.nanoCpus;
    this.memoryUsed[node]! += demand.memory;
    this.podCount[node]!++;
    for (const [kind, amount] of Object.entries(demand.generic ?? {})) {
      const own = this.#generic.get(kind) ?? new Map<number, number>();
      this.#generic.set(kind, own.set(node, (own.get(node) ?? 0) + amount));
    }
    if (demand.address) this.addressesUsed[node]!++;
    increase(this.counts(group.key), node);
    // Only limits ask for these; groups without one are spared the second map.
    if (group.limitKey !== group.key && group.limited) increase(this.counts(group.limitKey), node);
    for (const { of, counts } of this.#branchCounts.get(group.limitKey)?.values() ?? []) add(counts, of[node]!, 1);
    this.#placed.push({ pod, node, group });
    for (const { matcher, counts } of this.#columns.values()) if (matches(matcher, group, pod)) add(counts, node, 1);
    if (group.neighbour.repels.length > 0) this.#repellers.set(group.key, { key: group.key, service: group.service, neighbour: group.neighbour });
    for (const port of demand.hostPorts) {
      let nodes = this.#ports.get(port.key);
      if (!nodes) this.#ports.set(port.key, (nodes = new Map()));
      nodes.set(node, [...(nodes.get(node) ?? []), { ip: port.ip, service: group.service }]);
    }
  }
}

export interface BranchCounts {
  /** The value of each node, by number; `values` has the texts. */
  readonly of: Int32Array;
  readonly values: readonly string[];
  readonly counts: Map<number, number>;
}

function matches(matcher: AffinityMatcher, group: PodGroup, pod: Pod): boolean {
  return matchesPod(matcher, { id: pod.id, slot: pod.slot, neighbour: group.neighbour });
}

function increase(counts: Map<number, number>, node: number): void {
  counts.set(node, (counts.get(node) ?? 0) + 1);
}
