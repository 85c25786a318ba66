import { describe, expect, test } from 'vitest';
import { demandOf } from '../../../../master/scheduler/demand.ts';
import { seeded } from '../../../../master/scheduler/pick/random.ts';
import { schedule, type ScheduleResult } from '../../../../master/scheduler/schedule.ts';
import type { ClusterState } from '../../../../master/scheduler/state.ts';
import type { Pod } from '../../../../model/pod.ts';
import type { ServiceSpec } from '../../../../model/spec.ts';
import { gib, makeNode, makePod, makePods, makeSpec, makeState } from './make.ts';

function place(state: ClusterState, spec: ServiceSpec, pods: readonly Pod[], seed = 1): ScheduleResult {
  return schedule(state, pods.map((pod) => ({ pod, spec })), { random: seeded(seed) });
}

/** `n1 n2 n1`: where the pods went, by slot. */
function nodes(result: ScheduleResult): string {
  return result.assignments.map((assignment) => assignment.node).join(' ');
}

function tally(result: ScheduleResult): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const { node } of result.assignments) counts[node] = (counts[node] ?? 0) + 1;
  return counts;
}

const three = [makeNode(1), makeNode(2), makeNode(3)];

describe('spread', () => {
  test('pods of a service go round', () => {
    expect(nodes(place(makeState(three), makeSpec(), makePods(7)))).toBe('n1 n2 n3 n1 n2 n3 n1');
  });

  test('its own pods count before others, others before load', () => {
    const state = makeState(three, [
      { pod: makePod('a', { node: 'n1' }), spec: makeSpec() },
      { pod: makePod('b', { node: 'n2', service: 'shop_db' }), spec: makeSpec() },
      { pod: makePod('c', { node: 'n2', service: 'shop_db', slot: 2 }), spec: makeSpec() },
    ]);
    expect(nodes(place(state, makeSpec(), makePods(3)))).toBe('n3 n2 n1');
    const loaded = makeState(three, three.map((view, index) => ({
      pod: makePod(`p${index}`, { node: view.node.id, service: 'shop_db' }), spec: makeSpec({ cpus: 3 - index }),
    })));
    expect(nodes(place(loaded, makeSpec(), makePods(3)))).toBe('n3 n2 n1');
  });

  test('pods on their way out hold resources but do not count as pods of the service', () => {
    const spec = makeSpec({ cpus: 3 });
    const state = makeState([makeNode(1), makeNode(2)], [{ pod: makePod('old', { node: 'n1', desired: 'stopped' }), spec }]);
    expect(nodes(place(state, spec, [makePod('new')]))).toBe('n2');
    expect(place(state, spec, makePods(2)).unplaced).toHaveLength(1);
    state.removePod('old');
    expect(place(state, spec, makePods(2)).unplaced).toHaveLength(0);
  });

  test('groups with the same wishes share room and balance', () => {
    const spec = makeSpec();
    const pending = Array.from({ length: 9 }, (_, i) => ({ pod: makePod(`p${i}`, { service: `s${i}` }), spec }));
    expect(tally(schedule(makeState(three), pending, { random: seeded(1) }))).toEqual({ n1: 3, n2: 3, n3: 3 });
    // Wishes that differ in words alone keep rankings of their own, which must notice what the other has placed.
    const mixed = pending.map(({ pod }, i) => ({ pod, spec: i % 2 === 0 ? spec : makeSpec({ where: ['gone!=x'] }) }));
    expect(tally(schedule(makeState(three), mixed, { random: seeded(1) }))).toEqual({ n1: 3, n2: 3, n3: 3 });
  });
});

