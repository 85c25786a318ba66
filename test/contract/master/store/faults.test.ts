/** What the store on etcd keeps to when etcd dies, forgets, or cannot be reached. */
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { TsorchError } from '../../../../model/errors.ts';
import type { IWatchResponse, WatchClient } from 'etcd3';
import { systemClock } from '../../../../lib/clock.ts';
import { createLog } from '../../../../lib/log.ts';
import { EtcdConnection } from '../../../../master/store/etcd/connection.ts';
import { Informer } from '../../../../master/store/etcd/informer.ts';
import { keySpace } from '../../../../master/store/keys.ts';
import { EtcdStore } from '../../../../master/store/etcd.ts';
import type { EtcdOptions } from '../../../../master/store/etcd.ts';
import type { Change, Op, Store } from '../../../../master/store/port.ts';
import { startTestEtcd, until } from './etcd.ts';
import type { TestEtcd } from './etcd.ts';
import { startProxy } from './proxy.ts';
import type { TestProxy } from './proxy.ts';

let etcd: TestEtcd;
let proxy: TestProxy;
beforeAll(async () => {
  etcd = await startTestEtcd('--experimental-watch-progress-notify-interval', '1s');
  proxy = await startProxy(etcd.port);
});
afterAll(async () => {
  await proxy.close();
  await etcd.stop();
});

const ends: (() => unknown)[] = [];
afterEach(async () => {
  proxy.mode = 'open';
  for (const end of ends.splice(0).toReversed()) await end();
});

function setUp(options: Partial<EtcdOptions> = {}) {
  const root = `/${Math.random().toString(36).slice(2)}/`;
  const open = (more: Partial<EtcdOptions> = {}) => {
    const store = new EtcdStore({ endpoints: [etcd.endpoint], root, ...options, ...more });
    ends.push(() => store.close());
    return store;
  };
  const controller = new AbortController();
  ends.push(() => controller.abort());
  return { root, open, signal: controller.signal };
}

const put = (id: string, message: string, guard?: number): Op => ({ op: 'put', kind: 'events', id, value: { id, at: 0, subject: 'x', message }, ...(guard === undefined ? {} : { guard }) });

function record(store: Store, signal: AbortSignal) {
  const messages = new Map<string, string[]>();
  const connected: boolean[] = [];
  const revisions: number[] = [];
  let count = 0;
  store.watch(['events'], {
    changes(changes: readonly Change[], revision) {
      revisions.push(revision);
      for (const { id, entry } of changes) {
        count++;
        const list = messages.get(id) ?? [];
        messages.set(id, list);
        list.push(entry ? (entry.value as { message: string }).message : 'deleted');
      }
    },
    connected: (now) => void connected.push(now),
  }, signal);
  return { messages, connected, revisions, count: () => count };
}

const keys = 10;
const writes = 5000;

/** Writes 0…4999 round robin over ten keys, in batches of one to three; repeats what did not happen. */
async function writeAll(store: Store, at: (written: number) => void | Promise<void>): Promise<void> {
  for (let next = 0; next < writes;) {
    const batch = Array.from({ length: Math.min(1 + (next % 3), writes - next) }, (_, i) => put(`k${(next + i) % keys}`, String(next + i)));
    try {
      await store.commit(batch);
    } catch (error) {
      if (!(error instanceof TsorchError) || error.code !== 'unavailable') throw error;
      await new Promise((resolve) => setTimeout(resolve, 5));
      continue;
    }
    next += batch.length;
    await at(next);
  }
}

const expected = new Map(Array.from({ length: keys }, (_, k) => [`k${k}`, Array.from({ length: writes / keys }, (_unused, i) => String(i * keys + k))]));

