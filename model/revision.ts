/** Which parts of a service a running pod is made of. */
import type { ServiceSpec } from './spec.ts';
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

/** Digests may carry a suffix that asks for new pods of the same spec (`…~2`, a restart): the part before it. */
export function baseRevision(revision: string): string {
  return revision.replace(/~\d+$/, '');
}
