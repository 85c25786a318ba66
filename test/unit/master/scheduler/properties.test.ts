import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { demandOf } from '../../../../master/scheduler/demand.ts';
import { seeded } from '../../../../master/scheduler/pick/random.ts';
import { schedule, type ScheduleResult } from '../../../../master/scheduler/schedule.ts';
import { ClusterState } from '../../../../master/scheduler/state.ts';
import { compileHard } from '../../../../model/constraint/match.ts';
import { targetOf } from '../../../../model/constraint/target.ts';
import { amountOf } from '../../../../model/generic.ts';
import type { NodeView } from '../../../../model/node.ts';
import type { Pod } from '../../../../model/pod.ts';
import type { ServiceSpec } from '../../../../model/spec.ts';
import { constraint, gib, makeNode, makePod, makeSpec, spread } from './make.ts';

interface Item {
  readonly pod: Pod;
  readonly spec: ServiceSpec;
}

interface World {
  readonly nodes: readonly NodeView[];
  readonly items: readonly Item[];
}

const nodeOf = fc.record({
  type: fc.constantFrom('', 'a', 'b'), zone: fc.constantFrom('', 'x', 'y'), cpus: fc.constantFrom(0.5, 1, 4), memory: fc.constantFrom(gib, 4 * gib),
  state: fc.constantFrom('ready' as const, 'ready' as const, 'ready' as const, 'unknown' as const, 'down' as const),
  availability: fc.constantFrom('active' as const, 'active' as const, 'active' as const, 'pause' as const, 'drain' as const),
  prefix: fc.constantFrom(24, 30), generic: fc.constantFrom(undefined, undefined, { gpu: 2 }, { gpu: ['a', 'b', 'c'], fpga: 1 }),
});

const serviceOf = fc.record({
  replicas: fc.integer({ min: 1, max: 12 }), cpus: fc.constantFrom(0, 0.1, 0.5, 1), memory: fc.constantFrom(0, gib / 2, 2 * gib),
  where: fc.subarray(['type==a', 'type!=b', 'zone==*x*', 'type==~b', 'zone==~/y/']), over: fc.constantFrom([], ['zone'], ['zone', 'type']),
  strategy: fc.constantFrom('spread' as const, 'spread' as const, 'binpack' as const, 'random' as const), maxPerNode: fc.constantFrom(0, 0, 1, 2),
  generic: fc.constantFrom(undefined, undefined, { gpu: 1 }, { gpu: 2, fpga: 1 }, { gpu: 0 }),
  port: fc.constantFrom(0, 0, 80, 81), host: fc.boolean(), volume: fc.constantFrom([], [], ['data']),
  /** How many of its pods are placed already: anywhere, as an earlier state of the cluster may have it. */
  placed: fc.integer({ min: 0, max: 4 }),
});

const world: fc.Arbitrary<World> = fc.record({ nodes: fc.array(nodeOf, { maxLength: 8 }), services: fc.array(serviceOf, { maxLength: 5 }) }).map(({ nodes, services }) => ({
  nodes: nodes.map((node, index) => makeNode(index + 1, { ...without(node, 'generic'), ...(node.generic ? { generic: node.generic } : {}), subnet: `10.0.${index}.0/${node.prefix}`, labels: labels(node) })),
  items: services.flatMap((service, index) => {
    const spec = makeSpec({
      name: `s${index}`, cpus: service.cpus, memory: service.memory, volumes: service.volume,
      placement: { constraints: service.where.map(constraint), spread: service.over.map(spread), strategy: service.strategy, maxPerNode: service.maxPerNode },
      ports: service.port === 0 ? [] : [{ target: 1, published: service.port, protocol: 'tcp', mode: 'host' }],
      template: { networkMode: service.host ? 'host' : 'pod', reservations: { cpus: service.cpus, memory: service.memory, ...(service.generic ? { generic: service.generic } : {}) } },
    });
    return Array.from({ length: service.replicas }, (_, slot) => ({ pod: makePod(`s${index}-${slot}`, { service: `shop_s${index}`, slot: slot + 1 }), spec }));
  }),
}));

function without<T extends object, K extends keyof T>(value: T, key: K): Omit<T, K> {
  const { [key]: _dropped, ...rest } = value;
  return rest;
}

