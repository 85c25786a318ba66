/**
 * The service table from the store's maps: pure. Endpoints are pods that are ready, wanted, and on a node not given up.
 * A pod is listed from the moment it has an address, because isolation must know it before it starts.
 */
import { podEntryOf, serviceEntryOf } from '../../model/entries.ts';
import type { NetworkEntry, PeerEntry, PodEntry, ServiceEntry, ServiceTable, TableUpdate } from '../../model/table.ts';
import type { Pod } from '../../model/pod.ts';
import type { NodeState } from '../../model/node.ts';
import type { Maps } from '../world.ts';

export function buildTable(maps: Maps, stateOf: (nodeId: string) => NodeState): ServiceTable {
  const byService = new Map<string, Pod[]>();
  const pods = new Map<string, PodEntry>();
  for (const { value: pod } of maps.pods.values()) {
    const list = byService.get(pod.service);
    if (list) list.push(pod);
    else byService.set(pod.service, [pod]);
    const entry = podEntry(maps, pod);
    if (entry) pods.set(pod.id, entry);
  }
  const services = new Map<string, ServiceEntry>();
  for (const { value: service } of maps.services.values()) {
    services.set(service.id, serviceEntryOf(service.id, service.spec, maps.servicestatus.get(service.id)?.value, byService.get(service.id) ?? [],
      (pod) => stateOf(pod.node as string) !== 'down' && maps.podstatus.get(pod.id)?.value.ready === true));
  }
  const nodes = new Map<string, PeerEntry>();
  for (const { value: node } of maps.nodes.values()) {
    const status = maps.nodestatus.get(node.id)?.value;
    if (status) nodes.set(node.id, { id: node.id, name: node.name, address: status.address, subnet: node.subnet, vtepMac: status.vtepMac });
  }
  const networks = new Map<string, NetworkEntry>();
  for (const { value: network } of maps.networks.values()) {
    networks.set(network.name, { name: network.name, group: network.group, internal: network.internal });
  }
  return { services, pods, nodes, networks };
}

function podEntry(maps: Maps, pod: Pod): PodEntry | null {
  const spec = maps.revisions.get(`${pod.service}.${pod.revision}`)?.value.spec;
  return spec ? podEntryOf(pod, spec, maps.podstatus.get(pod.id)?.value.ready === true) : null;
}

/** What changed between two tables, or null when nothing did. */
export function diffTables(before: ServiceTable, after: ServiceTable, revision: number): TableUpdate | null {
  const update = {
    revision, full: false,
    services: diffMap(before.services, after.services),
    pods: diffMap(before.pods, after.pods),
    nodes: diffMap(before.nodes, after.nodes),
    networks: diffMap(before.networks, after.networks),
  };
  const size = [update.services, update.pods, update.nodes, update.networks].reduce((sum, part) => sum + Object.keys(part).length, 0);
  return size === 0 ? null : update;
}

/** The whole table as an update. */
export function fullUpdate(table: ServiceTable, revision: number): TableUpdate {
  return {
    revision, full: true,
    services: Object.fromEntries(table.services), pods: Object.fromEntries(table.pods),
    nodes: Object.fromEntries(table.nodes), networks: Object.fromEntries(table.networks),
  };
}

function diffMap<T>(before: ReadonlyMap<string, T>, after: ReadonlyMap<string, T>): Record<string, T | null> {
  const changes: Record<string, T | null> = {};
  for (const [key, value] of after) {
    const old = before.get(key);
    if (old === undefined || (old !== value && JSON.stringify(old) !== JSON.stringify(value))) changes[key] = value;
  }
  for (const key of before.keys()) if (!after.has(key)) changes[key] = null;
  return changes;
}
