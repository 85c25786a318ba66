import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { formatIp4, parseIp4, parsePrefix } from '../../../proxy/rules/address.ts';
import { Overlay } from '../../../proxy/rules/overlay.ts';
import { printState } from '../../../proxy/rules/print.ts';
import { RuleState } from '../../../proxy/rules/state.ts';
import type { ServiceTable } from '../../../model/table.ts';
import { dnsAddress, network, node, pod, pods, service, shop, table } from './fixture.ts';

const host = { nodeId: 'n1', addresses: ['192.168.50.1'], mode: 'ebpf' } as const;

function stateOf(...tables: readonly ServiceTable[]): RuleState {
  const state = new RuleState(host);
  for (const each of tables) state.update(each);
  return state;
}

/** As text, with each signature's number replaced by its networks: numbers depend on history, meanings must not. */
function meaning(state: RuleState): string {
  const names = new Map<string, string>();
  for (const { set, key, data } of state.elements()) {
    if (set !== 'signatures') continue;
    for (const each of state.table.pods.values()) if (each.ip === key) names.set(data as string, [...each.networks].sort().join('+') || 'none');
  }
  return printState(state, { dnsAddress }).split('\n')
    .map((line) => line.replace(/^( {4}[\d.]+ : )(\d+)$/, (_, head: string, id: string) => head + (names.get(id) ?? id)))
    .map((line) => line.replace(/^ {4}(\d+) \. (\d+\.)/, (_, id: string, rest: string) => `    ${names.get(id) ?? 'unused'} . ${rest}`))
    // Of signatures that nobody has any more something stays until the next start.
    .filter((line) => !line.startsWith('    unused . '))
    .sort().join('\n');
}

describe('addresses', () => {
  test('read and write', () => {
    fc.assert(fc.property(fc.ipV4(), (text) => {
      expect(formatIp4(parseIp4(text) as number)).toBe(text);
    }));
  });
  test.each(['', '1', '1.2.3', '1.2.3.4.5', '1.2.3.256', '1..2.3', '1.2.3.4 ', 'a.b.c.d', '1.2.3.', '.1.2.3', '99999999999.1.1.1'])('%j is none', (text) => {
    expect(parseIp4(text)).toBeUndefined();
  });
  test('prefixes', () => {
    expect(parsePrefix('10.32.1.7/24')).toEqual({ first: parseIp4('10.32.1.0'), last: parseIp4('10.32.1.255') });
    expect(parsePrefix('0.0.0.0/0')).toEqual({ first: 0, last: 0xffffffff });
    expect(parsePrefix('1.2.3.4')).toEqual({ first: parseIp4('1.2.3.4'), last: parseIp4('1.2.3.4') });
    for (const bad of ['10.0.0.0/33', '10.0.0.0/', '10.0.0/8', '/8']) expect(parsePrefix(bad)).toBeUndefined();
  });
});

describe('overlay', () => {
  test('of two owners the smaller has its way, whatever the order', () => {
    const claims = ['a', 'b', 'c'];
    fc.assert(fc.property(fc.shuffledSubarray(claims, { minLength: 1 }), fc.subarray(claims), (order, removed) => {
      const overlay = new Overlay<string>();
      for (const owner of order) overlay.replace(owner, [['k', owner]], new Map());
      for (const owner of removed) overlay.replace(owner, [], new Map());
      expect(overlay.get('k')).toBe(order.filter((owner) => !removed.includes(owner)).sort()[0]);
    }));
  });
});