function labels({ type, zone }: { readonly type: string; readonly zone: string }): Record<string, string> {
  return { ...(type === '' ? {} : { type }), ...(zone === '' ? {} : { zone }) };
}

function stateOf(nodes: readonly NodeView[], items: readonly Item[] = []): ClusterState {
  const state = new ClusterState();
  for (const node of nodes) state.setNode(node);
  for (const { pod, spec } of items) state.setPod(pod, demandOf(spec));
  return state;
}

function run({ nodes, items }: World, seed = 7): ScheduleResult {
  return schedule(stateOf(nodes), items, { random: seeded(seed) });
}

function placedItems({ items }: World, result: ScheduleResult): readonly Item[] {
  const nodeOfPod = new Map(result.assignments.map(({ pod, node }) => [pod, node]));
  return items.flatMap(({ pod, spec }) => {
    const node = nodeOfPod.get(pod.id);
    return node === undefined ? [] : [{ pod: { ...pod, node }, spec }];
  });
}

/** Everything that must hold of pods on a node, said independently of the filters. */
function violations(view: NodeView, items: readonly Item[]): readonly string[] {
  const sum = (of: (spec: ServiceSpec) => number) => items.reduce((total, { spec }) => total + of(spec), 0);
  const found: string[] = [];
  if (sum((spec) => Math.round(spec.template.reservations.cpus * 1000)) > (view.status?.capacity.cpus ?? 0) * 1000) found.push('cpu');
  if (sum((spec) => spec.template.reservations.memory) > (view.status?.capacity.memory ?? 0)) found.push('memory');
  if (sum((spec) => (spec.template.networkMode === 'pod' ? 1 : 0)) > (view.node.subnet.endsWith('/30') ? 2 : 254)) found.push('addresses');
  for (const kind of ['gpu', 'fpga']) if (sum((spec) => spec.template.reservations.generic?.[kind] ?? 0) > amountOf(view.status?.capacity.generic, kind)) found.push(kind);
  if (items.length > 0 && (view.state !== 'ready' || view.node.availability !== 'active')) found.push('state');
  for (const [, same] of Map.groupBy(items, ({ pod }) => pod.service)) {
    const most = same[0]?.spec.placement.maxPerNode ?? 0;
    if (most > 0 && same.length > most) found.push('max per node');
    if (same[0] && !compileHard(same[0].spec.placement.constraints)(targetOf(view))) found.push('constraint');
  }
  const ports = items.flatMap(({ spec }) => spec.ports.map((port) => port.published));
  if (new Set(ports).size < ports.length) found.push('ports');
  return found;
}