describe('spread preferences', () => {
  const zoned = [
    makeNode(1, { labels: { zone: 'a', rack: '1' } }), makeNode(2, { labels: { zone: 'a', rack: '1' } }), makeNode(3, { labels: { zone: 'a', rack: '2' } }),
    makeNode(4, { labels: { zone: 'b', rack: '1' } }), makeNode(5),
  ];
  test('branches get equal shares, a missing label is a branch', () => {
    expect(tally(place(makeState(zoned), makeSpec({ over: ['node.labels.zone'] }), makePods(9)))).toEqual({ n1: 1, n2: 1, n3: 1, n4: 3, n5: 3 });
  });
  test('levels nest', () => {
    expect(tally(place(makeState(zoned), makeSpec({ over: ['zone', 'rack'] }), makePods(12)))).toEqual({ n1: 1, n2: 1, n3: 2, n4: 4, n5: 4 });
  });
  test('existing pods count, and a full branch leaves its share to the others', () => {
    const spec = makeSpec({ over: ['zone'], cpus: 1 });
    const state = makeState(zoned, [1, 2, 3].map((n) => ({ pod: makePod(`old${n}`, { node: 'n5', slot: 90 + n }), spec })));
    expect(tally(place(state, spec, makePods(9)))).toEqual({ n1: 2, n2: 1, n3: 1, n4: 4, n5: 1 });
  });
});

describe('other strategies', () => {
  test('binpack fills one node after the other', () => {
    const state = makeState(three, [{ pod: makePod('x', { node: 'n2', service: 'other' }), spec: makeSpec({ cpus: 1 }) }]);
    expect(nodes(place(state, makeSpec({ cpus: 1, placement: { strategy: 'binpack' } }), makePods(8)))).toBe('n2 n2 n2 n1 n1 n1 n1 n3');
  });
  test('random follows its seed alone and never overfills', () => {
    const spec = makeSpec({ cpus: 2, placement: { strategy: 'random' } });
    const first = place(makeState(three), spec, makePods(7), 42);
    expect(place(makeState(three.toReversed()), spec, makePods(7).toReversed(), 42)).toEqual(first);
    expect(tally(first)).toEqual({ n1: 2, n2: 2, n3: 2 });
    expect(first.unplaced).toHaveLength(1);
    const seen = new Set(Array.from({ length: 20 }, (_, seed) => nodes(place(makeState(three), spec, makePods(3), seed))));
    expect(seen.size).toBeGreaterThan(5);
  });
});

describe('constraints', () => {
  const typed = [makeNode(1), makeNode(2, { labels: { type: 'frontend' } }), makeNode(3, { labels: { type: 'backend', disk: 'ssd' } }), makeNode(4, { labels: { disk: 'ssd' } })];
  test('hard ones exclude', () => {
    expect(nodes(place(makeState(typed), makeSpec({ where: ['type==frontend'] }), makePods(2)))).toBe('n2 n2');
    expect(nodes(place(makeState(typed), makeSpec({ where: ['type!=frontend', 'disk==ssd'] }), makePods(2)))).toBe('n3 n4');
  });
  test('soft ones rank and are given up one by one, the last first', () => {
    const where = ['type==~frontend', 'disk==~ssd'];
    expect(nodes(place(makeState(typed), makeSpec({ where, cpus: 4 }), makePods(4)))).toBe('n2 n3 n4 n1');
    expect(nodes(place(makeState(typed), makeSpec({ where: where.toReversed(), cpus: 4 }), makePods(4)))).toBe('n3 n4 n2 n1');
    expect(nodes(place(makeState(typed), makeSpec({ where: ['type==~nowhere', 'disk==~ssd'], cpus: 4 }), makePods(2)))).toBe('n3 n4');
  });
  test('a label that changes takes effect at once', () => {
    const state = makeState(typed);
    const spec = makeSpec({ where: ['type==frontend'] });
    expect(nodes(place(state, spec, makePods(1)))).toBe('n2');
    state.setNode(makeNode(2, { labels: { type: 'backend' } }));
    state.setNode(makeNode(9, { labels: { type: 'frontend' } }));
    expect(nodes(place(state, spec, makePods(1)))).toBe('n9');
    state.removeNode('n9');
    expect(place(state, spec, makePods(1)).unplaced).toHaveLength(1);
  });
});

