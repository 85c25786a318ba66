/** What every store promises, on the fake and on etcd. */
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { isCode, TsorchError } from '../../../../model/errors.ts';
import { commitAll } from '../../../../master/store/commit.ts';
import { EtcdStore } from '../../../../master/store/etcd.ts';
import { MemoryStore } from '../../../../master/store/memory.ts';
import type { Volume } from '../../../../model/service.ts';
import type { Change, EventRecord, Op, Store } from '../../../../master/store/port.ts';
import { startTestEtcd, until } from './etcd.ts';
import type { TestEtcd } from './etcd.ts';

interface Subject {
  /** Another client of the same, empty data. */
  readonly open: () => Store;
}

const event = (id: string, message = id): EventRecord => ({ id, at: 1, subject: 'node/n1', message });
const put = (id: string, message = id, guard?: number): Op => ({ op: 'put', kind: 'events', id, value: event(id, message), ...(guard === undefined ? {} : { guard }) });
const del = (id: string, guard?: number): Op => ({ op: 'delete', kind: 'events', id, ...(guard === undefined ? {} : { guard }) });
const volume = (name: string): Volume => ({ name, stack: null, driver: 'local', driverOpts: {}, labels: {}, node: null });

async function code(promise: Promise<unknown>): Promise<string> {
  try {
    await promise;
    return 'ok';
  } catch (error) {
    if (error instanceof TsorchError) return error.code;
    throw error;
  }
}

/** What an informer has been told, and the map that a reader would keep. */
function recorder(store: Store, kinds: Parameters<Store['watch']>[0], signal: AbortSignal) {
  const steps: { changes: readonly Change[]; revision: number }[] = [];
  const map = new Map<string, unknown>();
  const connected: boolean[] = [];
  store.watch(kinds, {
    changes(changes, revision) {
      steps.push({ changes, revision });
      for (const { kind, id, entry } of changes) {
        if (entry) map.set(`${kind}/${id}`, entry.value);
        else map.delete(`${kind}/${id}`);
      }
    },
    connected: (now) => void connected.push(now),
  }, signal);
  const log = () => steps.flatMap((step) => step.changes.map((change) => `${change.entry ? '+' : '-'}${change.kind}/${change.id}`));
  const revision = () => steps.at(-1)?.revision ?? -1;
  return { steps, map, connected, log, revision };
}

let etcd: TestEtcd;
beforeAll(async () => {
  etcd = await startTestEtcd();
});
afterAll(() => etcd.stop());

const suites: Record<string, () => Subject> = {
  memory() {
    const first = new MemoryStore();
    return { open: () => first.fork() };
  },
  etcd() {
    const root = `/${Math.random().toString(36).slice(2)}/`;
    return { open: () => new EtcdStore({ endpoints: [etcd.endpoint], root }) };
  },
};

