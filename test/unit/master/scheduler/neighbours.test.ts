/** Affinities and Marathon's operators: tables, and properties against the rules said again in the plainest way. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { demandOf } from '../../../../master/scheduler/demand.ts';
import { seeded } from '../../../../master/scheduler/pick/random.ts';
import { schedule, type ScheduleResult } from '../../../../master/scheduler/schedule.ts';
import { ClusterState } from '../../../../master/scheduler/state.ts';
import { compileHard } from '../../../../model/constraint/match.ts';
import { targetOf } from '../../../../model/constraint/target.ts';
import type { Affinity } from '../../../../model/constraint/types.ts';
import type { NodeView } from '../../../../model/node.ts';
import type { Pod } from '../../../../model/pod.ts';
import type { ServiceSpec } from '../../../../model/spec.ts';
import { makeContainer, makeNode, makePod, makePods, makeSpec, makeState, type SpecChanges } from './make.ts';

interface Item {
  readonly pod: Pod;
  readonly spec: ServiceSpec;
}

function service(name: string, replicas: number, changes: SpecChanges = {}): readonly Item[] {
  const spec = makeSpec({ name, ...changes });
  return makePods(replicas, { service: `shop_${name}` }).map((pod) => ({ pod, spec }));
}

function run(nodes: readonly NodeView[], items: readonly Item[], placed: readonly Item[] = []): ScheduleResult {
  return schedule(makeState(nodes, placed), items, { random: seeded(1) });
}

/** `web: n1 n2`, by slot; `-` has no place. */
function where(result: ScheduleResult, items: readonly Item[]): Readonly<Record<string, string>> {
  const nodes = new Map(result.assignments.map(({ pod, node }) => [pod, node]));
  return Object.fromEntries([...Map.groupBy(items, ({ spec }) => spec.name)].map(([name, own]) => [name, own.map(({ pod }) => nodes.get(pod.id) ?? '-').join(' ')]));
}

const three = [makeNode(1), makeNode(2), makeNode(3)];
const racks = [1, 2, 3, 4, 5, 6].map((n) => makeNode(n, { labels: n === 6 ? {} : { rack: n <= 3 ? 'a' : n === 4 ? 'b' : 'c' } }));