describe('watch', () => {
  it('tells 5000 changes exactly once and in order while etcd is killed and started again', async () => {
    const { open, signal } = setUp();
    const seen = record(open(), signal);
    await until(() => seen.connected.at(-1) === true);
    let kills = 0;
    let pending: Promise<void> = Promise.resolve();
    await writeAll(open({ settleMs: 30_000 }), (written) => {
      if (written < (kills + 1) * 1500 || kills === 3) return;
      kills++;
      pending = pending.then(() => etcd.kill()).then(() => etcd.start());
    });
    await pending;
    await until(() => seen.count() >= writes);
    expect(kills).toBe(3);
    expect(seen.connected).toContain(false);
    expect(seen.messages).toEqual(expected);
    expect(seen.revisions).toEqual(seen.revisions.toSorted((a, b) => a - b));
  });

  it('tells 5000 changes exactly once and in order through a connection that is cut again and again', async () => {
    const { open, signal } = setUp();
    const seen = record(open({ endpoints: [proxy.endpoint] }), signal);
    await until(() => seen.connected.at(-1) === true);
    let cuts = 0;
    await writeAll(open(), (written) => {
      if (written < cuts * 250) return;
      cuts++;
      proxy.cut();
    });
    await until(() => seen.count() >= writes);
    expect(cuts).toBeGreaterThan(15);
    expect(seen.messages).toEqual(expected);
  });

  it('a cut right after the watch was taken loses nothing', async () => {
    const { open, signal } = setUp();
    const writer = open();
    for (let round = 0; round < 10; round++) {
      const seen = record(open({ endpoints: [proxy.endpoint] }), signal);
      await until(() => seen.connected.at(-1) === true);
      proxy.mode = 'closed';
      proxy.cut();
      await until(() => seen.connected.at(-1) === false);
      await writer.commit([put('a', `round ${round}`)]);
      proxy.mode = 'open';
      await until(() => seen.messages.get('a')?.at(-1) === `round ${round}`);
    }
  });

  it('tells the difference when the history was compacted meanwhile, deletes included', async () => {
    const { open, signal } = setUp();
    const writer = open();
    await writer.commit([put('stays', '1'), put('goes', '1'), put('changes', '1')]);
    const seen = record(open({ endpoints: [proxy.endpoint] }), signal);
    await until(() => seen.connected.at(-1) === true && seen.count() === 3);
    proxy.mode = 'closed';
    proxy.cut();
    await writer.commit([put('changes', '2')]);
    await writer.commit([put('changes', '3'), { op: 'delete', kind: 'events', id: 'goes' }, put('short', 'lived')]);
    const { revision } = await writer.commit([{ op: 'delete', kind: 'events', id: 'short' }, put('new', '1')]);
    expect(etcd.etcdctl('compact', String(revision))).toContain('compacted revision');
    proxy.mode = 'open';
    await until(() => seen.messages.has('new'));
    expect(Object.fromEntries(seen.messages)).toEqual({ stays: ['1'], goes: ['1', 'deleted'], changes: ['1', '3'], new: ['1'] });
    await writer.commit([put('stays', '2')]);
    await until(() => seen.messages.get('stays')?.length === 2);
  });

  it('full lists in between change nothing', async () => {
    const { open, signal } = setUp();
    const seen = record(open({ relistMs: 20 }), signal);
    await until(() => seen.connected.at(-1) === true);
    const writer = open();
    for (let i = 0; i < 300; i++) await writer.commit([put(`k${i % keys}`, String(i))]);
    await until(() => seen.count() >= 300);
    expect(seen.count()).toBe(300);
    expect(seen.connected).toEqual([true]);
  });

  it('a full list finds what a watch of etcd left out', async () => {
    const { root, open } = setUp();
    const controller = new AbortController();
    const store = open();
    const connection = new EtcdConnection({ endpoints: [etcd.endpoint], deadlineMs: 5000 });
    ends.push(() => connection.close());
    const lines: string[] = [];
    // A watch that swallows every change of `missed` and passes all others on.
    const leaky = {
      async watch() {
        const stream = await connection.watch.watch();
        const on = stream.on.bind(stream) as (event: string, listener: (message: never) => void) => unknown;
        return Object.assign(stream, {
          on: (event: string, listener: (message: never) => void) => event !== 'data' ? on(event, listener) : on(event, (message: IWatchResponse) => {
            listener({ ...message, events: message.events.filter(({ kv }) => !kv.key.toString().endsWith('/missed')) } as never);
          }),
        });
      },
    } as unknown as WatchClient;
    const told: string[] = [];
    const running = new Informer({
      kv: connection.kv, watch: leaky, keys: keySpace(root), kinds: ['events'], signal: controller.signal, clock: systemClock,
      log: createLog('test', 'info', (line) => lines.push(line)),
      relistMs: () => 500,
      handler: { changes: (changes) => void told.push(...changes.map((change) => change.id)) },
    }).run();
    await store.commit([put('seen', '1')]);
    await until(() => told.length === 1);
    await store.commit([put('missed', '1')]);
    await store.commit([put('seen', '2')]);
    await until(() => told.includes('missed'));
    expect(told).toEqual(['seen', 'seen', 'missed']);
    expect(lines.join('')).toContain('missed changes');
    controller.abort();
    await running;
  });

  it('takes a long backlog of large values', async () => {
    const { open, signal } = setUp();
    const seen = record(open({ endpoints: [proxy.endpoint] }), signal);
    await until(() => seen.connected.at(-1) === true);
    proxy.mode = 'closed';
    proxy.cut();
    const writer = open();
    for (let i = 0; i < 30; i++) await writer.commit([put('a', `${i}:${'x'.repeat(450_000)}`), put('b', `${i}:${'y'.repeat(450_000)}`)]);
    proxy.mode = 'open';
    await until(() => seen.count() === 60);
    for (const id of ['a', 'b']) expect(seen.messages.get(id)?.map((message) => Number.parseInt(message, 10))).toEqual(Array.from({ length: 30 }, (_, i) => i));
  });

  it('lists more than fits in one message', async () => {
    const { open, signal } = setUp();
    const writer = open();
    for (let i = 0; i < 100; i++) await writer.commit([put(`big${i}`, 'x'.repeat(900_000))]);
    expect(await writer.list('events')).toHaveLength(100);
    expect(await writer.get('events', 'big1')).not.toBeNull();
    const seen = record(open(), signal);
    await until(() => seen.count() === 100);
  });

  it('passes over a value that is not JSON and keeps what it had', async () => {
    const { open, root, signal } = setUp();
    const lines: string[] = [];
    const store = open({ log: createLog('test', 'info', (line) => lines.push(line)) });
    await store.commit([put('a', 'good')]);
    const seen = record(store, signal);
    await until(() => seen.count() === 1);
    etcd.etcdctl('put', `${root}v1/events/a`, '{broken');
    await store.commit([put('b', 'after')]);
    await until(() => seen.messages.has('b'));
    expect(seen.messages.get('a')).toEqual(['good']);
    expect(lines.join('')).toContain('is not JSON');
    await expect(store.get('events', 'a')).rejects.toThrow('not JSON');
  });

  it('notices a peer that went silent', async () => {
    const { open, signal } = setUp();
    const seen = record(open({ endpoints: [proxy.endpoint] }), signal);
    await until(() => seen.connected.at(-1) === true);
    proxy.mode = 'black-hole';
    await until(() => seen.connected.at(-1) === false, 15_000);
    await open().commit([put('a', 'meanwhile')]);
    proxy.mode = 'open';
    await until(() => seen.messages.has('a'));
  });
});

