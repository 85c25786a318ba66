import fc from 'fast-check';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { buildTable, diffTables, fullUpdate } from '../../../../master/table/build.ts';
import { encodeUpdate } from '../../../../master/table/publisher.ts';
import type { Op } from '../../../../master/store/port.ts';
import type { NodeState } from '../../../../model/node.ts';
import { applyUpdate, emptyTable, type ServiceTable } from '../../../../model/table.ts';
import { TableChange } from '../../../../proto/gen/tsorch/node.ts';
import { decodeChange } from '../../../../proxy/stream.ts';
import { makeSpec } from '../scheduler/make.ts';
import { makeWorld, put } from './maps.ts';

let over: AbortController;
beforeEach(() => { over = new AbortController(); });
afterEach(() => over.abort(new Error('over')));

const spec = makeSpec({ networks: [{ network: 'shop_front', aliases: ['www'] }, { network: 'shop_back', aliases: [] }] });
const ready = (): NodeState => 'ready';

it('endpoints are pods that are wanted, ready, placed, and on a node not given up; in the order of their slots', async () => {
  const { world, write } = await makeWorld(over.signal);
  await write(...put.node(1), ...put.node(2), ...put.service(spec));
  const slots = [['a', 10], ['b', 9], ['c', 2]] as const;
  for (const [id, slot] of slots) await write(put.pod(id, { slot, node: 'n1', ip: `10.32.1.${slot}` }), put.status(id));
  await write(
    put.pod('unready', { slot: 3, node: 'n1', ip: '10.32.1.30' }), put.status('unready', { ready: false }),
    put.pod('draining', { slot: 4, node: 'n1', ip: '10.32.1.31', desired: 'draining' }), put.status('draining'),
    put.pod('placeless', { slot: 5 }), put.status('placeless'),
    put.pod('host', { slot: 6, node: 'n1', ip: null }), put.status('host'),
    put.pod('lost', { slot: 7, node: 'n2', ip: '10.32.2.7' }), put.status('lost'),
    put.pod('silent', { slot: 8, node: 'n1', ip: '10.32.1.32' }),
  );
  const table = buildTable(world.maps, (node) => (node === 'n2' ? 'down' : 'ready'));
  expect(table.services.get('shop_web')?.endpoints.map(({ pod }) => pod)).toEqual(['c', 'b', 'a']);
  // Isolation knows every pod with an address, whatever its state; readiness is what an endpoint's is.
  expect([...table.pods.keys()].toSorted()).toEqual(['a', 'b', 'c', 'draining', 'lost', 'silent', 'unready']);
  expect(table.pods.get('draining')?.ready).toBe(false);
  expect(table.pods.get('a')).toMatchObject({ networks: ['shop_back', 'shop_front'], hostname: 'a', ready: true });
  // A node that may come back keeps its pods in service.
  expect(buildTable(world.maps, () => 'unknown').services.get('shop_web')?.endpoints).toHaveLength(4);
});

it('names lead to addresses per network, to none with dnsrr', async () => {
  const { world, write } = await makeWorld(over.signal);
  const vips = [{ network: 'shop_front', ip: '10.30.0.1' }, { network: 'shop_back', ip: '10.30.0.2' }];
  const ports = [{ target: 80, published: 8080, protocol: 'tcp', mode: 'ingress' }] as const;
  await write(...put.service(spec), put.network('shop_front', 1), put.network('shop_back', 2, true), { op: 'put', kind: 'servicestatus', id: 'shop_web', value: { id: 'shop_web', vips, ports, update: { state: 'none', message: '' } } });
  expect(buildTable(world.maps, ready).services.get('shop_web')).toMatchObject({
    networks: [{ network: 'shop_front', vip: '10.30.0.1', aliases: ['www'] }, { network: 'shop_back', vip: '10.30.0.2', aliases: [] }], ports,
  });
  expect(buildTable(world.maps, ready).networks.get('shop_back')).toEqual({ name: 'shop_back', group: 2, internal: true });
  await write(...put.service({ ...spec, endpointMode: 'dnsrr' }));
  expect(buildTable(world.maps, ready).services.get('shop_web')?.networks.map(({ vip }) => vip)).toEqual(['', '']);
});