describe.each(Object.entries(suites))('store on %s', (_name, make) => {
  let ends: (() => unknown)[] = [];
  afterEach(async () => {
    for (const end of ends.toReversed()) await end();
    ends = [];
  });

  function setUp() {
    const subject = make();
    const open = () => {
      const store = subject.open();
      ends.push(() => store.close());
      return store;
    };
    const controller = new AbortController();
    ends.push(() => controller.abort());
    return { store: open(), open, signal: controller.signal };
  }

  describe('commit', () => {
    it('puts, reads, lists and deletes', async () => {
      const { store } = setUp();
      expect(await store.get('events', 'a')).toBeNull();
      const { revision } = await store.commit([put('b'), put('a'), { op: 'put', kind: 'volumes', id: 'v', value: volume('v') }]);
      expect(await store.get('events', 'a')).toEqual({ kind: 'events', id: 'a', value: event('a'), revision });
      expect((await store.list('events')).map((entry) => entry.id)).toEqual(['a', 'b']);
      expect(await store.list('volumes')).toEqual([{ kind: 'volumes', id: 'v', value: volume('v'), revision }]);
      expect((await store.commit([del('a')])).revision).toBeGreaterThan(revision);
      expect(await store.get('events', 'a')).toBeNull();
      expect((await store.commit([del('a')])).revision).toBe(0);
    });

    it.each(['with/slash', 'ümläut', 'a b', '%2F', '..', 'voting_vote.1a2b', '名前'])('keeps the id %s', async (id) => {
      const { store } = setUp();
      await store.commit([put(id)]);
      expect((await store.get('events', id))?.value).toEqual(event(id));
      expect((await store.list('events')).map((entry) => entry.id)).toEqual([id]);
    });

    it('drops what JSON cannot say and shares nothing with the caller', async () => {
      const { store } = setUp();
      const value = { ...event('a'), extra: undefined, deep: { n: 1 } };
      await store.commit([{ op: 'put', kind: 'events', id: 'a', value }]);
      value.deep.n = 2;
      expect((await store.get('events', 'a'))?.value).toStrictEqual({ ...event('a'), deep: { n: 1 } });
    });

    it('guards by revision, and applies all or none', async () => {
      const { store } = setUp();
      const first = await store.commit([put('a', 'one', 0)]);
      expect(await code(store.commit([put('a', 'two', 0)]))).toBe('conflict');
      expect(await code(store.commit([put('b'), put('a', 'two', first.revision - 1)]))).toBe('conflict');
      expect(await code(store.commit([put('b'), del('c', 5)]))).toBe('conflict');
      expect(await store.get('events', 'b')).toBeNull();
      const second = await store.commit([put('b'), put('a', 'two', first.revision)]);
      expect(await code(store.commit([del('a', first.revision)]))).toBe('conflict');
      await store.commit([del('a', second.revision)]);
      expect((await store.list('events')).map((entry) => entry.id)).toEqual(['b']);
    });

    it('says which key was changed by somebody else', async () => {
      const { store } = setUp();
      const { revision } = await store.commit([put('a')]);
      await expect(store.commit([put('b', 'b', 0), put('a', 'x', 0)])).rejects.toThrow(`events/a should not exist, found revision ${revision}`);
      await expect(store.commit([put('b', 'b', 7)])).rejects.toThrow('events/b should be at revision 7, found nothing');
    });

    it.each<[string, readonly Op[], string]>([
      ['nothing', [], 'invalid'],
      ['101 operations', Array.from({ length: 101 }, (_, i) => put(`e${i}`)), 'invalid'],
      ['one key twice', [put('a'), del('a')], 'invalid'],
      ['an empty id', [put('')], 'invalid'],
      ['more than 1 MB', [put('a', 'x'.repeat(600_000)), put('b', 'x'.repeat(600_000))], 'exhausted'],
    ])('refuses %s', async (_what, ops, expected) => {
      const { store } = setUp();
      expect(await code(store.commit(ops))).toBe(expected);
      expect(await store.list('events')).toEqual([]);
    });

    it('takes 100 guarded operations with an epoch', async () => {
      const { store } = setUp();
      const { revision } = await store.commit([{ op: 'put', kind: 'leader', id: 'leader', value: { master: 'm', term: 't', since: 0 } }]);
      const epoch = { key: 'leader/leader', createRevision: revision };
      await store.commit(Array.from({ length: 100 }, (_, i) => put(`e${i}`, 'x', 0)), epoch);
      expect(await store.list('events')).toHaveLength(100);
    });

    it('one of many writers with the same guard wins', async () => {
      const { open } = setUp();
      const stores = [open(), open(), open()];
      const results = await Promise.all(Array.from({ length: 30 }, (_, i) => code(stores[i % 3]!.commit([put('a', `${i}`, 0)]))));
      expect(results.filter((result) => result === 'ok')).toHaveLength(1);
      expect(results.filter((result) => result === 'conflict')).toHaveLength(29);
    });

    it('many at once are all applied', async () => {
      const { store } = setUp();
      await Promise.all(Array.from({ length: 300 }, (_, i) => store.commit([put(`e${i}`, 'x', 0)])));
      expect(await store.list('events')).toHaveLength(300);
    });
  });

  describe('epoch', () => {
    it('fences the writes of a term that is over', async () => {
      const { store, open } = setUp();
      const lead = (master: string): Op => ({ op: 'put', kind: 'leader', id: 'leader', value: { master, term: master, since: 0 }, guard: 0 });
      const first = await store.commit([lead('a')]);
      const old = { key: 'leader/leader', createRevision: first.revision };
      await store.commit([put('x', 'old')], old);
      await store.commit([{ op: 'delete', kind: 'leader', id: 'leader', guard: first.revision }]);
      expect(await code(store.commit([put('x', 'none')], old))).toBe('fenced');
      const second = await open().commit([lead('b')]);
      expect(await code(store.commit([put('x', 'stale')], old))).toBe('fenced');
      expect(await code(store.commit([put('x', 'stale', 0)], old))).toBe('fenced');
      await store.commit([put('x', 'new')], { key: 'leader/leader', createRevision: second.revision });
      expect((await store.get('events', 'x'))?.value.message).toBe('new');
      await store.commit([{ op: 'put', kind: 'leader', id: 'leader', value: { master: 'c', term: 'c', since: 0 }, guard: second.revision }]);
      expect(await code(store.commit([put('x', 'stale')], { key: 'leader/leader', createRevision: second.revision }))).toBe('fenced');
    });
  });

  describe('commitAll', () => {
    it('splits plans and keeps the order of operations on one key', async () => {
      const { store } = setUp();
      const plan = [...Array.from({ length: 250 }, (_, i) => put(`e${i}`)), put('e1', 'again'), del('e2'), put('e2', 'back')];
      const { revision } = await commitAll(store, plan);
      expect(await store.list('events')).toHaveLength(250);
      expect((await store.get('events', 'e1'))?.value.message).toBe('again');
      expect(await store.get('events', 'e2')).toMatchObject({ value: { message: 'back' }, revision });
      expect(await commitAll(store, [])).toEqual({ revision: 0 });
    });

    it('splits by size', async () => {
      const { store } = setUp();
      await commitAll(store, Array.from({ length: 8 }, (_, i) => put(`e${i}`, 'x'.repeat(400_000))));
      expect(await store.list('events')).toHaveLength(8);
    });
  });

  describe('watch', () => {
    it('tells what there is, also when there is nothing, then every change once', async () => {
      const { store, open, signal } = setUp();
      const empty = recorder(store, ['volumes'], signal);
      await until(() => empty.steps.length > 0);
      expect(empty.steps[0]!.changes).toEqual([]);

      await store.commit([put('a'), put('b')]);
      const seen = recorder(open(), ['events', 'volumes'], signal);
      await until(() => seen.map.size === 2 && seen.connected.includes(true));
      await store.commit([put('a', 'two')]);
      await store.commit([del('b')]);
      const { revision } = await store.commit([put('c'), { op: 'put', kind: 'volumes', id: 'v', value: volume('v') }]);
      await until(() => seen.revision() >= revision);
      expect(seen.log()).toEqual(['+events/a', '+events/b', '+events/a', '-events/b', '+events/c', '+volumes/v']);
      expect(seen.map.get('events/a')).toEqual(event('a', 'two'));
      await until(() => empty.map.size === 1);
    });

    it('gives a transaction in one step, with the revision that commit returned', async () => {
      const { store, signal } = setUp();
      const seen = recorder(store, ['events', 'volumes'], signal);
      await until(() => seen.steps.length > 0);
      const { revision } = await store.commit([put('a'), { op: 'put', kind: 'volumes', id: 'v', value: volume('v') }, put('b')]);
      await until(() => seen.revision() >= revision);
      const step = seen.steps.find((candidate) => candidate.changes.length > 0);
      expect(step?.changes.map((change) => change.entry?.revision)).toEqual([revision, revision, revision]);
      expect(step?.revision).toBe(revision);
    });

    it('moves its revision on when kinds change that nobody asked for', async () => {
      const { store, signal } = setUp();
      const seen = recorder(store, ['events', 'volumes'], signal);
      await until(() => seen.steps.length > 0);
      const { revision } = await store.commit([{ op: 'put', kind: 'leader', id: 'leader', value: { master: 'm', term: 't', since: 0 } }]);
      await until(() => seen.revision() >= revision);
      expect(seen.log()).toEqual([]);
    });

    it('stops with its signal', async () => {
      const { store } = setUp();
      const controller = new AbortController();
      const seen = recorder(store, ['events'], controller.signal);
      const other = new AbortController();
      const control = recorder(store, ['events'], other.signal);
      await until(() => seen.steps.length > 0 && control.steps.length > 0);
      controller.abort();
      await store.commit([put('a')]);
      await until(() => control.map.size === 1);
      expect(seen.log()).toEqual([]);
      other.abort();
    });

    it('a watcher that throws is told further', async () => {
      const { store, signal } = setUp();
      if (store instanceof MemoryStore) return;
      let calls = 0;
      store.watch(['events'], { changes: () => {
        calls++;
        throw new Error('a defect');
      } }, signal);
      await until(() => calls === 1);
      await store.commit([put('a')]);
      await until(() => calls === 2);
    });
  });

  describe('lease', () => {
    it('takes its keys along when it ends', async () => {
      const { store, signal } = setUp();
      const seen = recorder(store, ['sessions'], signal);
      const controller = new AbortController();
      const lease = await store.lease(10_000, controller.signal);
      await store.commit([
        { op: 'put', kind: 'sessions', id: 'n1', value: { node: 'n1', master: 'm' }, lease: lease.id },
        { op: 'put', kind: 'sessions', id: 'n2', value: { node: 'n2', master: 'm' }, lease: lease.id },
        put('stays'),
      ]);
      await until(() => seen.map.size === 2);
      controller.abort();
      await until(() => seen.map.size === 0);
      expect(lease.lost.aborted).toBe(false);
      expect(await store.get('events', 'stays')).not.toBeNull();
      expect(await code(store.commit([{ op: 'put', kind: 'sessions', id: 'n1', value: { node: 'n1', master: 'm' }, lease: lease.id }]))).toBe('not-found');
    });

    it('a key put again without it or on another one stays', async () => {
      const { store } = setUp();
      const controller = new AbortController();
      const lease = await store.lease(10_000, controller.signal);
      await store.commit([{ op: 'put', kind: 'sessions', id: 'n1', value: { node: 'n1', master: 'm' }, lease: lease.id }, { op: 'put', kind: 'sessions', id: 'n2', value: { node: 'n2', master: 'm' }, lease: lease.id }]);
      await store.commit([{ op: 'put', kind: 'sessions', id: 'n1', value: { node: 'n1', master: 'm2' } }]);
      controller.abort();
      await until(async () => (await store.get('sessions', 'n2')) === null);
      expect(await store.get('sessions', 'n1')).not.toBeNull();
    });

    it('outlives its time to live while it is held', async () => {
      const { store, signal } = setUp();
      const lease = await store.lease(1000, signal);
      await store.commit([{ op: 'put', kind: 'sessions', id: 'n1', value: { node: 'n1', master: 'm' }, lease: lease.id }]);
      const end = performance.now() + 3500;
      await until(() => performance.now() > end);
      expect(lease.lost.aborted).toBe(false);
      expect(await store.get('sessions', 'n1')).not.toBeNull();
    });

    it('closing the store ends it', async () => {
      const { store, open, signal } = setUp();
      const other = open();
      const lease = await other.lease(10_000, signal);
      await other.commit([{ op: 'put', kind: 'sessions', id: 'n1', value: { node: 'n1', master: 'm' }, lease: lease.id }]);
      await other.close();
      await until(async () => (await store.get('sessions', 'n1')) === null);
    });

    it('is not taken when the signal has fired', async () => {
      const { store } = setUp();
      await expect(store.lease(1000, AbortSignal.abort())).rejects.toSatisfy((error) => isCode(error, 'aborted'));
    });
  });
});