describe('schedule', () => {
  test('never breaks a hard rule, and places or explains every pod once', () => {
    fc.assert(fc.property(world, (given) => {
      const result = run(given);
      const placed = placedItems(given, result);
      for (const view of given.nodes) expect(violations(view, placed.filter(({ pod }) => pod.node === view.node.id))).toEqual([]);
      const answered = [...result.assignments.map(({ pod }) => pod), ...result.unplaced.map(({ pod }) => pod)].sort();
      expect(answered).toEqual(given.items.map(({ pod }) => pod.id).sort());
      for (const { summary } of result.unplaced) expect(summary).not.toBe('');
      expect(new Set(placed.filter(({ spec }) => spec.template.containers[0]?.mounts.length).map(({ pod }) => pod.node)).size).toBeLessThanOrEqual(1);
    }), { numRuns: 600 });
  });

  test('an unplaced pod fits nowhere: one more round places none, and every node is accounted for', () => {
    fc.assert(fc.property(world, (given) => {
      const result = run(given);
      const placed = placedItems(given, result);
      const state = stateOf(given.nodes, placed);
      for (const { volume, node } of result.bindings) state.setVolume({ name: volume, stack: null, driver: 'local', driverOpts: {}, labels: {}, node });
      const left = new Set(result.unplaced.map(({ pod }) => pod));
      const again = schedule(state, given.items.filter(({ pod }) => left.has(pod.id)), { random: seeded(3) });
      expect(again.assignments).toEqual([]);
      const names = given.nodes.map((view) => view.node.name).sort();
      for (const { reasons } of again.unplaced) expect([...new Set(reasons.flatMap((reason) => reason.nodes))].sort()).toEqual(names);
    }), { numRuns: 400 });
  });

  test('no order of arrival shows in the result', () => {
    fc.assert(fc.property(world, fc.integer(), (given, seed) => {
      const shuffled = <T>(items: readonly T[]): readonly T[] => {
        const random = seeded(seed);
        return items.map((item) => ({ item, at: random() })).sort((a, b) => a.at - b.at).map(({ item }) => item);
      };
      expect(run({ nodes: shuffled(given.nodes), items: shuffled(given.items) })).toEqual(run(given));
    }), { numRuns: 300 });
  });

  test('spread is even: counts of a service differ by one at most where nothing else speaks', () => {
    fc.assert(fc.property(fc.integer({ min: 1, max: 20 }), fc.integer({ min: 1, max: 60 }), fc.integer({ min: 1, max: 5 }), (nodes, pods, services) => {
      const items = Array.from({ length: services }, (_, s) => Array.from({ length: pods }, (__, slot) => ({
        pod: makePod(`s${s}-${slot}`, { service: `s${s}`, slot }), spec: makeSpec(),
      }))).flat();
      const given = { nodes: Array.from({ length: nodes }, (_, index) => makeNode(index + 1)), items };
      const placed = placedItems(given, run(given));
      for (const same of [placed, ...Map.groupBy(placed, ({ pod }) => pod.service).values()]) {
        const counts = given.nodes.map((view) => same.filter(({ pod }) => pod.node === view.node.id).length);
        expect(Math.max(...counts) - Math.min(...counts)).toBeLessThanOrEqual(1);
      }
    }), { numRuns: 60 });
  });
});

describe('ClusterState', () => {
  type Change = { readonly kind: 'node' | 'no node' | 'pod' | 'no pod'; readonly number: number; readonly on: number; readonly type: string; readonly desired: Pod['desired'] };
  const change: fc.Arbitrary<Change> = fc.record({
    kind: fc.constantFrom('node', 'no node', 'pod', 'pod', 'no pod'), number: fc.integer({ min: 1, max: 6 }), on: fc.integer({ min: 1, max: 6 }),
    type: fc.constantFrom('a', 'b'), desired: fc.constantFrom('running', 'draining', 'stopped'),
  });
  const specs = [makeSpec({ cpus: 0.1, memory: gib / 4 }), makeSpec({ cpus: 0.3, ports: [{ target: 1, published: 80, protocol: 'tcp', mode: 'host' }] }), makeSpec({ template: { networkMode: 'host' } })];

  test('after any changes it decides as one made afresh', () => {
    fc.assert(fc.property(fc.array(change, { maxLength: 40 }), (changes) => {
      const state = new ClusterState();
      const nodes = new Map<number, NodeView>();
      const pods = new Map<string, Item>();
      const probe = Array.from({ length: 5 }, (_, slot) => ({ pod: makePod(`new${slot}`, { slot }), spec: makeSpec({ cpus: 1.1, where: ['type==a'], over: ['type'] }) }));
      for (const { kind, number, on, type, desired } of changes) {
        const id = `p${number}`;
        switch (kind) {
          case 'node': {
            const view = makeNode(number, { labels: { type } });
            nodes.set(number, view);
            state.setNode(view);
            break;
          }
          case 'no node':
            nodes.delete(number);
            state.removeNode(`n${number}`);
            break;
          case 'pod': {
            const item = { pod: makePod(id, { node: `n${on}`, desired, slot: number }), spec: specs[number % specs.length]! };
            pods.set(id, item);
            state.setPod(item.pod, demandOf(item.spec));
            break;
          }
          case 'no pod':
            pods.delete(id);
            state.removePod(id);
        }
        // Asking fills the caches that later changes must keep true.
        schedule(state, probe, { random: seeded(1) });
      }
      const fresh = stateOf([...nodes.values()], [...pods.values()]);
      const ask = (which: ClusterState) => ({ result: schedule(which, [...probe, ...specs.map((spec, i) => ({ pod: makePod(`x${i}`, { service: `x${i}` }), spec }))], { random: seeded(1) }), pods: which.pods });
      expect(ask(state)).toEqual(ask(fresh));
    }), { numRuns: 300 });
  });
});
