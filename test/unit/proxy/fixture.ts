/** A small cluster: two hosts, two stacks, a shared and an internal network. */
import type { NetworkEntry, PeerEntry, PodEntry, ServiceEntry, ServiceTable } from '../../../model/table.ts';

export const dnsAddress = '169.254.1.1';

export function node(id: string, number: number): PeerEntry {
  return { id, name: id, address: `192.168.50.${number}`, subnet: `10.32.${number}.0/24`, vtepMac: `02:00:00:00:00:0${number}` };
}

export function pod(id: string, service: string, slot: number, nodeId: string, ip: string, networks: readonly string[], hostname = id): PodEntry {
  return { id, ip, node: nodeId, service, stack: service.split('_')[0] as string, slot, hostname, networks, ready: true };
}

export function service(id: string, over: Partial<ServiceEntry> & { readonly pods?: readonly PodEntry[] } = {}): ServiceEntry {
  const { pods = [], ...rest } = over;
  const [stack, name] = id.split('_') as [string, string];
  return { id, stack, name, networks: [], ports: [], endpoints: pods.map((p) => ({ pod: p.id, ip: p.ip, node: p.node })), ...rest };
}

export function network(name: string, group: number, internal = false): NetworkEntry {
  return { name, group, internal };
}

export function table(parts: {
  readonly services?: readonly ServiceEntry[];
  readonly pods?: readonly PodEntry[];
  readonly nodes?: readonly PeerEntry[];
  readonly networks?: readonly NetworkEntry[];
}): ServiceTable {
  return {
    services: new Map((parts.services ?? []).map((entry) => [entry.id, entry])),
    pods: new Map((parts.pods ?? []).map((entry) => [entry.id, entry])),
    nodes: new Map((parts.nodes ?? []).map((entry) => [entry.id, entry])),
    networks: new Map((parts.networks ?? []).map((entry) => [entry.name, entry])),
  };
}

const front = 'shop_front';
const back = 'shop_back';

export const pods = {
  web1: pod('web1', 'shop_web', 1, 'n1', '10.32.1.11', [front]),
  web2: pod('web2', 'shop_web', 2, 'n2', '10.32.2.11', [front]),
  web3: pod('web3', 'shop_web', 3, 'n1', '10.32.1.12', [front]),
  api1: pod('api1', 'shop_api', 1, 'n1', '10.32.1.21', [back, front], 'api-host'),
  db1: pod('db1', 'shop_db', 1, 'n2', '10.32.2.31', [back]),
  cache1: pod('cache1', 'shop_cache', 1, 'n1', '10.32.1.41', [back]),
  other1: pod('other1', 'blog_web', 1, 'n1', '10.32.1.51', ['blog_default']),
} as const;

export const shop: ServiceTable = table({
  nodes: [node('n1', 1), node('n2', 2)],
  networks: [network(front, 1), network(back, 2, true), network('blog_default', 3)],
  pods: Object.values(pods),
  services: [
    service('shop_web', {
      pods: [pods.web1, pods.web2, pods.web3],
      networks: [{ network: front, vip: '10.48.0.1', aliases: ['www'] }],
      ports: [
        { target: 80, published: 8080, protocol: 'tcp', mode: 'ingress' },
        { target: 443, published: 8443, protocol: 'tcp', mode: 'host', hostIp: '192.168.50.1' },
      ],
    }),
    service('shop_api', {
      pods: [pods.api1],
      networks: [{ network: back, vip: '10.48.0.2', aliases: [] }, { network: front, vip: '10.48.0.3', aliases: ['api.example.com'] }],
      ports: [{ target: 53, published: 5353, protocol: 'udp', mode: 'ingress' }],
    }),
    service('shop_db', { pods: [pods.db1], networks: [{ network: back, vip: '10.48.0.4', aliases: ['postgres'] }] }),
    service('shop_cache', { pods: [pods.cache1], networks: [{ network: back, vip: '', aliases: [] }] }),
    service('shop_idle', { networks: [{ network: front, vip: '10.48.0.5', aliases: [] }] }),
    service('blog_web', {
      pods: [pods.other1],
      networks: [{ network: 'blog_default', vip: '10.48.0.6', aliases: [] }],
      ports: [{ target: 80, published: 9090, protocol: 'tcp', mode: 'ingress' }],
    }),
  ],
});
