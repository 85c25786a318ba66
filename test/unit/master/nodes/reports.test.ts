import { afterEach, beforeEach, expect, it } from 'vitest';
import { systemClock } from '../../../../lib/clock.ts';
import { silentLog } from '../../../../lib/log.ts';
import { decodeNodeStatus, decodePodStatus } from '../../../../master/nodes/decode.ts';
import { Reports } from '../../../../master/nodes/reports.ts';
import { MemoryStore } from '../../../../master/store/memory.ts';
import type { Op } from '../../../../master/store/port.ts';
import type { PodStatus } from '../../../../model/pod.ts';

let over: AbortController;
let store: MemoryStore;
let commits: (readonly Op[])[];
/** Up to which revision the world has come. */
let seen: number;
beforeEach(() => {
  over = new AbortController();
  store = new MemoryStore();
  commits = [];
  seen = 0;
});
afterEach(() => over.abort(new Error('over')));

const status = (id: string, changes: Partial<PodStatus> = {}): PodStatus => ({ id, node: 'n1', phase: 'running', ready: true, message: '', restarts: 0, since: 1, containers: [], ...changes });
const make = () => new Reports({ store, clock: systemClock, log: silentLog, signal: over.signal, seen: () => seen });
const until = async (condition: () => boolean | Promise<boolean>) => {
  const end = performance.now() + 5000;
  while (!(await condition())) {
    if (performance.now() > end) throw new Error('in vain');
    await systemClock.sleep(2);
  }
};

it('a thousand statuses are a few commits, the last word of each pod wins', async () => {
  store.faults.commit = (ops) => {
    commits.push(ops);
    return 'ok';
  };
  const reports = make();
  for (let i = 0; i < 1000; i++) reports.add(`p${i}`, status(`p${i}`, { phase: 'starting', ready: false }));
  for (let i = 0; i < 1000; i++) reports.add(`p${i}`, i % 10 === 0 ? null : status(`p${i}`));
  await until(async () => (await store.list('podstatus')).length === 900);
  const written = await store.list('podstatus');
  expect(written.every(({ value }) => value.phase === 'running')).toBe(true);
  expect(commits.length).toBeLessThanOrEqual(20);
});

it('what could not be written is written later, a newer word instead of it', async () => {
  let fail = true;
  store.faults.commit = (ops) => {
    commits.push(ops);
    return fail ? 'unavailable' : 'ok';
  };
  const reports = make();
  reports.add('a', status('a', { message: 'old' }));
  reports.add('b', status('b'));
  await until(() => commits.length >= 2);
  reports.add('a', status('a', { message: 'new' }));
  fail = false;
  await until(async () => (await store.get('podstatus', 'b')) !== null && (await store.get('podstatus', 'a'))?.value.message === 'new');
});

it('a reply that was lost does no harm', async () => {
  let first = true;
  store.faults.commit = () => {
    const fault = first ? 'lost-reply' : 'ok';
    first = false;
    return fault;
  };
  make().add('a', status('a'));
  await until(async () => (await store.get('podstatus', 'a')) !== null && !first);
  expect((await store.get('podstatus', 'a'))?.value).toEqual(status('a'));
});

it('statuses of the largest size still fit into commits', async () => {
  const reports = make();
  for (let i = 0; i < 100; i++) {
    const containers = Array.from({ length: 15 }, (_, n) => ({ name: `c${n}`, image: 'x'.repeat(4000) }));
    const large = status(`p${i}`, { containers });
    expect(decodePodStatus(JSON.stringify(large))).toEqual(large);
    reports.add(`p${i}`, large);
  }
  await until(async () => (await store.list('podstatus')).length === 100);
});

const whole = { address: '192.0.2.1', capacity: { cpus: 4, memory: 1 }, os: 'linux', arch: 'x', engineLabels: { a: 'b' }, vtepMac: '', version: '1', bootId: 'b' };

it.each([
  ['not JSON', '{'], ['null', 'null'], ['an array', '[]'], ['no address', JSON.stringify({ ...whole, address: '' })], ['negative room', JSON.stringify({ ...whole, capacity: { cpus: -1, memory: 1 } })],
  ['no labels', JSON.stringify({ ...whole, engineLabels: undefined })], ['labels that are no texts', JSON.stringify({ ...whole, engineLabels: { a: 1 } })], ['endless', JSON.stringify({ ...whole, version: 'x'.repeat(5000) })],
  ['huge', JSON.stringify({ ...whole, more: 'x'.repeat(70_000) })],
])('a node status that is %s is refused', (_what, json) => {
  expect(() => decodeNodeStatus(json, 'n1')).toThrow(expect.objectContaining({ code: 'invalid' }) as Error);
});

it.each([
  ['not JSON', 'x'], ['no object', '7'], ['without a pod', JSON.stringify({ ...status('a'), id: '' })], ['of an unknown phase', JSON.stringify({ ...status('a'), phase: 'exploded' })],
  ['without containers', JSON.stringify({ ...status('a'), containers: undefined })], ['of restarts that are no number', JSON.stringify({ ...status('a'), restarts: '1' })],
])('a pod status that is %s is refused', (_what, json) => {
  expect(() => decodePodStatus(json)).toThrow(expect.objectContaining({ code: 'invalid' }) as Error);
});

it('the node is the one of the certificate, and what a newer agent adds is kept', () => {
  expect(decodeNodeStatus(JSON.stringify({ ...whole, id: 'other', more: 1 }), 'n1')).toEqual({ ...whole, id: 'n1', more: 1 });
});

it('what was told is unsettled until the world has it: a word that takes it back is no repetition', async () => {
  const reports = make();
  expect(reports.isUnsettled('podstatus', 'a')).toBe(false);
  reports.add('a', status('a', { ready: false }));
  expect(reports.isUnsettled('podstatus', 'a')).toBe(true);
  await until(async () => (await store.get('podstatus', 'a')) !== null);
  expect(reports.isUnsettled('podstatus', 'a')).toBe(true);
  seen = 1_000_000;
  await until(() => !reports.isUnsettled('podstatus', 'a'));
  expect(reports.isUnsettled('staticpods', 'a')).toBe(false);
});