describe('limits', () => {
  test('reservations of CPU and memory', () => {
    expect(tally(place(makeState(three), makeSpec({ cpus: 1.5 }), makePods(9)))).toEqual({ n1: 2, n2: 2, n3: 2 });
    expect(tally(place(makeState(three), makeSpec({ memory: 5 * gib }), makePods(9)))).toEqual({ n1: 1, n2: 1, n3: 1 });
    expect(tally(place(makeState([makeNode(1, { cpus: 1 })]), makeSpec({ cpus: 0.1 }), makePods(12)))).toEqual({ n1: 10 });
  });
  test('larger demands are served first', () => {
    const small = makeSpec({ cpus: 2 });
    const large = makeSpec({ cpus: 4 });
    const result = schedule(makeState([makeNode(1), makeNode(2)]), [
      ...makePods(2).map((pod) => ({ pod, spec: small })), { pod: makePod('big', { service: 'z' }), spec: large },
    ], { random: seeded(1) });
    expect(result.unplaced).toEqual([]);
  });
  test('pods per node', () => {
    const spec = makeSpec({ placement: { maxPerNode: 2 } });
    const result = place(makeState(three), spec, makePods(8));
    expect(tally(result)).toEqual({ n1: 2, n2: 2, n3: 2 });
    expect(result.unplaced).toHaveLength(2);
  });
  test('pods per node count one revision alone when updates start the new pod first', () => {
    const old = [{ pod: makePod('old', { node: 'n1', revision: 'r0' }), spec: makeSpec() }];
    const limit = { maxPerNode: 1 };
    expect(place(makeState([makeNode(1)], old), makeSpec({ placement: limit }), makePods(1)).assignments).toHaveLength(0);
    expect(place(makeState([makeNode(1)], old), makeSpec({ placement: limit, update: { order: 'start-first' } }), makePods(2)).assignments).toHaveLength(1);
  });
  test('host ports conflict by address and protocol, ingress ports never', () => {
    const port = (published: number, hostIp?: string) => makeSpec({ ports: [{ target: 80, published, protocol: 'tcp', mode: 'host', ...(hostIp === undefined ? {} : { hostIp }) }] });
    const ingress = makeSpec({ ports: [{ target: 80, published: 80, protocol: 'tcp', mode: 'ingress' }] });
    expect(place(makeState(three), port(80), makePods(5)).assignments).toHaveLength(3);
    expect(place(makeState(three), ingress, makePods(5)).assignments).toHaveLength(5);
    const state = makeState([makeNode(1)], [{ pod: makePod('x', { node: 'n1', service: 'other' }), spec: port(80, '10.0.0.1') }]);
    expect(place(state, port(80), makePods(1)).assignments).toHaveLength(0);
    expect(place(state, port(80, '10.0.0.1'), makePods(1)).assignments).toHaveLength(0);
    expect(place(state, port(80, '10.0.0.2'), makePods(1)).assignments).toHaveLength(1);
    expect(place(state, port(81), makePods(1)).assignments).toHaveLength(1);
    state.removePod('x');
    expect(place(state, port(80), makePods(1)).assignments).toHaveLength(1);
  });
  test('addresses of the subnet', () => {
    const tiny = [makeNode(1, { subnet: '10.0.0.0/30' }), makeNode(2, { subnet: '10.0.0.4/30' })];
    expect(tally(place(makeState(tiny), makeSpec(), makePods(6)))).toEqual({ n1: 2, n2: 2 });
    expect(tally(place(makeState(tiny), makeSpec({ template: { networkMode: 'host' } }), makePods(6)))).toEqual({ n1: 3, n2: 3 });
  });
  test('a pod that has ended holds its address and nothing else', () => {
    const state = makeState([makeNode(1, { subnet: '10.0.0.0/30' })]);
    const spec = makeSpec({ cpus: 4, placement: { maxPerNode: 1 } });
    state.setPod(makePod('old', { node: 'n1', ip: '10.0.0.1' }), demandOf(spec));
    expect(place(state, spec, makePods(1)).unplaced).toHaveLength(1);
    state.setPod(makePod('old', { node: 'n1', ip: '10.0.0.1' }), demandOf(spec), 'failed');
    expect(place(state, spec, makePods(1)).assignments).toHaveLength(1);
    expect(place(state, makeSpec(), makePods(2)).assignments).toHaveLength(1);
    state.removePod('old');
    expect(place(state, makeSpec(), makePods(2)).assignments).toHaveLength(2);
  });
  test('only ready and active nodes', () => {
    const nodesOf = [makeNode(1, { state: 'down' }), makeNode(2, { state: 'unknown' }), makeNode(3, { availability: 'pause' }), makeNode(4, { availability: 'drain' }), makeNode(5)];
    expect(nodes(place(makeState(nodesOf), makeSpec(), makePods(2)))).toBe('n5 n5');
  });
});