describe('affinities', () => {
  test('beside another service, which is placed first', () => {
    const items = [...service('web', 2, { beside: ['container==db'], cpus: 1 }), ...service('db', 1, { where: ['node.hostname==node-2'] })];
    expect(where(run(three, items), items)).toEqual({ web: 'n2 n2', db: 'n2' });
  });

  test('a chain, whatever the order', () => {
    const items = [...service('a', 1, { beside: ['container==b'] }), ...service('b', 1, { beside: ['image==cache'] }), ...service('c', 1, { where: ['node.hostname==node-3'], template: { containers: [makeContainer({ image: 'cache:1' })] } })];
    expect(where(run(three, items), items)).toEqual({ a: 'n3', b: 'n3', c: 'n3' });
    expect(where(run(three, items.toReversed()), items)).toEqual({ a: 'n3', b: 'n3', c: 'n3' });
  });

  test('nobody to be beside', () => {
    const result = run(three, service('web', 1, { beside: ['container==db'] }));
    expect(result.unplaced[0]?.summary).toBe('affinity container==db: no pod anywhere matches');
    const away = run(three, service('web', 1, { beside: ['container==db'], where: ['node.hostname==node-1'] }), service('db', 1).map(({ pod, spec }) => ({ pod: { ...pod, node: 'n2' }, spec })));
    expect(away.unplaced[0]?.summary).toContain('affinity container==db: pods that match are on node-2');
  });

  test('its own kind: together, or apart', () => {
    const together = service('web', 3, { beside: ['container==web'] });
    expect(where(run(three, together), together)).toEqual({ web: 'n1 n1 n1' });
    const apart = service('web', 4, { beside: ['container!=web'] });
    expect(where(run(three, apart), apart)).toEqual({ web: 'n1 n2 n3 -' });
    expect(run(three, apart).unplaced[0]?.summary).toContain('3 nodes (node-1, node-2, node-3) run pods that match');
  });

  test('!= keeps others away as well', () => {
    const shy = service('shy', 1, { beside: ['tier!=noisy'] }).map(({ pod, spec }) => ({ pod: { ...pod, node: 'n1' }, spec }));
    const noisy = service('noisy', 3, { labels: { tier: 'noisy' } });
    const result = run(three.slice(0, 2), noisy, shy);
    expect(where(result, noisy)).toEqual({ noisy: 'n2 n2 n2' });
    const full = run(three.slice(0, 1), noisy, shy);
    expect(full.unplaced[0]?.reasons[0]).toEqual({ filter: 'affinity of shop_shy', message: 'shop_shy on node-1 keeps away what is tier==noisy', nodes: ['node-1'] });
    // Within one round too, whoever comes first.
    const both = [...noisy, ...service('shy', 1, { beside: ['tier!=noisy'], cpus: 1 })];
    const placed = where(run(three, both), both);
    expect(placed['noisy']?.split(' ')).not.toContain(placed['shy']);
    expect(placed['noisy']).not.toContain('-');
  });

  test('pods by name', () => {
    const shy = service('shy', 1, { beside: ['container!=shop_web.2'] }).map(({ pod, spec }) => ({ pod: { ...pod, node: 'n1' }, spec }));
    const web = service('web', 3);
    expect(where(run(three, web, shy), web)['web']?.split(' ')[1]).not.toBe('n1');
    expect(where(run(three.slice(0, 1), web, shy), web)).toEqual({ web: 'n1 - n1' });
    const beside = service('log', 1, { beside: ['container==web.2'] });
    expect(where(run(three, beside, web.map(({ pod, spec }, index) => ({ pod: { ...pod, node: `n${index + 1}` }, spec }))), beside)).toEqual({ log: 'n2' });
  });

  test('short names are of the own stack', () => {
    const other = { pod: makePod('x', { service: 'other_db', stack: 'other', node: 'n1' }), spec: makeSpec({ stack: 'other', name: 'db' }) };
    expect(run(three, service('web', 1, { beside: ['container==db'] }), [other]).unplaced).toHaveLength(1);
    const web = service('web', 1, { beside: ['container==other_db'] });
    expect(where(run(three, web, [other]), web)).toEqual({ web: 'n1' });
  });

  test('wishes rank, in their order, and the wishes of those that are there come last', () => {
    const db = service('db', 1).map(({ pod, spec }) => ({ pod: { ...pod, node: 'n2' }, spec }));
    const web = service('web', 2, { beside: ['container==~db'] });
    expect(where(run(three, web, db), web)).toEqual({ web: 'n2 n2' });
    const shy = service('shy', 1, { beside: ['container!=~web'] }).map(({ pod, spec }) => ({ pod: { ...pod, node: 'n1' }, spec }));
    const plain = service('web', 2);
    expect(where(run(three.slice(0, 2), plain, shy), plain)).toEqual({ web: 'n2 n2' });
    expect(where(run(three.slice(0, 1), plain, shy), plain)).toEqual({ web: 'n1 n1' });
    const flock = service('web', 3, { beside: ['container==~web'] });
    expect(where(run(three, flock), flock)).toEqual({ web: 'n1 n1 n1' });
    const scattered = service('web', 4, { beside: ['container!=~web'], placement: { strategy: 'binpack' } });
    expect(Object.values(where(run(three, scattered), scattered))[0]?.split(' ').slice(0, 3).toSorted()).toEqual(['n1', 'n2', 'n3']);
  });

  test('start-first: a successor may stand beside the one before', () => {
    const spec = makeSpec({ beside: ['container!=web'], update: { order: 'start-first' } });
    const old = three.map((view, index) => ({ pod: makePod(`old${index}`, { node: view.node.id, slot: index + 1, revision: 'r0' }), spec }));
    const next = makePods(3, { revision: 'r1' }).map((pod) => ({ pod, spec }));
    expect(where(run(three, next, old), next)).toEqual({ web: 'n1 n2 n3' });
    const strict = makeSpec({ beside: ['container!=web'] });
    expect(run(three, next.map(({ pod }) => ({ pod, spec: strict })), old.map(({ pod }) => ({ pod, spec: strict }))).unplaced).toHaveLength(3);
  });

  test('pods that leave no longer count', () => {
    const spec = makeSpec({ name: 'db' });
    const state = makeState(three, [{ pod: makePod('d', { service: 'shop_db', node: 'n1' }), spec }]);
    const web = service('web', 1, { beside: ['container==db'] });
    expect(schedule(state, web, { random: seeded(1) }).assignments[0]?.node).toBe('n1');
    state.setPod(makePod('d', { service: 'shop_db', node: 'n1', desired: 'stopped' }), demandOf(spec));
    expect(schedule(state, web, { random: seeded(1) }).unplaced).toHaveLength(1);
    state.setPod(makePod('e', { service: 'shop_db', node: 'n3' }), demandOf(spec));
    expect(schedule(state, web, { random: seeded(1) }).assignments[0]?.node).toBe('n3');
    state.removeNode('n3');
    expect(schedule(state, web, { random: seeded(1) }).unplaced).toHaveLength(1);
    state.setNode(makeNode(3));
    expect(schedule(state, web, { random: seeded(1) }).assignments[0]?.node).toBe('n3');
  });
});

