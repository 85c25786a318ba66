/**
 * A service's virtual addresses and published ports.
 *
 * A virtual address stands for its endpoints on every port and protocol, the port kept: Compose users connect to
 * `db:5432` without declaring a port anywhere, so nobody knows which ports a service answers on. The key of a virtual
 * address is therefore the address alone, and an endpoint that does not listen refuses by itself. Published ports are
 * the other way round: the port is the key, and it leads to the target port.
 */
import type { ServiceEntry } from '../../model/table.ts';
import { parseIp4 } from './address.ts';
import type { Backend, Fragment, HostContext } from './fragment.ts';
import { daddr, rule } from './rule.ts';
import type { FieldType, Operand, Rule, SetElement } from './rule.ts';
import { spreadSlots } from './ruleset.ts';

type Published = ServiceEntry['ports'][number];

interface Endpoint {
  readonly text: string;
  readonly ip: number;
}

interface Draft {
  readonly elements: SetElement[];
  readonly chains: { name: string; rules: readonly Rule[] }[];
  readonly balancers: { key: string; backends: readonly Backend[] }[];
}

export function serviceFragment(service: ServiceEntry, host: HostContext): Fragment {
  const draft: Draft = { elements: [], chains: [], balancers: [] };
  const all = validEndpoints(service.endpoints);
  for (const { vip } of service.networks) if (parseIp4(vip) !== undefined) addVip(draft, vip, all, host);
  if (service.ports.length > 0) {
    const here = validEndpoints(service.endpoints.filter((endpoint) => endpoint.node === host.nodeId));
    for (const port of service.ports) addPort(draft, port, port.mode === 'host' ? here : all, host);
  }
  return draft;
}

/** Addresses of a service's endpoints, as conntrack knows them. */
export function endpointAddresses(service: ServiceEntry | undefined): readonly string[] {
  return service?.endpoints.map((endpoint) => endpoint.ip) ?? [];
}

export function publishesUdp(service: ServiceEntry | undefined): boolean {
  return service?.ports.some((port) => port.protocol === 'udp') === true;
}

function validEndpoints(endpoints: ServiceEntry['endpoints']): readonly Endpoint[] {
  const valid: Endpoint[] = [];
  for (const { ip: text } of endpoints) {
    const ip = parseIp4(text);
    if (ip !== undefined) valid.push({ text, ip });
  }
  return valid;
}

function addVip(draft: Draft, vip: string, endpoints: readonly Endpoint[], host: HostContext): void {
  draft.elements.push({ set: 'vips', key: vip });
  // Without endpoints too: the hook refuses at once.
  draft.balancers.push({ key: vip, backends: endpoints.map(({ ip }) => ({ ip, port: 0 })) });
  if (endpoints.length === 0) return;
  let count = spreadSlots;
  if (host.mode === 'nftables') {
    const chain = `vip-${vip}`;
    count = endpoints.length;
    draft.elements.push({ set: 'vip-balancers', key: vip, data: `goto ${chain}` });
    draft.chains.push({ name: chain, rules: balance([daddr], count, 'vip-slots') });
  }
  const first = rotation(vip, endpoints);
  for (let slot = 0; slot < count; slot++) {
    draft.elements.push({ set: 'vip-slots', key: `${vip} . ${slot}`, data: (endpoints[(first + slot) % endpoints.length] as Endpoint).text });
  }
}

function addPort(draft: Draft, port: Published, endpoints: readonly Endpoint[], host: HostContext): void {
  // Nobody behind it: left to whoever listens on this host, most often to a plain refusal.
  if (endpoints.length === 0) return;
  const at = port.hostIp === undefined || port.hostIp === '' || port.hostIp === '0.0.0.0' ? undefined : port.hostIp;
  if (at !== undefined && parseIp4(at) === undefined) return;
  const backends = endpoints.map(({ ip }) => ({ ip, port: port.target }));
  for (const address of at === undefined ? [...host.addresses, '127.0.0.1'] : [at]) {
    draft.balancers.push({ key: `${address}:${port.published}/${port.protocol}`, backends });
  }
  if (at?.startsWith('127.')) return;
  const name = `${at === undefined ? '' : `${at} . `}${port.protocol} . ${port.published}`;
  const chain = `port-${port.protocol}-${port.published}${at === undefined ? '' : `-${at}`}`;
  draft.elements.push({ set: at === undefined ? 'ports' : 'ports-at', key: name, data: `goto ${chain}` });
  const key = [constant('ipv4_addr', at ?? '0.0.0.0'), constant('inet_proto', port.protocol), constant('inet_service', String(port.published))];
  draft.chains.push({ name: chain, rules: balance(key, endpoints.length, 'port-slots') });
  const first = rotation(name, endpoints);
  for (let slot = 0; slot < endpoints.length; slot++) {
    const endpoint = endpoints[(first + slot) % endpoints.length] as Endpoint;
    draft.elements.push({
      set: 'port-slots',
      key: `${at ?? '0.0.0.0'} . ${port.protocol} . ${port.published} . ${slot}`,
      data: `${endpoint.text} . ${port.target}`,
    });
  }
}

/**
 * Rules depend on the number of endpoints alone, so that replacing one endpoint by another changes elements and keeps the
 * counter. The second rule serves a packet that is between the two while the number shrinks: its slot is gone already.
 */
function balance(key: readonly Operand[], count: number, map: 'vip-slots' | 'port-slots'): readonly Rule[] {
  const port = map === 'port-slots';
  return [
    rule({ do: 'dnat', key: [...key, { from: 'numgen', kind: 'inc', modulus: count }], map, port }),
    rule({ do: 'dnat', key: [...key, constant('mark', '0')], map, port }),
  ];
}

function constant(type: FieldType, text: string): Operand {
  return { from: 'constant', type, text };
}

/**
 * Which endpoint takes slot 0. A rule that is replaced begins anew at slot 0: were that always the first endpoint, a
 * service that changes often would send most of its connections there. FNV-1a over the endpoints.
 */
function rotation(key: string, endpoints: readonly Endpoint[]): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < key.length; i++) hash = Math.imul(hash ^ key.charCodeAt(i), 0x01000193);
  for (const { ip } of endpoints) hash = Math.imul(hash ^ ip, 0x01000193);
  return (hash >>> 0) % endpoints.length;
}
