/**
 * The service table: all a proxy needs to route, isolate and name. The master sends it whole, then as changes by key;
 * every change carries the etcd revision it is true at, which the proxy acknowledges once the kernel has it.
 */
export interface ServiceEntry {
  /** `stack_service`. */
  readonly id: string;
  readonly stack: string;
  readonly name: string;
  /** A name answers only to pods that share the network. `vip` is empty with endpoint mode dnsrr. */
  readonly networks: readonly { readonly network: string; readonly vip: string; readonly aliases: readonly string[] }[];
  readonly ports: readonly {
    readonly target: number;
    readonly published: number;
    readonly protocol: 'tcp' | 'udp';
    readonly mode: 'ingress' | 'host';
    readonly hostIp?: string;
  }[];
  /** Ready and wanted, sorted by slot: every proxy numbers them alike. */
  readonly endpoints: readonly { readonly pod: string; readonly ip: string; readonly node: string }[];
}

/** Every pod with an address, from the moment it is assigned: isolation must know it before it starts. */
export interface PodEntry {
  readonly id: string;
  readonly ip: string;
  readonly node: string;
  readonly service: string;
  readonly stack: string;
  readonly slot: number | string;
  readonly hostname: string;
  /** Cluster-wide network names, sorted. */
  readonly networks: readonly string[];
  /** Name servers of its own for names that are not the cluster's; absent: the host's. */
  readonly dns?: readonly string[];
  readonly ready: boolean;
}

export interface PeerEntry {
  readonly id: string;
  readonly name: string;
  readonly address: string;
  readonly subnet: string;
  readonly vtepMac: string;
}

export interface NetworkEntry {
  readonly name: string;
  readonly group: number;
  readonly internal: boolean;
}

export interface ServiceTable {
  readonly services: ReadonlyMap<string, ServiceEntry>;
  readonly pods: ReadonlyMap<string, PodEntry>;
  readonly nodes: ReadonlyMap<string, PeerEntry>;
  readonly networks: ReadonlyMap<string, NetworkEntry>;
}

/** A change to the table; a `null` value removes the key. `full` says that keys not listed are gone. */
export interface TableUpdate {
  readonly revision: number;
  readonly full: boolean;
  readonly services: Readonly<Record<string, ServiceEntry | null>>;
  readonly pods: Readonly<Record<string, PodEntry | null>>;
  readonly nodes: Readonly<Record<string, PeerEntry | null>>;
  readonly networks: Readonly<Record<string, NetworkEntry | null>>;
}

export const emptyTable: ServiceTable = { services: new Map(), pods: new Map(), nodes: new Map(), networks: new Map() };

/** The table after an update. Unchanged maps are shared with the old table. */
export function applyUpdate(table: ServiceTable, update: TableUpdate): ServiceTable {
  return {
    services: applyKeys(table.services, update.services, update.full),
    pods: applyKeys(table.pods, update.pods, update.full),
    nodes: applyKeys(table.nodes, update.nodes, update.full),
    networks: applyKeys(table.networks, update.networks, update.full),
  };
}

function applyKeys<T>(old: ReadonlyMap<string, T>, changes: Readonly<Record<string, T | null>>, full: boolean): ReadonlyMap<string, T> {
  const entries = Object.entries(changes);
  if (!full && entries.length === 0) return old;
  const next = new Map(full ? [] : old);
  for (const [key, value] of entries) {
    if (value === null) next.delete(key);
    else next.set(key, value);
  }
  return next;
}