describe('operators', () => {
  const place = (replicas: number, operators: readonly string[], changes: SpecChanges = {}): string => {
    const items = service('web', replicas, { operators, ...changes });
    return where(run(racks, items), items)['web'] ?? '';
  };
  const rackOf = (nodes: string): string => nodes.split(' ').map((node) => (node === '-' ? '-' : racks[Number(node.slice(1)) - 1]?.node.labels['rack'] ?? 'none')).toSorted().join('');

  test.each<[number, string[], string]>([
    [4, ['rack:UNIQUE'], '-abc'], [7, ['rack:MAX_PER:2'], '-aabbcc'], [5, ['rack:GROUP_BY'], 'aabbc'], [7, ['rack:GROUP_BY'], 'aaabbcc'], [3, ['rack:CLUSTER:c'], 'ccc'], [4, ['rack:LIKE:[ab]'], 'aaab'], [3, ['rack:LIKE:[a-b]', 'rack:UNIQUE'], '-ab'],
    [2, ['rack:GROUP_BY:5'], 'ab'], [4, ['rack:GROUP_BY:5'], '-abc'], [3, ['rack:UNLIKE:a|b|c'], 'nonenonenone'], [7, ['hostname:UNIQUE'], '-aaabcnone'],
  ])('%i pods, %j → %s', (replicas, operators, racksOf) => {
    const got = rackOf(place(replicas, operators));
    // Ties between racks are broken by load and name: as many per rack as expected, in any order.
    const shape = (text: string) => Object.values(Object.fromEntries(Map.groupBy(text.replaceAll('none', 'x'), (letter) => letter))).map((list) => list?.length ?? 0).toSorted((a, b) => a - b).join();
    expect(shape(got)).toBe(shape(racksOf));
    if (operators.some((text) => /LIKE|CLUSTER:/.test(text))) expect(new Set(got)).toEqual(new Set(racksOf));
  });

  test('CLUSTER chooses a value with room for all', () => {
    expect(rackOf(place(3, ['rack:CLUSTER'], { cpus: 4 }))).toBe('aaa');
    expect(rackOf(place(4, ['rack:CLUSTER'], { cpus: 4 }))).toBe('-aaa');
    expect(new Set(rackOf(place(4, ['rack:CLUSTER']))).size).toBe(1);
  });

  test('GROUP_BY fills what is behind first, and explains what it waits for', () => {
    const there = [1, 2, 3].map((n) => ({ pod: makePod(`p${n}`, { node: `n${n}`, slot: 10 + n }), spec: makeSpec({ operators: ['rack:GROUP_BY'] }) }));
    const items = service('web', 4, { operators: ['rack:GROUP_BY'] });
    expect(rackOf(where(run(racks, items, there), items)['web'] ?? '')).toBe('bbcc');
    const drained = racks.map((view) => (view.node.labels['rack'] === 'b' ? makeNode(4, { labels: { rack: 'b' }, availability: 'drain' }) : view));
    expect(rackOf(where(run(drained, items, there), items)['web'] ?? '')).toBe('accc');
    const full = run(racks.map((view) => (view.node.labels['rack'] === 'b' ? makeNode(4, { labels: { rack: 'b' }, cpus: 0.5 }) : view)), service('web', 3, { operators: ['rack:GROUP_BY'], cpus: 1 }));
    expect(full.unplaced[0]?.summary).toContain('constraint rack:GROUP_BY: ');
    expect(full.unplaced[0]?.summary).toContain('more pods of shop_web than other values of rack');
  });

  test('explanations', () => {
    const summary = (operators: string[], replicas: number): string => run(racks.slice(0, 4), service('web', replicas, { operators })).unplaced[0]?.summary ?? '';
    expect(summary(['rack:UNIQUE'], 3)).toBe('constraint rack:UNIQUE: 4 nodes (node-1, node-2, node-3 and 1 more): rack=a, rack=b already have a pod of shop_web');
    expect(summary(['rack:MAX_PER:1'], 3)).toContain('already have 1 of shop_web, the most per rack');
    expect(summary(['rack:CLUSTER:z'], 1)).toBe('constraint rack:CLUSTER:z: no node has rack=z; labels seen: rack=a (node-1, node-2, node-3), rack=b (node-4)');
    expect(summary(['zone:UNIQUE'], 1)).toContain('constraint zone:UNIQUE');
  });
});

