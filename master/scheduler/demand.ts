/** What a pod takes from a node. Derived from the spec once per revision, so that all of a service's pods share one value. */
import type { AffinityTarget } from '../../model/constraint/affinity.ts';
import type { Affinity } from '../../model/constraint/types.ts';
import type { GenericAmounts } from '../../model/generic.ts';
import type { StaticPod } from '../../model/pod.ts';
import type { ServiceSpec } from '../../model/spec.ts';

/** CPUs are counted in billionths and memory in bytes: sums of integers, so that freeing gives back exactly what was taken. */
export interface Demand {
  readonly nanoCpus: number;
  readonly memory: number;
  /** Counted resources by kind; absent: none. */
  readonly generic?: GenericAmounts;
  /** An address of the node's subnet. */
  readonly address: boolean;
  readonly hostPorts: readonly HostPort[];
  /** What affinities go by; absent when the spec is not known. */
  readonly neighbour?: Neighbour;
}

/** A pod as other pods' affinities see it, and as it sees them. */
export interface Neighbour {
  readonly target: AffinityTarget;
  /** Its own `!=` affinities: they keep others away from its node for as long as it is there. */
  readonly repels: readonly Affinity[];
  /** With start-first a pod and its successor stand side by side, so a service's affinities pass over its other revisions. */
  readonly besideOldSelf: boolean;
}

export interface HostPort {
  /** `tcp/8080`. */
  readonly key: string;
  /** Empty: all of the host's addresses. */
  readonly ip: string;
}

export const nanosPerCpu = 1e9;

/** Ports that the master numbers itself are unique in the cluster and need no filter. */
export function demandOf(spec: ServiceSpec): Demand {
  const { reservations, networkMode } = spec.template;
  return {
    nanoCpus: Math.round(reservations.cpus * nanosPerCpu),
    memory: Math.round(reservations.memory),
    ...genericOf(reservations.generic),
    address: networkMode === 'pod',
    hostPorts: spec.ports
      .filter((port) => port.mode === 'host' && port.published !== undefined && port.publishedTo === undefined)
      .map((port) => ({ key: `${port.protocol}/${port.published}`, ip: isAny(port.hostIp) ? '' : (port.hostIp ?? '') })),
    neighbour: neighbourOf(spec),
  };
}

/** Of a pod that its host has from a manifest: its ports are this host's alone, however they are published. */
export function staticDemand({ reservations, ports }: Pick<StaticPod, 'reservations' | 'ports'>): Demand {
  return {
    nanoCpus: Math.round(reservations.cpus * nanosPerCpu),
    memory: Math.round(reservations.memory),
    ...genericOf(reservations.generic),
    address: false,
    hostPorts: ports.map(({ protocol, published, hostIp }) => ({ key: `${protocol}/${published}`, ip: isAny(hostIp) ? '' : (hostIp ?? '') })),
  };
}

export function neighbourOf(spec: ServiceSpec): Neighbour {
  const { containers } = spec.template;
  return {
    target: { stack: spec.stack, service: spec.name, images: containers.map(({ image }) => image), labels: [spec.labels, ...containers.map(({ labels }) => labels)] },
    repels: (spec.placement.affinities ?? []).filter(({ op }) => op === '!='),
    besideOldSelf: spec.update.order === 'start-first',
  };
}

function genericOf(amounts: GenericAmounts | undefined): Pick<Demand, 'generic'> {
  const wanted = Object.entries(amounts ?? {}).filter(([, amount]) => amount > 0).sort(([a], [b]) => (a < b ? -1 : 1));
  return wanted.length === 0 ? {} : { generic: Object.fromEntries(wanted) };
}

/** Whether two bindings of the same port cannot stand on one host. */
export function portsClash(a: string, b: string): boolean {
  return a === '' || b === '' || a === b;
}

function isAny(ip: string | undefined): boolean {
  return ip === undefined || ip === '' || ip === '0.0.0.0' || ip === '::';
}