describe('commit', () => {
  it('with a lost reply finds out that it was applied', async () => {
    const { open } = setUp();
    const store = open({ endpoints: [proxy.endpoint], deadlineMs: 1500 });
    const { revision } = await store.commit([put('a', 'one', 0)]);
    proxy.mode = 'mute';
    const commit = store.commit([put('a', 'two', revision)]);
    const reader = open();
    await until(async () => (await reader.get('events', 'a'))?.value.message === 'two');
    proxy.cut();
    proxy.mode = 'open';
    const applied = await reader.get('events', 'a');
    expect(await commit).toEqual({ revision: applied?.revision });
    await store.commit([put('a', 'three', applied!.revision)]);
  });

  it('with a lost request says that nothing was changed, and nothing is', async () => {
    const { open } = setUp();
    const store = open({ endpoints: [proxy.endpoint], deadlineMs: 1000 });
    await store.commit([put('a', 'one')]);
    proxy.mode = 'black-hole';
    const commit = store.commit([put('a', 'two')]);
    const failed = expect(commit).rejects.toMatchObject({ code: 'unavailable', message: expect.stringContaining('nothing was changed') as string });
    await new Promise((resolve) => setTimeout(resolve, 300));
    proxy.cut();
    proxy.mode = 'open';
    await failed;
    expect((await open().get('events', 'a'))?.value.message).toBe('one');
  });

  it('says so when it cannot be found out', async () => {
    const { open } = setUp();
    const store = open({ endpoints: [proxy.endpoint], deadlineMs: 500, settleMs: 1000 });
    await store.commit([put('a', 'one')]);
    proxy.mode = 'mute';
    await expect(store.commit([put('a', 'two')])).rejects.toMatchObject({ code: 'unknown-outcome' });
    proxy.cut();
    proxy.mode = 'open';
    await until(async () => (await store.commit([put('b', 'x')]).catch(() => null)) !== null);
    expect((await open().get('events', 'a'))?.value.message).toBe('two');
  });

  it('never doubles or invents a write while connections break', async () => {
    const { open, root } = setUp();
    const store = open({ endpoints: [proxy.endpoint], deadlineMs: 2000 });
    let acknowledged = 0;
    let guard = 0;
    // Breaks at all points of a commit, however long one takes on this machine.
    let pause = 2;
    let breaker = setTimeout(function again() {
      proxy.cut();
      pause = (pause % 60) + 3;
      breaker = setTimeout(again, pause);
    }, pause);
    ends.push(() => clearTimeout(breaker));
    for (let i = 0; i < 400 || acknowledged <= 20; i++) {
      try {
        guard = (await store.commit([put('counter', String(acknowledged + 1), guard)])).revision;
        acknowledged++;
      } catch (error) {
        // A conflict would mean that a write reported as failed was applied after all.
        expect(error).toMatchObject({ code: 'unavailable' });
      }
    }
    clearTimeout(breaker);
    const found = await open().get('events', 'counter');
    expect(found).toMatchObject({ revision: guard, value: { message: String(acknowledged) } });
    const { kvs } = JSON.parse(etcd.etcdctl('get', `${root}v1/events/counter`, '--write-out', 'json')) as { kvs: { version: number }[] };
    expect(kvs[0]?.version).toBe(acknowledged);
  });

  it('is refused at once when nothing listens', async () => {
    const store = new EtcdStore({ endpoints: ['http://127.0.0.1:1'] });
    ends.push(() => store.close());
    const start = performance.now();
    await expect(store.commit([put('a', 'x')])).rejects.toMatchObject({ code: 'unavailable' });
    await expect(store.get('events', 'a')).rejects.toMatchObject({ code: 'unavailable' });
    expect(performance.now() - start).toBeLessThan(4000);
  });

  it('goes to another endpoint when one fails', async () => {
    const { open } = setUp();
    const store = open({ endpoints: ['http://127.0.0.1:1', etcd.endpoint] });
    await until(async () => (await store.commit([put('a', 'x')]).catch(() => null)) !== null);
    expect(await store.get('events', 'a')).not.toBeNull();
  });

  it('two processes with one client id do no harm to each other', async () => {
    const { open } = setUp();
    const [one, two] = [open({ client: 'm1' }), open({ client: 'm1' })];
    for (let i = 0; i < 50; i++) {
      await one.commit([put('a', `one ${i}`)]);
      await two.commit([put('b', `two ${i}`)]);
    }
    expect((await one.list('events')).map((entry) => entry.value.message)).toEqual(['one 49', 'two 49']);
  });

  it('a slot of an earlier process with the same client id is used again', async () => {
    const { open, root } = setUp();
    for (let i = 0; i < 3; i++) {
      const store = open({ client: 'm1' });
      await store.commit([put('a', String(i))]);
      await store.close();
    }
    const slots = etcd.etcdctl('get', '--prefix', `${root}ops/`, '--keys-only').split('\n').filter(Boolean);
    expect(slots).toEqual([`${root}ops/m1/0`]);
  });
});

