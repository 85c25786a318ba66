/** The election, on the fake and on etcd. */
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { systemClock } from '../../../../lib/clock.ts';
import { silentLog } from '../../../../lib/log.ts';
import { runLeader } from '../../../../master/leader.ts';
import { EtcdStore } from '../../../../master/store/etcd.ts';
import { MemoryStore } from '../../../../master/store/memory.ts';
import type { Epoch, LeaderRecord, Store } from '../../../../master/store/port.ts';
import { isCode } from '../../../../model/errors.ts';
import { startTestEtcd, until } from './etcd.ts';
import type { TestEtcd } from './etcd.ts';
import { startProxy } from './proxy.ts';
import type { TestProxy } from './proxy.ts';

let etcd: TestEtcd;
let proxy: TestProxy;
beforeAll(async () => {
  etcd = await startTestEtcd();
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

const untilAborted = (signal: AbortSignal) => new Promise<void>((resolve) => {
  if (signal.aborted) return resolve();
  signal.addEventListener('abort', () => resolve(), { once: true });
});

/** A master that tries to lead and keeps a diary. */
function candidate(store: Store, id: string, lead: (epoch: Epoch, signal: AbortSignal) => Promise<void> = (_epoch, signal) => untilAborted(signal)) {
  const controller = new AbortController();
  const state = { epoch: null as Epoch | null, terms: 0, observed: null as LeaderRecord | null };
  const done = runLeader({
    store, id, log: silentLog, clock: systemClock, signal: controller.signal,
    async lead(epoch, signal) {
      state.epoch = epoch;
      state.terms++;
      try {
        await lead(epoch, signal);
      } finally {
        state.epoch = null;
      }
    },
    observed: (leader) => void (state.observed = leader),
  });
  const stop = async () => {
    controller.abort();
    await done;
  };
  ends.push(stop);
  return { state, stop, store };
}

const write = (store: Store, epoch: Epoch | null, message: string) => store.commit([{ op: 'put', kind: 'events', id: 'e', value: { id: 'e', at: 0, subject: 'x', message } }], epoch ?? undefined);

const suites: Record<string, () => () => Store> = {
  memory() {
    const first = new MemoryStore();
    return () => first.fork();
  },
  etcd() {
    const root = `/${Math.random().toString(36).slice(2)}/`;
    return () => new EtcdStore({ endpoints: [etcd.endpoint], root });
  },
};

describe.each(Object.entries(suites))('leader on %s', (_name, make) => {
  function setUp() {
    const create = make();
    return () => {
      const store = create();
      ends.push(() => store.close());
      return store;
    };
  }

  it('one of three leads, another one at once when it stops, with a higher epoch', async () => {
    const open = setUp();
    const masters = ['a', 'b', 'c'].map((id) => candidate(open(), id));
    const leaders = () => masters.filter((master) => master.state.epoch !== null);
    await until(() => leaders().length === 1);
    const [first] = leaders();
    const old = first!.state.epoch!;
    await write(first!.store, old, 'first');
    const start = performance.now();
    await first!.stop();
    await until(() => leaders().length === 1);
    expect(performance.now() - start).toBeLessThan(3000);
    const [second] = leaders();
    expect(second).not.toBe(first);
    expect(second!.state.epoch!.createRevision).toBeGreaterThan(old.createRevision);
    await until(() => masters.every((master) => master === first || master.state.observed?.master === masters.find((m) => m === second)?.state.observed?.master));
    await expect(write(first!.store, old, 'stale')).rejects.toSatisfy((error) => isCode(error, 'fenced'));
    await write(second!.store, second!.state.epoch, 'second');
  });

  it('the key is kept until the work has wound up', async () => {
    const open = setUp();
    let finish = () => {};
    const slow = candidate(open(), 'a', async (_epoch, signal) => {
      await untilAborted(signal);
      await new Promise<void>((resolve) => (finish = resolve));
    });
    await until(() => slow.state.epoch !== null);
    const epoch = slow.state.epoch!;
    const stopping = slow.stop();
    const reader = open();
    await write(reader, epoch, 'still in force');
    expect(await reader.get('leader', 'leader')).not.toBeNull();
    await until(() => {
      finish();
      return slow.state.epoch === null;
    });
    await stopping;
    expect(await reader.get('leader', 'leader')).toBeNull();
  });

  it('a leader whose key is deleted stops and may lead again', async () => {
    const open = setUp();
    const master = candidate(open(), 'a');
    await until(() => master.state.epoch !== null);
    const first = master.state.epoch!;
    await open().commit([{ op: 'delete', kind: 'leader', id: 'leader' }]);
    await until(() => master.state.terms === 2 && master.state.epoch !== null);
    expect(master.state.epoch!.createRevision).toBeGreaterThan(first.createRevision);
  });

  it('a leader whose key is taken stops', async () => {
    const open = setUp();
    const master = candidate(open(), 'a');
    await until(() => master.state.epoch !== null);
    await open().commit([{ op: 'put', kind: 'leader', id: 'leader', value: { master: 'b', term: 'x', since: 0 } }]);
    await until(() => master.state.epoch === null);
    await until(() => master.state.observed?.master === 'b');
    expect(master.state.terms).toBe(1);
  });

  it('takes over from its own earlier life at once, but not from another master', async () => {
    const open = setUp();
    // What a killed master leaves behind: a key on a lease that nobody renews or gives back.
    const dead = open();
    const lease = await dead.lease(60_000, new AbortController().signal);
    await dead.commit([{ op: 'put', kind: 'leader', id: 'leader', value: { master: 'a', term: 'old', since: 0 }, guard: 0, lease: lease.id }]);
    const other = candidate(open(), 'b');
    await until(() => other.state.observed?.master === 'a');
    const start = performance.now();
    const heir = candidate(open(), 'a');
    await until(() => heir.state.epoch !== null);
    expect(performance.now() - start).toBeLessThan(1000);
    await until(() => (other.state.observed?.term ?? 'old') !== 'old');
    expect([heir.state.terms, other.state.terms]).toEqual([1, 0]);
  });

  it('two processes with one id do not push each other aside for ever', async () => {
    const open = setUp();
    const one = candidate(open(), 'a');
    await until(() => one.state.epoch !== null);
    const two = candidate(open(), 'a');
    await until(() => two.state.epoch !== null);
    await until(() => one.state.observed?.term === two.state.observed?.term);
    expect(one.state.epoch).toBeNull();
    expect([one.state.terms, two.state.terms]).toEqual([1, 1]);
  });

  it('a leader that fails gives up the lead and tries again', async () => {
    const open = setUp();
    let failures = 0;
    const master = candidate(open(), 'a', async (_epoch, signal) => {
      if (++failures <= 2) throw new Error('a defect');
      await untilAborted(signal);
    });
    await until(() => master.state.terms === 3 && master.state.epoch !== null);
  });

  it('a lost reply to its own success is a success', async () => {
    const open = setUp();
    const store = open();
    if (!(store instanceof MemoryStore)) return;
    let asked = 0;
    store.faults.commit = () => (++asked === 1 ? 'lost-reply' : 'ok');
    const master = candidate(store, 'a');
    await until(() => master.state.epoch !== null);
    expect(master.state.terms).toBe(1);
    await write(store, master.state.epoch, 'x');
  });
});

it('a leader cut off from etcd stops before another one begins', async () => {
  const root = `/${Math.random().toString(36).slice(2)}/`;
  const open = (endpoint: string) => {
    const store = new EtcdStore({ endpoints: [endpoint], root, deadlineMs: 1000, settleMs: 1000 });
    ends.push(() => store.close());
    return store;
  };
  const diary: string[] = [];
  const note = (id: string) => async (_epoch: Epoch, signal: AbortSignal) => {
    diary.push(`${id} begins`);
    await untilAborted(signal);
    diary.push(`${id} ends`);
  };
  const cut = candidate(open(proxy.endpoint), 'a', note('a'));
  await until(() => cut.state.epoch !== null);
  const epoch = cut.state.epoch!;
  const other = candidate(open(etcd.endpoint), 'b', note('b'));
  await until(() => other.state.observed?.master === 'a');
  const start = performance.now();
  proxy.mode = 'black-hole';
  await until(() => other.state.epoch !== null, 20_000);
  expect(performance.now() - start).toBeLessThan(14_000);
  expect(diary).toEqual(['a begins', 'a ends', 'b begins']);
  proxy.cut();
  proxy.mode = 'open';
  await until(() => cut.state.observed?.master === 'b');
  await expect(write(cut.store, epoch, 'stale')).rejects.toSatisfy((error) => isCode(error, 'fenced'));
}, 60_000);