describe('volumes', () => {
  const volume = { name: 'data', stack: 'shop', driver: 'local', driverOpts: {}, labels: {}, node: null };
  test('a bound volume pins its pods', () => {
    const state = makeState(three);
    state.setVolume({ ...volume, node: 'n2' });
    const result = place(state, makeSpec({ volumes: ['data'] }), makePods(2));
    expect(nodes(result)).toBe('n2 n2');
    expect(result.bindings).toEqual([]);
    state.setVolume({ ...volume, node: 'gone' });
    expect(place(state, makeSpec({ volumes: ['data'] }), makePods(1)).unplaced[0]?.summary).toBe('volume: the data of data is on node gone, which has left the cluster');
  });
  test('a free volume is bound by its first pod, also across services', () => {
    const result = schedule(makeState(three), [
      ...makePods(3).map((pod) => ({ pod, spec: makeSpec({ volumes: ['data'] }) })),
      { pod: makePod('b', { service: 'backup' }), spec: makeSpec({ volumes: ['data'] }) },
    ], { random: seeded(1) });
    expect(nodes(result)).toBe('n1 n1 n1 n1');
    expect(result.bindings).toEqual([{ volume: 'data', node: 'n1' }]);
  });
  test('pods of one service do not follow a volume to a node without room', () => {
    const result = place(makeState(three), makeSpec({ volumes: ['data'], cpus: 3 }), makePods(2));
    expect(result.assignments).toHaveLength(1);
    expect(result.unplaced[0]?.summary).toBe('no node fits: volume: the data of data is on node-1; resources: needs 3 CPUs, node-1 has 1 CPU free');
  });
  test('network file systems and global services are not bound', () => {
    const state = makeState(three);
    state.setVolume({ ...volume, driverOpts: { type: 'nfs' } });
    expect(nodes(place(state, makeSpec({ volumes: ['data'] }), makePods(3)))).toBe('n1 n2 n3');
    const global = makeSpec({ volumes: ['data'], mode: { kind: 'global' } });
    state.setVolume({ ...volume, node: 'n1' });
    expect(nodes(place(state, global, ['n1', 'n2'].map((slot) => makePod(slot, { slot }))))).toBe('n1 n2');
  });
});

test('global pods go to their own node or nowhere', () => {
  const spec = makeSpec({ mode: { kind: 'global' }, cpus: 2 });
  const state = makeState([...three, makeNode(4, { cpus: 1 })]);
  const result = place(state, spec, ['n3', 'n1', 'n4', 'n9'].map((slot) => makePod(`p-${slot}`, { slot })));
  expect(result.assignments).toEqual([{ pod: 'p-n1', node: 'n1' }, { pod: 'p-n3', node: 'n3' }]);
  expect(result.unplaced.map((pod) => pod.summary)).toEqual(['resources: needs 2 CPUs, node-4 has 1 CPU free', 'its node n9 is not in the cluster']);
});

test('the state is left as it was', () => {
  const state = makeState(three);
  const first = place(state, makeSpec({ cpus: 1 }), makePods(5));
  expect(place(state, makeSpec({ cpus: 1 }), makePods(5))).toEqual(first);
});
