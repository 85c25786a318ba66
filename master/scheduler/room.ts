/** The state as one round of decisions changes it: pods placed earlier in the round take room from later ones. */
import type { Demand } from './demand.ts';
import type { PodGroup } from './group.ts';
import type { ClusterState, PortHolder } from './state.ts';

export class Room {
  readonly state: ClusterState;
  readonly cpuUsed: Float64Array;
  readonly memoryUsed: Float64Array;
  readonly addressesUsed: Int32Array;
  readonly podCount: Int32Array;
  readonly #counts = new Map<string, Map<number, number>>();
  readonly #ports = new Map<string, Map<number, PortHolder[]>>();
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

  portHolders(key: string, node: number): readonly PortHolder[] {
    const added = this.#ports.get(key)?.get(node);
    const before = this.state.portHolders(key, node);
    return added ? [...before, ...added] : before;
  }

  place(node: number, group: PodGroup): void {
    const demand: Demand = group.demand;
    this.cpuUsed[node]! += demand.nanoCpus;
    this.memoryUsed[node]! += demand.memory;
    this.podCount[node]!++;
    if (demand.address) this.addressesUsed[node]!++;
    increase(this.counts(group.key), node);
    // Only a limit asks for these; groups without one are spared the second map.
    if (group.limitKey !== group.key && group.spec.placement.maxPerNode > 0) increase(this.counts(group.limitKey), node);
    for (const port of demand.hostPorts) {
      let nodes = this.#ports.get(port.key);
      if (!nodes) this.#ports.set(port.key, (nodes = new Map()));
      nodes.set(node, [...(nodes.get(node) ?? []), { ip: port.ip, service: group.service }]);
    }
  }
}

function increase(counts: Map<number, number>, node: number): void {
  counts.set(node, (counts.get(node) ?? 0) + 1);
}