const labelled = fc.record({ rack: fc.constantFrom('', 'a', 'b', 'c'), cpus: fc.constantFrom(1, 4), down: fc.constantFrom(false, false, false, true) });
const texts = ['container==s0', 'container!=s1', 'container!=s2', 'container!=~s0', 'container==~s1', 'image==app', 'image!=other:1', 'tier==t0', 'tier!=t1', 'container==*s2', 'container!=shop_s0.2', 'container==s0.1'];
const operatorTexts = ['hostname:UNIQUE', 'rack:UNIQUE', 'rack:MAX_PER:2', 'rack:CLUSTER', 'rack:CLUSTER:a', 'rack:GROUP_BY', 'rack:GROUP_BY:3', 'rack:LIKE:[ab]', 'rack:UNLIKE:b'];
const world = fc.record({
  nodes: fc.array(labelled, { minLength: 1, maxLength: 6 }),
  services: fc.array(fc.record({
    replicas: fc.integer({ min: 1, max: 5 }), beside: fc.subarray(texts, { maxLength: 2 }), operators: fc.subarray(operatorTexts, { maxLength: 2 }), cpus: fc.constantFrom(0, 0.5, 1), image: fc.constantFrom('app:1', 'other:1'), tier: fc.constantFrom('t0', 't1', ''),
    strategy: fc.constantFrom('spread' as const, 'binpack' as const, 'random' as const), order: fc.constantFrom('stop-first' as const, 'stop-first' as const, 'start-first' as const), global: fc.constantFrom(false, false, false, true),
  }), { minLength: 1, maxLength: 4 }),
}).map(({ nodes, services }) => {
  const views = nodes.map(({ rack, cpus, down }, index) => makeNode(index + 1, { labels: rack === '' ? {} : { rack }, cpus, state: down ? 'down' : 'ready' }));
  const items = services.flatMap(({ replicas, beside, operators, cpus, image, tier, strategy, order, global }, index) => {
    const base = makeSpec({ name: `s${index}`, mode: global ? { kind: 'global' } : { kind: 'replicated', replicas }, beside, operators, labels: tier === '' ? {} : { tier }, update: { order }, template: { containers: [makeContainer({ image })], reservations: { cpus, memory: 0 } } });
    const spec: ServiceSpec = { ...base, placement: { ...base.placement, strategy } };
    const slots = global ? views.map((view) => view.node.id) : Array.from({ length: replicas }, (_, slot) => slot + 1);
    return slots.map((slot): Item => ({ pod: makePod(`p${index}x${slot}`, { service: `shop_s${index}`, slot }), spec }));
  });
  return { views, items };
});

/** The rules, read off the documentation: what forbids the pod to go to the node while the others are where they are. */
function forbids({ pod, spec }: Item, view: NodeView, placed: readonly Item[], views: readonly NodeView[]): string | null {
  const matches = (affinity: Affinity, { pod: other, spec: its }: Item): boolean => {
    const { pattern, subject } = affinity;
    const like = (value: string) => (pattern.kind === 'glob' ? new RegExp(`^${pattern.value.replaceAll('*', '.*')}$`).test(value) : pattern.value === value);
    if (subject.kind === 'label') return like(its.labels[subject.key] ?? '\n');
    const image = its.template.containers[0]?.image ?? '';
    return subject.kind === 'image' ? like(image) || like(image.split(':')[0] ?? '') : [other.id, other.service, its.name, `${other.service}.${other.slot}`, `${its.name}.${other.slot}`, `${other.service}_${other.slot}`, `${its.name}_${other.slot}`].some(like);
  };
  const hard = (item: Item) => (item.spec.placement.affinities ?? []).filter(({ soft }) => !soft);
  const here = placed.filter((item) => item.pod.node === view.node.id);
  for (const affinity of hard({ pod, spec })) {
    if (affinity.op === '!=' && here.some((item) => matches(affinity, item))) return affinity.source;
    if (affinity.op === '==' && !here.some((item) => matches(affinity, item)) && (placed.some((item) => matches(affinity, item)) || !matches(affinity, { pod, spec }))) return affinity.source;
  }
  for (const item of here) for (const affinity of hard(item)) if (affinity.op === '!=' && matches(affinity, { pod, spec })) return `${affinity.source} of ${item.pod.id}`;
  const own = placed.filter((item) => item.pod.service === pod.service);
  const allowed = compileHard(spec.placement.constraints);
  for (const { operator, subject, value = '', count = 0, source } of spec.placement.operators ?? []) {
    const field = (of: NodeView) => (subject.kind === 'hostname' ? of.node.name : of.node.labels['rack'] ?? '');
    const mine = field(view);
    const same = own.filter((item) => field(views.find((other) => other.node.id === item.pod.node)!) === mine).length;
    if (operator === 'UNLIKE') {
      if (new RegExp(`^(?:${value})$`).test(mine)) return source;
      continue;
    }
    if (mine === '') return source;
    if (operator === 'UNIQUE' && same > 0) return source;
    if (operator === 'MAX_PER' && same >= count) return source;
    if (operator === 'CLUSTER' && (value === '' ? own.length > 0 && same === 0 : mine !== value)) return source;
    if (operator === 'LIKE' && !new RegExp(`^(?:${value})$`).test(mine)) return source;
    if (operator === 'GROUP_BY') {
      const fieldless = (of: NodeView) => (spec.placement.operators ?? []).some((other) => other.operator === 'LIKE' && !/^[ab]$/.test(of.node.labels['rack'] ?? '') || (other.operator === 'UNLIKE' && of.node.labels['rack'] === 'b') || (other.value === 'a' && other.operator === 'CLUSTER' && of.node.labels['rack'] !== 'a'));
      const usable = new Set(views.filter((of) => of.state === 'ready' && allowed(targetOf(of)) && field(of) !== '' && !fieldless(of)).map(field));
      const least = usable.size < count ? 0 : Math.min(...[...usable].map((name) => own.filter((item) => field(views.find((other) => other.node.id === item.pod.node)!) === name).length));
      if (same > least) return source;
    }
  }
  return null;
}

