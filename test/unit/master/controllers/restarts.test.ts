import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { markFollowers } from '../../../../master/controllers/restarts.ts';
import { restarted, withRestarts } from '../../../../model/restarts.ts';
import type { Service } from '../../../../model/service.ts';
import { loaded, TestCluster } from '../apply/cluster.ts';
import { makeNode, makeSpec } from '../scheduler/make.ts';

let cluster: TestCluster;
beforeEach(async () => {
  cluster = await TestCluster.start([makeNode(1), makeNode(2)]);
});
afterEach(() => cluster.stop());

const stack = (images: { readonly db?: string; readonly web?: string; readonly front?: string } = {}, condition = 'service_healthy') =>
  loaded(`
name: shop
services:
  db: { image: "db:${images.db ?? 1}" }
  web:
    image: "web:${images.web ?? 1}"
    deploy: { replicas: 2 }
    depends_on: { db: { condition: ${condition}, restart: true } }
  front:
    image: "front:${images.front ?? 1}"
    depends_on: { web: { condition: service_started, restart: true } }
  other:
    image: other
    depends_on: [db]
`);
const update = (id: string) => cluster.world.get('servicestatus', id)?.update;
/** What was made since the last look. */
const made = () => cluster.made.splice(0);

test('a first apply restarts nobody', async () => {
  await cluster.apply(stack());
  await cluster.settle();
  expect(made()).toEqual(expect.arrayContaining(['shop_db.1', 'shop_front.1', 'shop_other.1', 'shop_web.1', 'shop_web.2']));
  expect(cluster.made).toEqual([]);
  await cluster.apply(stack());
  expect(await cluster.settle()).toEqual([]);
});

describe('once what is depended on was changed', () => {
  beforeEach(async () => {
    await cluster.apply(stack());
    await cluster.settle();
    made();
  });

  test('by an apply: those that follow it, after it, and in turn those that follow them', async () => {
    const { result } = await cluster.apply(stack({ db: '2' }));
    expect(result.services).toMatchObject({ shop_db: 'updated', shop_web: 'updated', shop_front: 'unchanged', shop_other: 'unchanged' });
    await cluster.settle();
    expect(made()).toEqual(['shop_db.1', 'shop_web.1', 'shop_web.2', 'shop_front.1']);
    expect(update('shop_web')).toMatchObject({ state: 'completed' });
    expect(cluster.world.get('services', 'shop_web')).toMatchObject({ revision: expect.stringMatching(/~1$/) });
    // The same file again changes nothing.
    await cluster.apply(stack({ db: '2' }));
    expect(await cluster.settle()).toEqual([]);
  });

  test('not before it is healthy, and they say what they wait for', async () => {
    cluster.behaviour = ({ service, revision }) => (service === 'shop_db' && revision !== before ? { ready: false } : {});
    const before = cluster.world.get('services', 'shop_db')?.revision;
    await cluster.apply(stack({ db: '2' }));
    await cluster.settle();
    expect(made()).toEqual(['shop_db.1']);
    expect(update('shop_web')).toEqual({ state: 'updating', message: 'waiting for db: healthy' });
    cluster.behaviour = () => ({});
    await cluster.settle();
    expect(made()).toEqual(['shop_web.1', 'shop_web.2', 'shop_front.1']);
  });

  test('when they change with it they are replaced once, after it', async () => {
    cluster.behaviour = ({ service, revision }) => (service === 'shop_db' && revision !== before ? { ready: false } : {});
    const before = cluster.world.get('services', 'shop_db')?.revision;
    await cluster.apply(stack({ db: '2', web: '2' }));
    await cluster.settle();
    expect(made()).toEqual(['shop_db.1']);
    cluster.behaviour = () => ({});
    await cluster.settle();
    expect(made()).toEqual(['shop_web.1', 'shop_web.2', 'shop_front.1']);
    expect(cluster.world.get('services', 'shop_web')?.restartAfter).toBeUndefined();
  });

  test('by a restart or a rollback', async () => {
    const { maps } = cluster.world;
    const entry = maps.services.get('shop_db')!;
    const again = restarted(entry.value);
    await cluster.write([
      { op: 'put', kind: 'revisions', id: `shop_db.${again.revision}`, value: { service: 'shop_db', revision: again.revision, spec: again.spec } },
      { op: 'put', kind: 'services', id: 'shop_db', value: again, guard: entry.revision },
      ...markFollowers(maps, new Set(['shop_db'])),
    ]);
    await cluster.settle();
    expect(made()).toEqual(['shop_db.1', 'shop_web.1', 'shop_web.2', 'shop_front.1']);
  });

  test('not when it came back by itself, was scaled, or nobody says restart', async () => {
    const db = cluster.world.values('pods').find(({ service }) => service === 'shop_db')!;
    await cluster.write([{ op: 'put', kind: 'podstatus', id: db.id, value: { ...cluster.world.get('podstatus', db.id)!, restarts: 3 } }]);
    cluster.behaviour = ({ id }) => (id === db.id ? { restarts: 3 } : {});
    await cluster.settle();
    expect(made()).toEqual([]);
  });

  test('one that wants no pods any more is neither waited for nor followed', async () => {
    const spec = stack({ db: '2' });
    await cluster.apply({ ...spec, services: { ...spec.services, db: { ...spec.services['db']!, mode: { kind: 'replicated', replicas: 0 } } } });
    await cluster.settle();
    expect(made()).toEqual([]);
    expect(cluster.world.get('services', 'shop_web')?.restartAfter).toBeUndefined();
    expect(update('shop_web')?.state).not.toBe('updating');
  });

  test('the plan shows whose pods will be replaced', () => {
    const { services } = cluster.preview(stack({ db: '2' }));
    const of = (id: string) => services.find((service) => service.id === id);
    expect(of('shop_web')).toMatchObject({ action: 'update', restarts: true, pods: [{ name: 'shop_web.1', action: 'replace' }, { name: 'shop_web.2', action: 'replace' }] });
    expect(of('shop_other')).toMatchObject({ action: 'unchanged', pods: [{ action: 'keep' }] });
  });
});

test('what is noted goes when nothing is to be followed any more', () => {
  const service = (restart: boolean): Service => ({ id: 'shop_web', spec: makeSpec({ dependsOn: [{ service: 'db', condition: 'service_started', required: true, restart }] }), revision: 'r1', previous: null });
  const noted = withRestarts(service(true), new Set(['shop_db']));
  expect(noted.restartAfter).toEqual(['shop_db']);
  expect(withRestarts(noted, new Set())).toBe(noted);
  expect(withRestarts({ ...service(false), restartAfter: ['shop_db'] }, new Set())).toEqual(service(false));
});