describe('changes', () => {
  test('replacing an endpoint swaps elements and leaves the rule and its counter alone', () => {
    const state = stateOf(shop);
    const web4 = pod('web4', 'shop_web', 2, 'n2', '10.32.2.12', ['shop_front']);
    const web = shop.services.get('shop_web');
    if (!web) throw new Error('no web');
    const next = { ...web, endpoints: [pods.web1, web4, pods.web3].map((p) => ({ pod: p.id, ip: p.ip, node: p.node })) };
    const changes = state.update({ ...shop, services: new Map(shop.services).set('shop_web', next) });
    expect(changes.chains).toEqual([]);
    expect(new Set(changes.elements.map((element) => element.set))).toEqual(new Set(['vip-slots', 'port-slots']));
    expect(changes.elements.every((element) => element.before !== undefined && element.after !== undefined)).toBe(true);
    expect([changes.goneEndpoints, changes.goneUdpEndpoints]).toEqual([['10.32.2.11'], []]);
    expect([...changes.balancers.keys()].sort()).toEqual(['10.48.0.1', '127.0.0.1:8080/tcp', '192.168.50.1:8080/tcp']);
  });

  test('the same table again changes nothing', () => {
    const state = stateOf(shop);
    const again = state.update({ ...shop, services: new Map(shop.services), pods: new Map([...shop.pods].map(([id, entry]) => [id, { ...entry }])) });
    expect(again).toEqual({ elements: [], chains: [], balancers: new Map(), goneEndpoints: [], goneUdpEndpoints: [], newUdpPorts: [] });
  });

  test('a published udp port that finds its first endpoint is told', () => {
    const api = shop.services.get('shop_api');
    if (!api) throw new Error('no api');
    const without = { ...shop, services: new Map(shop.services).set('shop_api', { ...api, endpoints: [] }) };
    const state = stateOf(without);
    expect(state.update(shop).newUdpPorts).toEqual([5353]);
  });

  test('malformed addresses are left out and do not stop the rest', () => {
    const bad = pod('bad', 'shop_web', 9, 'n1', 'nonsense', ['shop_front']);
    const state = stateOf(table({ nodes: [node('n1', 1)], pods: [bad], services: [service('shop_web', { pods: [bad, pods.web1], networks: [{ network: 'shop_front', vip: '10.48.0.1', aliases: [] }] })] }));
    expect(printState(state, { dnsAddress })).not.toContain('nonsense');
    expect([...state.balancers()]).toEqual([['10.48.0.1', [{ ip: parseIp4('10.32.1.11'), port: 0 }]]]);
  });

  test('new addresses of the host publish its ports there too', () => {
    const state = stateOf(shop);
    const changes = state.update(shop, ['192.168.50.1', '172.16.0.9']);
    expect([...changes.balancers.keys()].sort()).toEqual(['172.16.0.9:5353/udp', '172.16.0.9:8080/tcp', '172.16.0.9:9090/tcp']);
  });
});

const networkNames = ['a', 'b', 'c'];
const someTable = fc.record({
  pods: fc.uniqueArray(fc.record({ n: fc.integer({ min: 1, max: 12 }), host: fc.constantFrom('n1', 'n2'), networks: fc.subarray(networkNames), ip: fc.integer({ min: 1, max: 12 }) }), { selector: (p) => p.n }).map((list) => list.filter((p, i) => list.findIndex((q) => q.host === p.host && q.ip === p.ip) === i)),
  services: fc.uniqueArray(fc.record({ n: fc.integer({ min: 1, max: 4 }), members: fc.subarray([1, 2, 3, 4, 5, 6]), published: fc.boolean(), mode: fc.constantFrom('ingress' as const, 'host' as const) }), { selector: (s) => s.n }),
  internal: fc.boolean(),
}).map(({ pods: list, services, internal }) => {
  const made = new Map(list.map((p) => [p.n, pod(`p${p.n}`, 's_x', p.n, p.host, `10.32.${p.host.slice(1)}.${p.ip}`, p.networks)]));
  return table({
    nodes: [node('n1', 1), node('n2', 2)],
    networks: networkNames.map((name, i) => network(name, i + 1, internal && name === 'a')),
    pods: [...made.values()],
    services: services.map((s) => service(`s_${s.n}`, {
      pods: s.members.flatMap((n) => made.get(n) ?? []),
      networks: [{ network: 'a', vip: `10.48.0.${s.n}`, aliases: [] }],
      ports: s.published ? [{ target: 80, published: 8000 + s.n, protocol: 'tcp', mode: s.mode }] : [],
    })),
  });
});

describe('properties', () => {
  test('many updates lead where a fresh start leads', () => {
    fc.assert(fc.property(fc.array(someTable, { minLength: 1, maxLength: 6 }), (tables) => {
      expect(meaning(stateOf(...tables))).toBe(meaning(stateOf(tables.at(-1) as ServiceTable)));
    }), { numRuns: 200 });
  });

  test('changes, carried out one by one, give the state', () => {
    fc.assert(fc.property(fc.array(someTable, { minLength: 1, maxLength: 6 }), (tables) => {
      const state = new RuleState(host);
      const elements = new Map<string, string>();
      const chains = new Set<string>();
      for (const each of tables) {
        const changes = state.update(each);
        for (const { set, key, before, after } of changes.elements) {
          expect(elements.get(`${set} ${key}`)).toBe(before);
          if (after === undefined) elements.delete(`${set} ${key}`);
          else elements.set(`${set} ${key}`, after);
        }
        for (const { name, rules, existed } of changes.chains) {
          expect(chains.has(name)).toBe(existed);
          if (rules) chains.add(name);
          else chains.delete(name);
        }
      }
      expect(elements).toEqual(new Map([...state.elements()].map((e) => [`${e.set} ${e.key}`, e.data ?? ''])));
      expect(chains).toEqual(new Set([...state.chains()].map(([name]) => name)));
      // Nothing leads to a chain that is not there, and every balancer finds each of its slots.
      for (const { data } of state.elements()) if (data?.startsWith('goto ')) expect(chains.has(data.slice(5))).toBe(true);
    }), { numRuns: 200 });
  });
});
