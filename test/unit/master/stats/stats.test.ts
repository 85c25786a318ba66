import { afterEach, expect, test } from 'vitest';
import { statsView } from '../../../../master/stats/view.ts';
import { type StatsFilter, wantedStats } from '../../../../master/stats/wanted.ts';
import type { Maps } from '../../../../master/world.ts';
import type { ContainerUsage } from '../../../../model/stats.ts';
import { gib, makeContainer, makeSpec } from '../scheduler/make.ts';
import { makeWorld, put } from '../table/maps.ts';

let stop = new AbortController();
afterEach(() => stop.abort());

/** `shop_web` with a joined service in two slots on two nodes, `shop_db` beside it, and a job that is over. */
async function world(): Promise<Maps> {
  stop = new AbortController();
  const { world: made, write } = await makeWorld(stop.signal);
  await write(
    ...put.node(1), ...put.node(2), ...put.node(3),
    ...put.service(makeSpec({ template: { containers: [makeContainer({ name: 'web' }), makeContainer({ name: 'proxy' })] } })),
    ...put.service(makeSpec({ name: 'db', template: { containers: [makeContainer({ name: 'db' })] } })),
    put.pod('w1', { node: 'n1' }), put.pod('w2', { node: 'n2', slot: 2 }), put.pod('d1', { node: 'n1', service: 'shop_db' }), put.pod('j1', { node: 'n3', service: 'shop_db', slot: 9 }),
    put.pod('late', { node: null, slot: 3 }),
    put.status('j1', { node: 'n3', phase: 'succeeded' }),
    put.status('d1', { node: 'n1', containers: [{ name: 'db', image: 'app:1', state: 'running', attempt: 1 }] }),
  );
  return made.maps;
}

const asked = (maps: Maps, filter: Partial<StatsFilter>) => Object.fromEntries(wantedStats(maps, { targets: [], ...filter }).nodes);

test('who is asked for what', async () => {
  const maps = await world();
  expect(asked(maps, {})).toEqual({ n1: null, n2: null, n3: null });
  expect(asked(maps, { node: 'n2' })).toEqual({ n2: null });
  expect(asked(maps, { targets: ['shop'] })).toEqual({ n1: ['d1', 'w1'], n2: ['w2'] });
  expect(asked(maps, { stack: 'shop' })).toEqual({ n1: ['d1', 'w1'], n2: ['w2'] });
  expect(asked(maps, { stack: 'other' })).toEqual({});
  expect(asked(maps, { service: 'shop_web' })).toEqual({ n1: ['w1'], n2: ['w2'] });
  expect(asked(maps, { targets: ['shop_web.2', 'shop_db'] })).toEqual({ n1: ['d1'], n2: ['w2'] });
  expect(asked(maps, { targets: ['shop_web'], node: 'n1' })).toEqual({ n1: ['w1'] });
  expect(asked(maps, { targets: ['w2'] })).toEqual({ n2: ['w2'] });
  expect(() => asked(maps, { targets: ['shop_wev'] })).toThrow(expect.objectContaining({ code: 'not-found', hint: 'did you mean shop_web?' }) as Error);
  expect(() => asked(maps, { node: 'n9' })).toThrow(expect.objectContaining({ code: 'not-found' }) as Error);
});

test('a joined service is a container of its pods', async () => {
  const maps = await world();
  const wanted = (targets: readonly string[]) => {
    const { includes } = wantedStats(maps, { targets });
    return ['w1', 'w2', 'd1'].flatMap((id) => ['web', 'proxy', 'db'].filter((container) => includes(maps.pods.get(id)!.value, container)).map((container) => `${id}/${container}`));
  };
  expect(wanted(['shop_proxy'])).toEqual(['w1/proxy', 'w2/proxy']);
  expect(wanted(['shop_proxy', 'shop_web.1'])).toEqual(['w1/web', 'w1/proxy', 'w1/db', 'w2/proxy']);
  expect(wanted(['shop_proxy.2'])).toEqual(['w2/proxy']);
});

test('rows: names, percent of limit or node, nodes that say nothing, pods that are not theirs', async () => {
  const maps = await world();
  const usage = (podId: string, container: string, limit: number | null = null): ContainerUsage => ({
    podId, container, attempt: 1, cpu: { percent: 12.5, seconds: 3 }, memory: { used: gib / 4, limit }, pids: { current: 2, limit: null }, block: { read: 1, written: 2 }, network: { received: 3, sent: 4 },
  });
  const input = { maps, stateOf: (node: string) => (node === 'n3' ? ('down' as const) : ('ready' as const)), pending: new Map() };
  const capacity = maps.nodestatus.get('n1')!.value.capacity;
  const stats = statsView(input, wantedStats(maps, { targets: [] }), new Map([
    ['n1', { stats: { host: { cpus: 1.5, memory: 77 }, containers: [usage('w1', 'proxy'), usage('w1', 'web'), usage('d1', 'db', gib), usage('w2', 'web'), usage('unknown', 'x')] } }],
    ['n3', { failure: 'is down' }],
  ]), 5);
  expect(stats.at).toBe(5);
  expect(stats.nodes).toMatchObject([
    { id: 'n1', state: 'ready', capacity, used: { cpus: 1.5, memory: 77 }, message: '' }, { id: 'n2', used: null, message: 'does not answer' }, { id: 'n3', state: 'down', used: null, message: 'is down' },
  ]);
  expect(stats.containers.map(({ name, node, memory }) => [name, node, memory.limit, memory.percent])).toEqual([
    ['shop_db.1', stats.nodes[0]!.name, gib, 25],
    ['shop_web.1/proxy', stats.nodes[0]!.name, null, Math.round((gib / 4 / capacity.memory) * 10_000) / 100],
    ['shop_web.1/web', stats.nodes[0]!.name, null, Math.round((gib / 4 / capacity.memory) * 10_000) / 100],
  ]);
  expect(stats.containers[0]).toMatchObject({ pod: 'shop_db.1', podId: 'd1', stack: 'shop', service: 'shop_db', slot: 1, container: 'db', cpu: { percent: 12.5 }, network: { received: 3, sent: 4 } });
});

test('with all, what does not run is there too, and what a silent node may run is not made up', async () => {
  const maps = await world();
  const input = { maps, stateOf: () => 'ready' as const, pending: new Map() };
  const of = (filter: Partial<StatsFilter>, all: boolean) => statsView(input, wantedStats(maps, { targets: [], ...filter }), new Map(), 5, all).containers;
  expect(of({}, false)).toEqual([]);
  expect(of({ targets: ['shop_db'] }, true)).toMatchObject([{ name: 'shop_db.9', podId: 'j1', state: 'succeeded', attempt: 0, cpu: { percent: null }, memory: { used: 0 } }]);
  // Placed nowhere yet.
  expect(of({ targets: ['late'] }, true).map(({ name, node, state }) => [name, node, state])).toEqual([['shop_web.3/proxy', '', 'pending'], ['shop_web.3/web', '', 'pending']]);
  expect(of({ node: 'n1' }, true).map(({ name, state }) => [name, state])).toEqual([['shop_web.1/proxy', 'pending'], ['shop_web.1/web', 'pending']]);
});
