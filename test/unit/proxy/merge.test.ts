/** The cluster's table and that of the host's own manifests in one kernel: who reaches whom, and who has a port. */
import { describe, expect, test } from 'vitest';
import { Names } from '../../../proxy/dns/names.ts';
import { mergeTables, placeTable } from '../../../proxy/rules/merge.ts';
import { RuleState } from '../../../proxy/rules/state.ts';
import { trace, type Packet, type TraceHost } from '../../../proxy/rules/trace.ts';
import { emptyTable } from '../../../model/table.ts';
import { dnsAddress, network, pod, pods, service, shop, table } from './fixture.ts';

/** Called as a stack of the cluster is, with a network of the same name: strangers all the same. */
const web = pod('s1', 'shop_web', 1, 'here', '10.31.0.1', ['manifest/shop_front']);
const api = pod('s2', 'shop_api', 1, 'here', '10.31.0.2', ['manifest/shop_front']);
const other = pod('s3', 'edge_proxy', 1, 'here', '10.31.0.3', ['manifest/edge_default']);
const own = table({
  services: [
    service('shop_web', { pods: [web], networks: [{ network: 'manifest/shop_front', vip: '10.31.128.1', aliases: [] }], ports: [{ target: 80, published: 7070, protocol: 'tcp', mode: 'ingress' }] }),
    service('edge_proxy', { pods: [other], ports: [{ target: 80, published: 8080, protocol: 'tcp', mode: 'host' }] }),
  ],
  pods: [web, api, other],
  nodes: [{ id: 'here', name: 'n1', address: '', subnet: '10.31.0.0/17', vtepMac: '' }],
  networks: [network('manifest/shop_front', 1), network('manifest/edge_default', 2)],
});
const { table: both, refused } = mergeTables(shop, placeTable(own, 'n1'));

const host: TraceHost = { dnsAddress, local: ['192.168.50.1', '10.32.1.0', dnsAddress, '127.0.0.1'] };
function stateOf(of: typeof shop, nodeId = 'n1'): RuleState {
  const state = new RuleState({ nodeId, addresses: [nodeId === 'n1' ? '192.168.50.1' : '192.168.50.2'], mode: 'nftables' });
  state.update(of);
  return state;
}
const here = stateOf(both);
const walk = (packet: Partial<Packet> & Pick<Packet, 'from' | 'to'>, state = here, over: Partial<TraceHost> = {}) => trace(state, { protocol: 'tcp', port: 80, ...packet }, { ...host, ...over });
const internet = '203.0.113.7';

describe('a manifest\'s pod', () => {
  test.each<[string, string, string, string]>([
    ['reaches one on its network', web.ip, api.ip, 'forwarded'],
    ['none of another manifest', other.ip, web.ip, 'reset'],
    ['none of the cluster here, though their names are the same', web.ip, pods.web1.ip, 'reset'],
    ['and is not reached from there', pods.web1.ip, web.ip, 'reset'],
    ['nor from another host\'s pods', pods.web2.ip, web.ip, 'reset'],
    ['nor from outside by its address', internet, web.ip, 'reset'],
    ['an address that nobody has reaches nobody', '10.31.0.99', web.ip, 'reset'],
  ])('%s', (_, from, to, verdict) => {
    expect(walk({ from, to }).verdict).toBe(verdict);
  });

  test('goes out into the world as this host, and its address is never seen by others', () => {
    expect(walk({ from: web.ip, to: internet })).toMatchObject({ verdict: 'forwarded', masqueraded: true });
    // Another host refuses it, whether it has manifests itself or not.
    const plain = stateOf(shop, 'n2');
    expect(walk({ from: web.ip, to: pods.db1.ip }, plain).verdict).toBe('reset');
    const alike = stateOf(mergeTables(shop, placeTable(own, 'n2')).table, 'n2');
    expect(walk({ from: web.ip, to: pods.db1.ip }, alike, { sourceIsTrue: () => false }).verdict).toBe('dropped');
  });

  test('serves on its published port and its virtual address', () => {
    expect(walk({ from: internet, to: '192.168.50.1', port: 7070 })).toMatchObject({ verdict: 'forwarded', to: web.ip, port: 80 });
    expect(walk({ from: api.ip, to: '10.31.128.1' })).toMatchObject({ verdict: 'forwarded', to: web.ip });
  });

  test('works the same where there is no cluster', () => {
    const alone = stateOf(mergeTables(emptyTable, placeTable(own, 'n1')).table);
    expect(walk({ from: web.ip, to: api.ip }, alone).verdict).toBe('forwarded');
    expect(walk({ from: other.ip, to: web.ip }, alone).verdict).toBe('reset');
    expect(walk({ from: internet, to: '192.168.50.1', port: 8080 }, alone)).toMatchObject({ verdict: 'forwarded', to: other.ip });
  });
});

test('the cluster is as it was', () => {
  const before = stateOf(shop);
  for (const [from, to] of [[pods.web1, pods.api1], [pods.web1, pods.cache1], [pods.web2, pods.web1], [pods.web1, pods.db1]] as const) {
    expect(walk({ from: from.ip, to: to.ip }).verdict).toBe(walk({ from: from.ip, to: to.ip }, before).verdict);
  }
  for (const [key, entry] of shop.services) expect(both.services.get(key)).toBe(entry);
});

test('a port that the cluster publishes stays the cluster\'s', () => {
  const published = [...shop.services.values()].flatMap(({ ports }) => ports.map(({ protocol, published: port }) => `${protocol}/${port}`));
  expect(published).toContain('tcp/8080');
  expect(refused).toEqual(['tcp/8080 of edge_proxy']);
  expect(walk({ from: internet, to: '192.168.50.1', port: 8080 }).to).toBe(pods.web1.ip);
});

test('without pods of manifests the table is the cluster\'s own', () => {
  expect(mergeTables(shop, emptyTable)).toEqual({ table: shop, refused: [] });
  expect(mergeTables(shop, emptyTable).table).toBe(shop);
});

test('names: each finds its own kind', () => {
  const names = new Names();
  names.update(both);
  expect(names.podAt(web.ip)).toMatchObject({ id: 's1', node: 'n1' });
  expect(names.servicesOn('manifest/shop_front', 'web').map(({ networks }) => networks[0]?.vip)).toEqual(['10.31.128.1']);
  expect(names.servicesOn('shop_front', 'web').map(({ endpoints }) => endpoints[0]?.pod)).toEqual([shop.services.get('shop_web')?.endpoints[0]?.pod]);
});
