/** Entries of the service table (table.ts) from specs and pods. */
import { networksOf, type ServiceSpec } from './spec.ts';
import type { Pod } from './pod.ts';
import type { ServiceStatus } from './service.ts';
import type { PodEntry, ServiceEntry } from './table.ts';

/** Null for a pod that has no address or no node yet. */
export function podEntryOf(pod: Pod, spec: ServiceSpec, ready: boolean): PodEntry | null {
  if (pod.ip === null || pod.node === null) return null;
  return {
    id: pod.id, ip: pod.ip, node: pod.node, service: pod.service, stack: pod.stack, slot: pod.slot,
    hostname: spec.template.hostname ?? pod.id,
    networks: networksOf(spec),
    ...(spec.template.dns.length > 0 ? { dns: spec.template.dns } : {}),
    ready: pod.desired === 'running' && ready,
  };
}

/** `serves`: whether a pod that is wanted and has an address is an endpoint now. */
export function serviceEntryOf(id: string, spec: ServiceSpec, given: Pick<ServiceStatus, 'vips' | 'ports'> | undefined, pods: readonly Pod[], serves: (pod: Pod) => boolean): ServiceEntry {
  const vips = new Map(given?.vips.map((vip) => [vip.network, vip.ip]));
  return {
    id, stack: spec.stack, name: spec.name,
    networks: spec.networks.map((attachment) => ({
      network: attachment.network,
      vip: spec.endpointMode === 'vip' ? (vips.get(attachment.network) ?? '') : '',
      aliases: attachment.aliases,
    })),
    ports: given?.ports ?? [],
    endpoints: pods
      .filter((pod) => pod.desired === 'running' && pod.ip !== null && pod.node !== null && serves(pod))
      .sort(bySlot)
      .map((pod) => ({ pod: pod.id, ip: pod.ip as string, node: pod.node as string })),
  };
}

function bySlot(a: Pod, b: Pod): number {
  if (typeof a.slot === 'number' && typeof b.slot === 'number' && a.slot !== b.slot) return a.slot - b.slot;
  const left = String(a.slot);
  const right = String(b.slot);
  if (left !== right) return left < right ? -1 : 1;
  return a.id < b.id ? -1 : 1;
}
