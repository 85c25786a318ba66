import { beforeEach, expect, test } from 'vitest';
import { Sampler } from '../../../../agent/stats/sampler.ts';
import { FakeClock } from '../../../../lib/clock.ts';
import type { AgentStats } from '../../../../model/stats.ts';

let clock: FakeClock;
let reads: string[];
let ids: string[];
let sampler: Sampler;

beforeEach(() => {
  clock = new FakeClock();
  reads = [];
  ids = ['p1', 'p2'];
  sampler = new Sampler({
    clock,
    pods: { workers: () => ids.map((id) => ({ id, allRunning: () => [{ container: 'main', attempt: 1, id: `${id}.main.1`, pid: 1 }] })) },
    runtime: {
      async usage(id) {
        reads.push(id);
        // Half a CPU.
        return id === 'gone.main.1' ? null : { cpuNs: clock.now() * 5e5, memory: { used: 7, limit: null }, pids: { current: 1, limit: null }, block: { read: 0, written: 0 } };
      },
    },
    network: { traffic: async (id) => (id === 'p1' ? { received: 1, sent: 2 } : null) },
    host: async () => ({ busy: clock.now() / 4, total: clock.now(), cpus: 2, memory: 9 }),
  });
});

function watch(pods: readonly string[] | null, everyMs: number | null): { readonly got: AgentStats[]; readonly stop: AbortController; readonly over: Promise<void> } {
  const own = new AbortController();
  const got: AgentStats[] = [];
  const over = (async () => {
    for await (const stats of sampler.watch(pods === null ? null : new Set(pods), everyMs, own.signal)) got.push(stats);
  })();
  over.catch(() => {});
  return { got, stop: own, over };
}

/** Time passes once all who are going to wait do. */
async function pass(ms: number): Promise<void> {
  for (let i = 0; i < 50; i++) await Promise.resolve();
  await clock.advance(ms);
  for (let i = 0; i < 50; i++) await Promise.resolve();
}

test('one answer from two readings; nothing is read before, or afterwards', async () => {
  await pass(60_000);
  expect(reads).toEqual([]);
  const { got, over } = watch(null, null);
  await pass(500);
  await over;
  expect(reads).toEqual(['p1.main.1', 'p2.main.1', 'p1.main.1', 'p2.main.1']);
  expect(got).toHaveLength(1);
  expect(got[0]?.host).toEqual({ cpus: 0.5, memory: 9 });
  expect(got[0]?.containers).toMatchObject([
    { podId: 'p1', container: 'main', attempt: 1, cpu: { percent: 50 }, memory: { used: 7, limit: null }, network: { received: 1, sent: 2 } },
    { podId: 'p2', cpu: { percent: 50 }, network: null },
  ]);
  await pass(60_000);
  expect(reads).toHaveLength(4);
});

test('many watchers share what is read, each with rates of its own', async () => {
  const watchers = Array.from({ length: 10 }, () => watch(null, 1000));
  await pass(500);
  for (let second = 0; second < 5; second++) await pass(1000);
  expect(watchers.map(({ got }) => got.length)).toEqual(Array.from({ length: 10 }, () => 6));
  for (const { got } of watchers) for (const { containers } of got) expect(containers.map(({ cpu }) => cpu.percent)).toEqual([50, 50]);
  expect(reads).toHaveLength(7 * 2);
  for (const each of watchers) each.stop.abort(new Error('enough'));
  await Promise.all(watchers.map(({ over }) => over.catch(() => {})));
  await pass(60_000);
  expect(reads).toHaveLength(7 * 2);
  expect(clock.sleeping).toBe(0);
});

test('watchers that come at odd times cost two readings a second at most', async () => {
  const watchers = [];
  for (let i = 0; i < 20; i++) {
    watchers.push(watch(['p1'], 1000));
    await pass(130);
  }
  reads.length = 0;
  for (let step = 0; step < 100; step++) await pass(100);
  expect(reads.length).toBeLessThanOrEqual(2 * 10 + 1);
  for (const { got } of watchers) for (const { containers } of got) expect(containers).toMatchObject([{ podId: 'p1', cpu: { percent: 50 } }]);
  for (const each of watchers) each.stop.abort(new Error('enough'));
});

test('only the pods that are asked for; those that come and go', async () => {
  const some = watch(['p2', 'p9'], 1000);
  await pass(500);
  expect(reads).toEqual(['p2.main.1', 'p2.main.1']);
  ids = ['p2', 'p9', 'gone'];
  await pass(1000);
  expect(some.got.at(-1)?.containers.map(({ podId, cpu }) => [podId, cpu.percent])).toEqual([['p2', 50], ['p9', null]]);
  const all = watch(null, null);
  await pass(500);
  await all.over;
  expect(all.got[0]?.containers.map(({ podId }) => podId)).toEqual(['p2', 'p9']);
  some.stop.abort(new Error('enough'));
});
