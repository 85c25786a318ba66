import { afterEach, expect, test } from 'vitest';
import { numberedAttempts, previousAttempts } from '../../../../master/api/attempts.ts';
import { findTarget } from '../../../../master/api/targets.ts';
import { podItem } from '../../../../master/api/views.ts';
import type { Maps } from '../../../../master/world.ts';
import type { ContainerStatus } from '../../../../model/pod.ts';
import { makeContainer, makeSpec } from '../scheduler/make.ts';
import { makeWorld, put } from '../table/maps.ts';

let stop = new AbortController();
afterEach(() => stop.abort());

const container = (name: string, over: Partial<ContainerStatus> = {}): ContainerStatus => ({ name, image: 'app:1', state: 'running', ready: true, attempt: 1, ...over });

/** `shop_web` with a joined service and an init container, in two slots; `shop_db` beside it. */
async function world(...more: Parameters<Awaited<ReturnType<typeof makeWorld>>['write']>): Promise<Maps> {
  stop = new AbortController();
  const { world: made, write } = await makeWorld(stop.signal);
  const template = { containers: [makeContainer({ name: 'web' }), makeContainer({ name: 'proxy' })], initContainers: [makeContainer({ name: 'migrate' })] };
  await write(
    ...put.node(1),
    ...put.service(makeSpec({ template })),
    ...put.service(makeSpec({ name: 'db', template: { containers: [makeContainer({ name: 'db' })] } })),
    put.pod('w1', { node: 'n1', createdAt: 2 }),
    put.pod('w2', { node: 'n1', slot: 2, createdAt: 2 }),
    put.pod('d1', { node: 'n1', service: 'shop_db' }),
    put.status('w1', { containers: [container('web'), container('proxy', { attempt: 3 }), container('migrate', { init: true, state: 'succeeded', ready: false })] }),
    put.status('d1', { containers: [container('db')] }),
  );
  if (more.length > 0) await write(...more);
  return made.maps;
}

const ids = (maps: Maps, name: string, of?: string) => {
  const { pods, container: found } = findTarget(maps, name, of);
  return [pods.map(({ id }) => id).sort().join(' '), found];
};

test.each([
  ['shop', undefined, 'd1 w1 w2', undefined],
  ['shop_web', undefined, 'w1 w2', undefined],
  ['shop_web.2', undefined, 'w2', undefined],
  ['w1', 'proxy', 'w1', 'proxy'],
  ['shop_web', 'migrate', 'w1 w2', 'migrate'],
  ['shop_proxy', undefined, 'w1 w2', 'proxy'],
  ['shop_proxy.1', undefined, 'w1', 'proxy'],
  ['shop_db', 'db', 'd1', 'db'],
])('%s %s', async (name, of, pods, found) => {
  expect(ids(await world(), name, of)).toEqual([pods, found]);
});

test('what is not there is told, with what it may have meant', async () => {
  const maps = await world();
  expect(() => findTarget(maps, 'shop_wev')).toThrow(expect.objectContaining({ code: 'not-found', hint: 'did you mean shop_web?' }) as Error);
  expect(() => findTarget(maps, 'shop_web', 'proxi')).toThrow(expect.objectContaining({ code: 'not-found', message: 'shop_web has no container proxi', hint: 'did you mean proxy?' }) as Error);
  expect(() => findTarget(maps, 'shop_web', 'something')).toThrow(expect.objectContaining({ hint: 'it has migrate, proxy, web' }) as Error);
});

const previous = (maps: Maps, name: string, of?: string) => previousAttempts(maps, findTarget(maps, name, of)).map(({ pod, container: which, attempt }) => `${pod.id} ${which} ${attempt}`);

test('the previous attempt is in the same pod, or in the one before it', async () => {
  const maps = await world(
    put.pod('w0', { node: 'n1', desired: 'stopped', createdAt: 1 }),
    put.status('w0', { phase: 'succeeded', containers: [container('web', { state: 'failed', attempt: 2 }), container('proxy', { state: 'succeeded', attempt: 7 })] }),
  );
  // The init container has run once, and does not now: that run is the last one.
  expect(previous(maps, 'shop_web.1')).toEqual(['w0 web 2', 'w1 proxy 2', 'w1 migrate 1']);
  expect(previous(maps, 'shop_proxy.1')).toEqual(['w1 proxy 2']);
  expect(previous(maps, 'shop_db')).toEqual([]);
});

test('of what waits to be restarted the last attempt counts', async () => {
  const maps = await world(put.status('d1', { containers: [container('db', { state: 'restarting', ready: false, attempt: 4 })] }));
  expect(previous(maps, 'shop_db')).toEqual(['d1 db 4']);
});

test('an attempt by its number is in the newest pod that came so far, as long as it is kept', async () => {
  const maps = await world(
    put.pod('w0', { node: 'n1', desired: 'stopped', createdAt: 1 }),
    put.status('w0', { phase: 'succeeded', containers: [container('web', { state: 'failed', attempt: 2 }), container('proxy', { state: 'succeeded', attempt: 7 })] }),
  );
  const numbered = (number: number, name: string, of?: string) => numberedAttempts(maps, findTarget(maps, name, of), number, name).map(({ pod, container: which, attempt }) => `${pod.id} ${which} ${attempt}`);
  expect(numbered(1, 'shop_web.1')).toEqual(['w1 web 1', 'w1 proxy 1', 'w1 migrate 1']);
  expect(numbered(2, 'shop_web.1')).toEqual(['w0 web 2', 'w1 proxy 2']);
  expect(numbered(3, 'shop_web.1', 'proxy')).toEqual(['w1 proxy 3']);
  // The newer pod has not come so far, so it is the one before.
  expect(numbered(6, 'shop_proxy.1')).toEqual(['w0 proxy 6']);
  expect(numbered(1, 'w0', 'web')).toEqual(['w0 web 1']);
  expect(() => numbered(8, 'shop_web.1')).toThrow(expect.objectContaining({ code: 'not-found', message: 'shop_web.1 has no attempt 8', hint: 'the last is 7' }) as Error);
  expect(() => numbered(2, 'w0', 'proxy')).toThrow(expect.objectContaining({ code: 'not-found', message: 'what attempt 2 of w0 wrote is not kept any more', hint: 'of each container the last 5 are: from 3 on' }) as Error);
  expect(() => numbered(1, 'shop_web.2')).toThrow(expect.objectContaining({ code: 'not-found', hint: 'none has begun' }) as Error);
});

test('pods in a backoff are shown as such, and how many of several containers serve', async () => {
  const maps = await world(put.status('w2', { ready: false, containers: [container('web'), container('proxy', { state: 'restarting', ready: false }), container('migrate', { init: true, state: 'succeeded' })] }));
  const item = (id: string) => podItem({ maps, stateOf: () => 'ready', pending: new Map() }, maps.pods.get(id)!.value);
  expect(item('w1')).toMatchObject({ state: 'running', containers: { ready: 2, total: 2 } });
  expect(item('w2')).toMatchObject({ state: 'restarting', containers: { ready: 1, total: 2 } });
  expect(item('d1').containers).toBeUndefined();
  const after = await world(put.status('w2', { containers: [container('web'), container('proxy'), container('step', { state: 'succeeded', ready: false })] }));
  expect(podItem({ maps: after, stateOf: () => 'ready', pending: new Map() }, after.pods.get('w2')!.value).containers).toEqual({ ready: 2, total: 2 });
});
