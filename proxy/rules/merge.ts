/**
 * The cluster's table and that of the host's own manifests as one. They are strangers: their names may be the same and mean other things,
 * so the host's own are put under other keys. A port that the cluster publishes stays the cluster's.
 */
import type { ServiceEntry, ServiceTable } from '../../model/table.ts';

export interface MergedTables {
  readonly table: ServiceTable;
  /** Ports of manifests that the cluster has: `tcp/8080 of web_api`. */
  readonly refused: readonly string[];
}

export function mergeTables(cluster: ServiceTable, local: ServiceTable): MergedTables {
  if (local.services.size === 0 && local.pods.size === 0) return { table: cluster, refused: [] };
  const taken = new Set<string>();
  for (const { ports } of cluster.services.values()) for (const { protocol, published } of ports) taken.add(`${protocol}/${published}`);
  const refused: string[] = [];
  const services = new Map(cluster.services);
  for (const [key, service] of local.services) services.set(localKey(key), withoutPorts(service, taken, refused));
  return {
    refused,
    table: { services, pods: join(cluster.pods, local.pods), nodes: join(cluster.nodes, local.nodes), networks: join(cluster.networks, local.networks) },
  };
}

/** The host's own table with the node's id put in: all of it is of this host, which the one who writes it has no name for. */
export function placeTable(table: ServiceTable, nodeId: string): ServiceTable {
  const map = <T>(entries: ReadonlyMap<string, T>, change: (entry: T) => T) => new Map(Array.from(entries, ([key, entry]) => [key, change(entry)]));
  return {
    services: map(table.services, (service) => ({ ...service, endpoints: service.endpoints.map((endpoint) => ({ ...endpoint, node: nodeId })) })),
    pods: map(table.pods, (pod) => ({ ...pod, node: nodeId })),
    nodes: map(table.nodes, (node) => ({ ...node, id: nodeId })),
    networks: table.networks,
  };
}

/** No id of a cluster's has a slash. */
function localKey(key: string): string {
  return `local/${key}`;
}

function join<T>(cluster: ReadonlyMap<string, T>, local: ReadonlyMap<string, T>): ReadonlyMap<string, T> {
  const all = new Map(cluster);
  for (const [key, value] of local) all.set(localKey(key), value);
  return all;
}

function withoutPorts(service: ServiceEntry, taken: ReadonlySet<string>, refused: string[]): ServiceEntry {
  const ports = service.ports.filter(({ protocol, published }) => {
    const key = `${protocol}/${published}`;
    if (taken.has(key)) refused.push(`${key} of ${service.id}`);
    return !taken.has(key);
  });
  return ports.length === service.ports.length ? service : { ...service, ports };
}