it('a pod keeps the networks of its own revision while its service moves on', async () => {
  const { world, write } = await makeWorld(over.signal);
  await write(...put.service(spec), put.pod('a', { node: 'n1', ip: '10.32.1.2' }));
  await write(...put.service(makeSpec({ networks: [{ network: 'shop_new', aliases: [] }] }), 'r2', 'r1'));
  expect(buildTable(world.maps, ready).pods.get('a')?.networks).toEqual(['shop_back', 'shop_front']);
});

/** Any change of anything the table is made of. */
const change = fc.oneof(
  fc.record({ what: fc.constant('pod' as const), id: fc.integer({ min: 0, max: 9 }), node: fc.constantFrom('n1', 'n2', null), desired: fc.constantFrom('running' as const, 'draining' as const, 'stopped' as const), revision: fc.constantFrom('r1', 'r2') }),
  fc.record({ what: fc.constant('status' as const), id: fc.integer({ min: 0, max: 9 }), ready: fc.boolean() }),
  fc.record({ what: fc.constant('service' as const), name: fc.constantFrom('web', 'db'), revision: fc.constantFrom('r1', 'r2'), dnsrr: fc.boolean() }),
  fc.record({ what: fc.constant('node' as const), number: fc.integer({ min: 1, max: 3 }) }),
  fc.record({ what: fc.constant('network' as const), name: fc.constantFrom('shop_front', 'shop_back', 'constructor'), group: fc.integer({ min: 1, max: 3 }) }),
  fc.record({ what: fc.constant('delete' as const), kind: fc.constantFrom('pods' as const, 'podstatus' as const, 'services' as const, 'nodes' as const, 'networks' as const), id: fc.constantFrom('p0', 'p1', 'p2', 'shop_web', 'shop_db', 'n1', 'n2', 'shop_front', 'constructor') }),
  fc.record({ what: fc.constant('state' as const), node: fc.constantFrom('n1', 'n2'), down: fc.boolean() }),
);
type Step = typeof change extends fc.Arbitrary<infer T> ? T : never;

function opsOf(step: Step): Op[] {
  switch (step.what) {
    case 'pod':
      return [put.pod(`p${step.id}`, { slot: step.id, node: step.node, ip: step.node === null ? null : `10.32.${step.node.slice(1)}.${step.id + 2}`, desired: step.desired, revision: step.revision })];
    case 'status':
      return [put.status(`p${step.id}`, { ready: step.ready })];
    case 'service':
      return put.service({ ...spec, name: step.name, endpointMode: step.dnsrr ? 'dnsrr' : 'vip' }, step.revision);
    case 'node':
      return put.node(step.number);
    case 'network':
      return [put.network(step.name, step.group)];
    case 'delete':
      return [{ op: 'delete', kind: step.kind, id: step.id }];
    case 'state':
      return [];
  }
}

const plain = (table: ServiceTable) => Object.fromEntries(Object.entries(table).map(([part, map]) => [part, Object.fromEntries(map as ReadonlyMap<string, unknown>)]));

it('whoever applies the changes, over the wire, has the table; whoever joins late has it whole', async () => {
  await fc.assert(fc.asyncProperty(fc.array(fc.array(change, { minLength: 1, maxLength: 4 }), { maxLength: 12 }), async (bursts) => {
    const own = new AbortController();
    const { world, store } = await makeWorld(own.signal);
    const down = new Set<string>();
    const stateOf = (node: string): NodeState => (down.has(node) ? 'down' : 'ready');
    let before = emptyTable;
    let follower = emptyTable;
    for (const burst of bursts) {
      for (const step of burst) {
        if (step.what === 'state') down[step.down ? 'add' : 'delete'](step.node);
        for (const op of opsOf(step)) await world.waitFor((await store.commit([op])).revision, own.signal);
      }
      const after = buildTable(world.maps, stateOf);
      const update = diffTables(before, after, world.revision);
      if (update) {
        const wire = TableChange.decode(TableChange.encode(encodeUpdate(update)).finish());
        follower = applyUpdate(follower, decodeChange(wire, follower));
      } else expect(plain(after)).toEqual(plain(before));
      expect(plain(follower)).toEqual(plain(after));
      const whole = TableChange.decode(TableChange.encode(encodeUpdate(fullUpdate(after, world.revision))).finish());
      expect(plain(applyUpdate(emptyTable, decodeChange(whole, emptyTable)))).toEqual(plain(after));
      expect(diffTables(after, buildTable(world.maps, stateOf), world.revision)).toBeNull();
      before = after;
    }
    own.abort(new Error('over'));
  }), { numRuns: 60 });
});
