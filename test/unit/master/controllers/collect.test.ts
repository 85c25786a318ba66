import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { collectNetworks, collectPods, collectRevisions, collectTokens } from '../../../../master/controllers/collect.ts';
import type { Op } from '../../../../master/store/port.ts';
import { makeContainer, makeSpec } from '../scheduler/make.ts';
import { makeWorld, put } from '../table/maps.ts';

let over: AbortController;
beforeEach(() => { over = new AbortController(); });
afterEach(() => over.abort(new Error('over')));

const names = (ops: readonly Op[]) => ops.map(({ op, kind, id }) => `${op} ${kind}/${id}`).toSorted();
const digest = (letter: string) => `sha256:${letter.repeat(64)}`;
const withSecret = (letter: string) => makeSpec({
  template: { containers: [makeContainer({ secrets: [{ source: 'shop_key', digest: digest(letter), target: '/k', uid: 0, gid: 0, mode: 0o400 }] })] },
});
const secret = (letter: string): Op => ({ op: 'put', kind: 'secrets', id: `shop_key.${letter.repeat(16)}`, value: { name: 'shop_key', external: false, content: 'aGk=', digest: digest(letter), labels: {} } });

describe('pods', () => {
  it('go when they were told to stop and their host has nothing of them any more', async () => {
    const { world, write } = await makeWorld(over.signal);
    await write(
      ...put.service(makeSpec()), put.pod('running', { slot: 1 }), put.status('running'), put.pod('pending', { slot: 2 }), put.pod('stopping', { slot: 3, desired: 'stopped' }), put.status('stopping', { phase: 'stopping' }),
      put.pod('gone', { slot: 4, desired: 'stopped' }), put.pod('draining', { slot: 5, desired: 'draining' }), put.status('orphan'),
    );
    expect(names(collectPods(world.maps))).toEqual(['delete pods/gone', 'delete podstatus/orphan']);
  });

  it('that ended are kept, the last few of a slot, for people to look at; those of removed services are not', async () => {
    const { world, write } = await makeWorld(over.signal);
    await write(...put.service(makeSpec()));
    for (let i = 0; i < 7; i++) await write(put.pod(`old${i}`, { slot: 1, desired: 'stopped', createdAt: i }), put.status(`old${i}`, { phase: 'failed', ready: false }));
    await write(put.pod('other', { slot: 2, desired: 'stopped' }), put.status('other', { phase: 'failed', ready: false }));
    expect(names(collectPods(world.maps))).toEqual(['delete pods/old0', 'delete pods/old1', 'delete pods/old2']);
    await write({ op: 'delete', kind: 'services', id: 'shop_web' });
    expect(collectPods(world.maps)).toHaveLength(8);
  });

  it('are deleted as they were seen, never as they became', async () => {
    const { world, write } = await makeWorld(over.signal);
    await write(...put.service(makeSpec()), put.pod('gone', { desired: 'stopped' }));
    expect(collectPods(world.maps)[0]).toMatchObject({ guard: world.entry('pods', 'gone')?.revision });
  });
});

describe('revisions and files', () => {
  it('stay while a service, a rollback or a pod refers to them', async () => {
    const { world, write } = await makeWorld(over.signal);
    for (const [letter, revision] of [['a', 'r1'], ['c', 'r3'], ['b', 'r2']] as const) await write(...put.service(withSecret(letter), revision));
    await write(secret('a'), secret('b'), secret('c'), secret('d'));
    await write({ op: 'put', kind: 'services', id: 'shop_web', value: { id: 'shop_web', spec: withSecret('b'), revision: 'r2', previous: 'r1' } }, put.pod('p', { revision: 'r3' }));
    expect(names(collectRevisions(world.maps))).toEqual(['delete secrets/shop_key.dddddddddddddddd']);
    await write({ op: 'delete', kind: 'pods', id: 'p' });
    expect(names(collectRevisions(world.maps))).toEqual(['delete revisions/shop_web.r3', 'delete secrets/shop_key.cccccccccccccccc', 'delete secrets/shop_key.dddddddddddddddd']);
    await write({ op: 'delete', kind: 'services', id: 'shop_web' });
    expect(collectRevisions(world.maps)).toHaveLength(7);
  });
});

describe('networks', () => {
  it('go with their stack, once no pod is on them', async () => {
    const { world, write } = await makeWorld(over.signal);
    const network = (name: string, stack: string | null): Op => ({ op: 'put', kind: 'networks', id: name, value: { name, group: name.length, internal: false, stack, labels: {} } });
    const on = makeSpec({ networks: [{ network: 'shop_default', aliases: [] }] });
    await write(
      ...put.service(on), put.pod('p', { slot: 1 }), network('shop_default', 'shop'), network('shop_old', 'shop'), network('of_nobody', null),
      { op: 'put', kind: 'stacks', id: 'shop', value: { name: 'shop', services: ['web'], networks: ['shop_default'], volumes: [], secrets: [], configs: [] } },
    );
    expect(names(collectNetworks(world.maps))).toEqual(['delete networks/shop_old']);
    await write({ op: 'delete', kind: 'stacks', id: 'shop' }, { op: 'delete', kind: 'services', id: 'shop_web' });
    expect(names(collectNetworks(world.maps))).toEqual(['delete networks/shop_old']);
    await write({ op: 'delete', kind: 'pods', id: 'p' });
    expect(names(collectNetworks(world.maps))).toEqual(['delete networks/shop_default', 'delete networks/shop_old']);
  });
});

describe('tokens', () => {
  it('go when they have expired', async () => {
    const { world, write } = await makeWorld(over.signal);
    const token = (id: string, expiresAt: number | null): Op => ({ op: 'put', kind: 'tokens', id, value: { id, hash: 'x', role: 'node', createdAt: 0, expiresAt } });
    await write(token('old', 100), token('new', 200), token('ever', null));
    expect(names(collectTokens(world.maps, 100))).toEqual(['delete tokens/old']);
  });
});
