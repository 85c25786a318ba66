/** Which parts of a service a running pod is made of. */
import type { ContainerLimits, ContainerSpec, ServiceSpec } from './spec.ts';
import { canonical } from './canonical.ts';

/**
 * The text whose digest names the spec's revision: pods of another revision are replaced. In it are the template, the networks
 * a pod is on and the ports of its host. Not in it: how many pods there are and where, how they are updated, the service's own
 * labels, which no container sees, and what proxies alone act on (ingress ports, VIPs, aliases).
 */
export function revisionOf(spec: ServiceSpec): string {
  return canonical(podParts(spec));
}

function podParts(spec: ServiceSpec): unknown {
  return {
    stack: spec.stack,
    name: spec.name,
    template: spec.template,
    networks: [...new Set(spec.networks.map((attachment) => attachment.network))].sort(),
    hostPorts: spec.ports.filter((port) => port.mode === 'host').map(canonical).sort(),
  };
}

/**
 * Whether pods of the one become pods of the other as they run: all that differs is limits of a kind that a running container's can be
 * changed. Such a change keeps the revision's name.
 */
export function changesInPlace(before: ServiceSpec, after: ServiceSpec): boolean {
  return revisionOf(withoutLiveLimits(before)) === revisionOf(withoutLiveLimits(after));
}

/** Limits that the kernel takes while a container runs. */
const live: readonly (keyof ContainerLimits)[] = ['cpus', 'cpuShares', 'cpuset', 'memory', 'memoryReservation', 'memorySwap', 'pids'];

function withoutLiveLimits(spec: ServiceSpec): ServiceSpec {
  const { containers, initContainers } = spec.template;
  return { ...spec, template: { ...spec.template, containers: containers.map(fixedParts), ...(initContainers ? { initContainers: initContainers.map(fixedParts) } : {}) } };
}

function fixedParts(container: ContainerSpec): ContainerSpec {
  const { blkio: _, limits, ...rest } = container;
  const fixed = Object.fromEntries(Object.entries(limits).filter(([name]) => !live.includes(name as keyof ContainerLimits)));
  // A set of processors can be changed, but not taken back.
  return { ...rest, limits: { ...fixed, ...(limits.cpuset === undefined ? {} : { cpuset: 'some' }) } };
}

/** Digests may carry a suffix that asks for new pods of the same spec (`…~2`, a restart): the part before it. */
export function baseRevision(revision: string): string {
  return revision.replace(/~\d+$/, '');
}