describe('properties', () => {
  const decide = (state: ClusterState, items: readonly Item[]) => schedule(state, items, { random: seeded(5) });

  test('step by step, no pod goes where a rule forbids it', () => {
    fc.assert(fc.property(world, ({ views, items }) => {
      const byId = new Map(items.map((item) => [item.pod.id, item]));
      const placed: Item[] = [];
      const result = decide(makeState(views), items);
      for (const { pod, node } of result.assignments) {
        const item = byId.get(pod)!;
        const view = views.find((each) => each.node.id === node)!;
        expect([pod, node, forbids(item, view, placed, views)]).toEqual([pod, node, null]);
        placed.push({ pod: { ...item.pod, node }, spec: item.spec });
      }
      expect(result.assignments.length + result.unplaced.length).toBe(items.length);
      for (const { summary } of result.unplaced) expect(summary).not.toBe('');
    }), { numRuns: 1500 });
  });

  test('what is left fits nowhere, and the state that grew pod by pod says the same as a fresh one', () => {
    fc.assert(fc.property(world, ({ views, items }) => {
      const live = makeState(views);
      const first = decide(live, items);
      const nodes = new Map(first.assignments.map(({ pod, node }) => [pod, node]));
      const placed = items.flatMap(({ pod, spec }) => (nodes.has(pod.id) ? [{ pod: { ...pod, node: nodes.get(pod.id)! }, spec }] : []));
      for (const { pod, spec } of placed) live.setPod(pod, demandOf(spec));
      const fresh = new ClusterState();
      for (const { pod, spec } of placed.toReversed()) fresh.setPod(pod, demandOf(spec));
      for (const view of views) fresh.setNode(view);
      const left = items.filter(({ pod }) => !nodes.has(pod.id));
      const again = decide(live, left);
      expect(again.unplaced.map(({ pod, summary }) => [pod, summary])).toEqual(decide(fresh, left).unplaced.map(({ pod, summary }) => [pod, summary]));
      // Each of them by itself: what came later in the round may have brought what it waited for, or the last rack to catch up.
      const byId = new Map(items.map((item) => [item.pod.id, item]));
      for (const { pod, reasons } of again.unplaced) {
        const item = byId.get(pod)!;
        if (typeof item.pod.slot === 'string') continue;
        expect([...new Set(reasons.flatMap((reason) => reason.nodes))].toSorted()).toEqual(views.map((view) => view.node.name).toSorted());
      }
    }), { numRuns: 800 });
  });

  test('no order of arrival shows', () => {
    fc.assert(fc.property(world, ({ views, items }) => {
      const plain = items.every(({ spec }) => spec.placement.strategy !== 'random');
      fc.pre(plain);
      const sorted = (result: ScheduleResult) => result.assignments.map(({ pod, node }) => `${pod} ${node}`).toSorted();
      expect(sorted(decide(makeState(views.toReversed()), items.toReversed()))).toEqual(sorted(decide(makeState(views), items)));
    }), { numRuns: 300 });
  });
});
