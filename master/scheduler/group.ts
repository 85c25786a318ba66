/** Pods of one revision of a service differ in nothing that matters here: they are filtered once and placed together. */
import type { Pod } from '../../model/pod.ts';
import type { ServiceSpec } from '../../model/spec.ts';
import { asConstraints } from '../../model/constraint/operator.ts';
import { volumesByKind } from '../../model/volumes.ts';
import { demandOf, neighbourOf, type Demand, type Neighbour } from './demand.ts';

/** A pod without a node, and the spec of its revision. */
export interface PendingPod {
  readonly pod: Pod;
  readonly spec: ServiceSpec;
}

export interface PodGroup {
  /** Service id. */
  readonly service: string;
  readonly spec: ServiceSpec;
  readonly demand: Demand;
  /** Named volumes that all of its pods mount, sorted. */
  readonly volumes: readonly string[];
  /** Those of which each slot has its own, by the name they are made after. Empty for global services. */
  readonly slotVolumes: readonly string[];
  /** One pod per node: each pod's slot is its node. */
  readonly global: boolean;
  /** `service.revision`, a key for `Room.counts`: pods are spread among their own revision, for the others will be replaced. */
  readonly key: string;
  /** The pods that the limit per node counts, likewise. */
  readonly limitKey: string;
  /** What its affinities and those of others go by. */
  readonly neighbour: Neighbour;
  /** Something counts its pods per node or per value of a label. */
  readonly limited: boolean;
  /** By slot. */
  readonly pods: readonly Pod[];
}

/**
 * Groups in the order they are served: those bound to nodes first, then the largest demand first, since small pods still fit
 * where large ones do not. Never by the order of `pending`.
 */
export function groupPods(pending: readonly PendingPod[]): readonly PodGroup[] {
  const groups = new Map<string, { readonly spec: ServiceSpec; readonly pods: Pod[] }>();
  for (const { pod, spec } of pending) {
    const key = `${pod.service}.${pod.revision}`;
    const group = groups.get(key);
    if (group) group.pods.push(pod);
    else groups.set(key, { spec, pods: [pod] });
  }
  return Array.from(groups, ([key, { spec, pods }]) => makeGroup(key, spec, pods)).sort(
    (a, b) => Number(b.global) - Number(a.global)
      // Who needs what few nodes have goes before who could go there as well.
      || Number(b.demand.generic !== undefined) - Number(a.demand.generic !== undefined)
      || b.demand.nanoCpus - a.demand.nanoCpus
      || b.demand.memory - a.demand.memory
      || compareText(a.service, b.service)
      || compareText(a.pods[0]?.revision ?? '', b.pods[0]?.revision ?? ''),
  );
}

function makeGroup(key: string, spec: ServiceSpec, pods: Pod[]): PodGroup {
  const service = pods[0]?.service ?? '';
  const demand = demandOf(spec);
  const global = spec.mode.kind === 'global' || spec.mode.kind === 'global-job';
  const { shared, perReplica } = volumesByKind(spec.template);
  return {
    service,
    spec,
    key,
    demand,
    neighbour: demand.neighbour ?? neighbourOf(spec),
    limited: spec.placement.maxPerNode > 0 || (spec.placement.operators ?? []).length > 0,
    volumes: global ? [...new Set([...shared, ...perReplica])].sort() : shared,
    slotVolumes: global ? [] : perReplica,
    global,
    // With start-first a node holds an old and a new pod for a while: the limit then counts each revision on its own, or the
    // update of a service that fills its limit everywhere could never begin.
    limitKey: spec.update.order === 'start-first' ? key : service,
    pods: pods.length === 1 ? pods : pods.sort(compareSlots),
  };
}

/** Equal for groups that have the same nodes to choose from and take the same from them, whatever their service. */
export function wishesOf({ spec, demand }: PodGroup): string {
  let key = `${demand.nanoCpus} ${demand.memory} ${demand.address}`;
  for (const [kind, amount] of Object.entries(demand.generic ?? {})) key += ` ${kind.length} ${kind} ${amount}`;
  for (const { key: port, ip } of demand.hostPorts) key += ` ${port} ${ip}`;
  // Lengths keep apart what users can write anything into.
  for (const { subject, op, pattern, soft } of [...spec.placement.constraints, ...(spec.placement.operators ?? []).flatMap(asConstraints)]) {
    const label = 'key' in subject ? subject.key : '';
    key += ` ${subject.kind} ${label.length} ${label} ${op} ${pattern.kind} ${soft} ${pattern.value.length} ${pattern.value}`;
  }
  return key;
}

function compareSlots(a: Pod, b: Pod): number {
  if (typeof a.slot === 'number' && typeof b.slot === 'number') return a.slot - b.slot || compareText(a.id, b.id);
  return compareText(String(a.slot), String(b.slot)) || compareText(a.id, b.id);
}

function compareText(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
