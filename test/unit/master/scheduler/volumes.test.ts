/** Volumes and where pods go: shared ones, one per slot, plugins', those that move. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { volumeOps } from '../../../../master/controllers/volume-ops.ts';
import { seeded } from '../../../../master/scheduler/pick/random.ts';
import { schedule, type ScheduleResult } from '../../../../master/scheduler/schedule.ts';
import type { ClusterState } from '../../../../master/scheduler/state.ts';
import type { NodeView, VolumeDriverStatus } from '../../../../model/node.ts';
import type { Volume } from '../../../../model/service.ts';
import type { MountSpec, ServiceSpec } from '../../../../model/spec.ts';
import type { Entry } from '../../../../master/store/port.ts';
import { makeContainer, makeNode, makePod, makePods, makeSpec, makeState } from './make.ts';

const three = [makeNode(1), makeNode(2), makeNode(3)];
const volume = (name: string, over: Partial<Volume> = {}): Volume => ({ name, stack: 'shop', driver: 'local', driverOpts: {}, labels: {}, node: null, ...over });
const mount = (name: string, perReplica: boolean): MountSpec => ({ kind: 'volume', volume: name, target: `/${name}`, readOnly: false, noCopy: false, ...(perReplica ? { perReplica } : {}) });
const spec = (own: readonly string[], shared: readonly string[] = [], changes: Parameters<typeof makeSpec>[0] = {}): ServiceSpec =>
  makeSpec({ ...changes, template: { containers: [makeContainer({ mounts: [...own.map((name) => mount(name, true)), ...shared.map((name) => mount(name, false))] })], ...changes.template } });
const place = (state: ClusterState, of: ServiceSpec, pods = makePods(3)): ScheduleResult => schedule(state, pods.map((pod) => ({ pod, spec: of })), { random: seeded(1) });
const nodes = (result: ScheduleResult): string => result.assignments.map(({ pod, node }) => `${pod.split('-').at(-1)}:${node}`).join(' ');
const withDrivers = (number: number, ...volumeDrivers: readonly VolumeDriverStatus[]): NodeView => {
  const view = makeNode(number);
  return { ...view, status: view.status && { ...view.status, volumeDrivers } };
};

describe('a volume per slot', () => {
  test('is where its pod was first placed, and pods are spread as others are', () => {
    const result = place(makeState(three), spec(['data']));
    expect([nodes(result), result.bindings]).toEqual(['1:n1 2:n2 3:n3', [{ volume: 'data.1', node: 'n1' }, { volume: 'data.2', node: 'n2' }, { volume: 'data.3', node: 'n3' }]]);
  });

  test('holds its slot, and no other', () => {
    const state = makeState(three);
    state.setVolume(volume('data'));
    state.setVolume(volume('data.1', { node: 'n2' }));
    state.setVolume(volume('data.3', { node: 'n2' }));
    const result = place(state, spec(['data']), makePods(4));
    expect(nodes(result)).toBe('1:n2 3:n2 2:n1 4:n3');
    expect(result.bindings).toEqual([{ volume: 'data.2', node: 'n1' }, { volume: 'data.4', node: 'n3' }]);
  });

  test('whose node is away makes its slot wait, and says so of that slot alone', () => {
    const state = makeState([makeNode(1), makeNode(2, { state: 'down' })]);
    state.setVolume(volume('data.2', { node: 'n2' }));
    const result = place(state, spec(['data']));
    expect(nodes(result)).toBe('1:n1 3:n1');
    expect(result.unplaced).toMatchObject([{ pod: 'shop_web-2', summary: 'no node fits: volume: the data of data.2 is on node-2; health: node-2 is down' }]);
  });

  test('beside one that all share: that one is where the first goes, and they all follow', () => {
    const result = place(makeState(three), spec(['data'], ['common']));
    expect([nodes(result), result.bindings.length]).toEqual(['1:n1 2:n1 3:n1', 4]);
  });

  test('two of a slot on different nodes have no place for it', () => {
    const state = makeState(three);
    state.setVolume(volume('a.1', { node: 'n1' }));
    state.setVolume(volume('b.1', { node: 'n2' }));
    expect(place(state, spec(['a', 'b']), makePods(1)).unplaced[0]?.summary).toBe('no node fits: volume: the data of a.1 is on node-1; volume: the data of b.1 is on node-2');
  });

  test('explains the slots that are left, not those that were placed', () => {
    const result = place(makeState([makeNode(1)]), spec(['data'], [], { cpus: 3 }), makePods(2));
    expect(result.unplaced.map(({ summary }) => summary)).toEqual(['resources: needs 3 CPUs, node-1 has 1 CPU free']);
  });

  test('pods of a global service have the volume of that name on their node', () => {
    const result = place(makeState(three), spec(['data'], [], { mode: { kind: 'global' } }), ['n1', 'n3'].map((slot) => makePod(slot, { slot })));
    expect([nodes(result), result.bindings]).toEqual(['n1:n1 n3:n3', []]);
  });

  test('whatever is scaled, drained and lost, a slot is only ever where its data is', () => {
    const step = fc.record({ slots: fc.uniqueArray(fc.integer({ min: 1, max: 6 }), { minLength: 1 }), away: fc.subarray([1, 2, 3, 4]), strategy: fc.constantFrom('spread', 'binpack', 'random') });
    fc.assert(fc.property(fc.array(step, { minLength: 1, maxLength: 8 }), fc.integer(), (steps, seed) => {
      const maps = { volumes: new Map<string, Entry<'volumes'>>() };
      const homes = new Map<string, string>();
      for (const { slots, away, strategy } of steps) {
        const state = makeState([1, 2, 3, 4].map((number) => makeNode(number, { availability: away.includes(number) ? 'drain' : 'active' })));
        maps.volumes.set('data', { kind: 'volumes', id: 'data', value: volume('data'), revision: 1 });
        for (const { value } of maps.volumes.values()) state.setVolume(value);
        const of = spec(['data'], [], { placement: { strategy: strategy as 'spread' } });
        const pods = slots.map((slot) => makePod(`p-${slot}`, { slot }));
        const result = schedule(state, pods.map((pod) => ({ pod, spec: of })), { random: seeded(seed) });
        const placed = result.assignments.map(({ pod, node }) => ({ pod: pods.find(({ id }) => id === pod) ?? makePod(''), spec: of, node }));
        for (const op of volumeOps(maps, placed, result.bindings, 5)) if (op.op === 'put' && op.kind === 'volumes') maps.volumes.set(op.id, { kind: 'volumes', id: op.id, value: op.value, revision: 2 });
        for (const { pod, node } of placed) {
          const name = `data.${pod.slot}`;
          expect(homes.get(name) ?? node).toBe(node);
          homes.set(name, node);
          expect(maps.volumes.get(name)?.value).toMatchObject({ node, slotOf: { volume: 'data', slot: pod.slot }, stack: 'shop', createdAt: 5 });
        }
        // Those that were not placed have their data on a node that is away, or none that is not.
        for (const { pod } of result.unplaced) {
          const home = homes.get(`data.${pod.split('-').at(-1)}`);
          expect(home === undefined ? away.length === 4 : away.includes(Number(home.slice(1)))).toBe(true);
        }
      }
    }), { numRuns: 60 });
  });
});

describe('drivers', () => {
  const box = { name: 'box', scope: 'local' } as const;
  test('pods go to nodes that have them, and wait where none has', () => {
    const state = makeState([makeNode(1), withDrivers(2, box), makeNode(3)]);
    state.setVolume(volume('data', { driver: 'box' }));
    expect(nodes(place(state, spec([], ['data'])))).toBe('1:n2 2:n2 3:n2');
    state.setVolume(volume('data', { driver: 'rexray' }));
    expect(place(state, spec([], ['data']), makePods(1)).unplaced[0]?.summary).toBe('volume driver: no node has the volume driver rexray');
    state.setVolume(volume('data', { driver: 'box', node: 'n1' }));
    expect(place(state, spec([], ['data']), makePods(1)).unplaced[0]?.summary).toBe('no node fits: volume driver: 2 nodes (node-1, node-3) have no volume driver box; volume: the data of data is on node-1');
  });

  test('one that is global holds no pod, unless some node knows better', () => {
    const far = { name: 'far', scope: 'global' } as const;
    const state = makeState([withDrivers(1, far), withDrivers(2, far), withDrivers(3, far)]);
    state.setVolume(volume('data', { driver: 'far' }));
    const result = place(state, spec([], ['data']));
    expect([nodes(result), result.bindings]).toEqual(['1:n1 2:n2 3:n3', []]);
    state.setNode(withDrivers(3, { ...far, scope: 'local' }));
    expect(place(state, spec([], ['data'])).bindings).toHaveLength(1);
  });
});

test('what moves or is removed is nowhere meanwhile', () => {
  const state = makeState(three);
  state.setVolume(volume('data', { node: 'n1', move: { id: 'm', from: 'n1', to: 'n2', phase: 'copying' } }));
  expect(place(state, spec([], ['data']), makePods(1)).unplaced[0]?.summary).toBe('volume: data moves from node-1 to node-2');
  state.setVolume(volume('data', { node: 'n1', removing: 'asked' }));
  expect(place(state, spec([], ['data']), makePods(1)).unplaced[0]?.summary).toBe('volume: data is being removed');
  state.setVolume(volume('data.2', { node: 'n1', move: { id: 'm', from: 'n1', to: 'gone', phase: 'stopping' } }));
  state.setVolume(volume('data'));
  const result = place(state, spec(['data']));
  expect([nodes(result), result.unplaced.map(({ summary }) => summary)]).toEqual(['1:n1 3:n2', ['volume: data.2 moves from node-1 to gone']]);
});

describe('records', () => {
  const maps = (...known: readonly Volume[]) => {
    const made = { volumes: new Map<string, Entry<'volumes'>>() };
    for (const [index, value] of known.entries()) made.volumes.set(value.name, { kind: 'volumes', id: value.name, value, revision: 10 + index });
    return made;
  };
  const placed = (of: ServiceSpec, ...at: readonly (readonly [number | string, string])[]) => at.map(([slot, node]) => ({ pod: makePod(`p-${slot}`, { slot }), spec: of, node }));

  test('a volume that is wherever its pods are tells of all their nodes, once', () => {
    const of = spec([], ['data']);
    const ops = volumeOps(maps(volume('data', { nodes: ['n3'], createdAt: 1 })), placed(of, [1, 'n2'], [2, 'n1'], [3, 'n2'], [4, 'n3']), [], 9);
    expect(ops).toEqual([{ op: 'put', kind: 'volumes', id: 'data', value: volume('data', { nodes: ['n1', 'n2', 'n3'], createdAt: 1 }), guard: 10 }]);
    expect(volumeOps(maps(volume('data', { node: 'n1', createdAt: 1 })), placed(of, [1, 'n1']), [], 9)).toEqual([]);
  });

  test('a slot\'s is made after the stack\'s, and is not made for a volume nobody knows', () => {
    const of = spec(['data']);
    const ops = volumeOps(maps(volume('data', { labels: { a: 'b' } })), placed(of, [2, 'n2']), [{ volume: 'data.2', node: 'n2' }], 9);
    expect(ops).toEqual([{ op: 'put', kind: 'volumes', id: 'data.2', value: volume('data.2', { labels: { a: 'b' }, node: 'n2', createdAt: 9, slotOf: { volume: 'data', slot: 2 } }), guard: 0 }]);
    expect(volumeOps(maps(), placed(of, [2, 'n2']), [{ volume: 'data.2', node: 'n2' }], 9)).toEqual([]);
  });
});