describe('lease', () => {
  it('is lost before etcd ends it when renewals do not get through', async () => {
    const { open, signal } = setUp();
    const holder = open({ endpoints: [proxy.endpoint] });
    const lease = await holder.lease(5000, signal);
    await holder.commit([{ op: 'put', kind: 'sessions', id: 'n', value: { node: 'n', master: 'm' }, lease: lease.id }]);
    const reader = open();
    proxy.mode = 'black-hole';
    await until(() => lease.lost.aborted, 10_000);
    expect(await reader.get('sessions', 'n')).not.toBeNull();
    await until(async () => (await reader.get('sessions', 'n')) === null, 15_000);
  });

  it('is lost when somebody revokes it', async () => {
    const { open, signal } = setUp();
    const lease = await open().lease(3000, signal);
    etcd.etcdctl('lease', 'revoke', BigInt(lease.id).toString(16));
    await until(() => lease.lost.aborted, 5000);
  });

  it('outlives a short absence of etcd', async () => {
    const { open, signal } = setUp();
    const store = open();
    const lease = await store.lease(10_000, signal);
    await store.commit([{ op: 'put', kind: 'sessions', id: 'n', value: { node: 'n', master: 'm' }, lease: lease.id }]);
    await etcd.kill();
    await etcd.start();
    const end = performance.now() + 7000;
    await until(() => performance.now() > end);
    expect(lease.lost.aborted).toBe(false);
    expect(await store.get('sessions', 'n')).not.toBeNull();
  });
});

it('writes what etcdctl can read', async () => {
  const { open, root } = setUp();
  await open().commit([put('voting_vote.1', 'hello')]);
  expect(etcd.etcdctl('get', `${root}v1/events/voting_vote.1`, '--print-value-only').trim()).toBe('{"id":"voting_vote.1","at":0,"subject":"x","message":"hello"}');
});
