import { EventEmitter } from 'node:events';
import { setImmediate } from 'node:timers/promises';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { FakeClock } from '../../../../lib/clock.ts';
import { silentLog } from '../../../../lib/log.ts';
import { TablePublisher, type TableStream } from '../../../../master/table/publisher.ts';
import type { NodeState } from '../../../../model/node.ts';
import { applyUpdate, emptyTable } from '../../../../model/table.ts';
import type { TableChange } from '../../../../proto/gen/tsorch/node.ts';
import { decodeChange } from '../../../../proxy/stream.ts';
import { makeSpec } from '../scheduler/make.ts';
import { makeWorld, put } from './maps.ts';

/** A stream that takes what fits and says when there is room again. */
class Stream extends EventEmitter {
  readonly written: TableChange[] = [];
  full = false;

  write(change: TableChange): boolean {
    this.written.push(change);
    return !this.full;
  }

  end(): void {}

  acknowledge(revision: number): void {
    this.emit('data', { revision });
  }

  table() {
    return this.written.reduce((table, change) => applyUpdate(table, decodeChange(change, table)), emptyTable);
  }
}

let over: AbortController;
let states: Map<string, NodeState>;
let clock: FakeClock;
beforeEach(() => {
  over = new AbortController();
  states = new Map();
  clock = new FakeClock();
});
afterEach(() => over.abort(new Error('over')));

/** What is to be told at once has been told. */
async function turn(): Promise<void> {
  for (let i = 0; i < 4; i++) await setImmediate();
}

/** What waits for company has been told too. */
async function later(): Promise<void> {
  await turn();
  await clock.advance(100);
  await turn();
}

async function setUp() {
  const made = await makeWorld(over.signal);
  await made.write(...put.node(1), ...put.node(2), ...put.service(makeSpec()));
  const tables = new TablePublisher({ world: made.world, stateOf: (node) => states.get(node) ?? 'ready', clock, log: silentLog, signal: over.signal });
  const watch = (node: string) => {
    const stream = new Stream();
    tables.serve(node, stream as unknown as TableStream);
    return stream;
  };
  tables.refresh();
  await turn();
  return { ...made, tables, watch };
}

it('sends everything at first, then what changes; a burst is one update', async () => {
  const { watch, write, world } = await setUp();
  const stream = watch('n1');
  expect(stream.written).toHaveLength(1);
  expect(stream.written[0]).toMatchObject({ full: true, revision: world.revision });
  await write(put.pod('a', { node: 'n1', ip: '10.32.1.2' }));
  await write(put.status('a'));
  await write(put.pod('b', { slot: 2, node: 'n1', ip: '10.32.1.3' }));
  await turn();
  expect(stream.written.length).toBeLessThanOrEqual(3);
  expect(stream.written.slice(1).every(({ full }) => !full)).toBe(true);
  expect([...stream.table().pods.keys()]).toEqual(['a', 'b']);
  const before = stream.written.length;
  await write({ op: 'put', kind: 'tokens', id: 't', value: { id: 't', hash: '', role: 'node', createdAt: 0, expiresAt: null } });
  await later();
  expect(stream.written).toHaveLength(before);
});

it('a service waits for the pods that follow it, and is told with them; a pod is told at once', async () => {
  const { watch, write } = await setUp();
  const stream = watch('n1');
  const before = stream.written.length;
  await write(...put.service({ ...makeSpec(), name: 'more' }));
  await turn();
  expect(stream.written).toHaveLength(before);
  await write(put.pod('a', { node: 'n1', ip: '10.32.1.2' }));
  await turn();
  expect(stream.written).toHaveLength(before + 1);
  expect([...stream.table().pods.keys()]).toEqual(['a']);
  expect([...stream.table().services.keys()]).toEqual(['shop_web', 'shop_more']);
  await clock.advance(100);
  await write(...put.service({ ...makeSpec(), name: 'last' }));
  await turn();
  expect(stream.table().services.has('shop_last')).toBe(false);
  await clock.advance(100);
  await turn();
  expect(stream.table().services.has('shop_last')).toBe(true);
});

it('one that reads slowly gets one whole table for all it missed, also when only the state of a node changed', async () => {
  const { watch, write, tables } = await setUp();
  const [slow, quick] = [watch('n1'), watch('n2')];
  slow.full = true;
  await write(put.pod('a', { node: 'n1', ip: '10.32.1.2' }), put.status('a'));
  await turn();
  const taken = slow.written.length;
  for (let i = 0; i < 5; i++) {
    await write(put.pod(`x${i}`, { slot: i + 2, node: 'n1', ip: `10.32.1.${i + 10}` }));
    await turn();
  }
  expect(slow.written).toHaveLength(taken);
  expect(quick.table().pods.size).toBe(6);
  slow.full = false;
  slow.emit('drain');
  expect(slow.written).toHaveLength(taken + 1);
  expect(slow.written.at(-1)?.full).toBe(true);
  expect(slow.table()).toEqual(quick.table());
  // Nothing in the store changes with a node that is given up, and yet the table does.
  slow.full = true;
  await write(put.status('x0'));
  await turn();
  states.set('n1', 'down');
  tables.refresh();
  await turn();
  expect(slow.table()).not.toEqual(quick.table());
  slow.full = false;
  slow.emit('drain');
  expect(slow.table()).toEqual(quick.table());
  expect(slow.table().services.get('shop_web')?.endpoints).toEqual([]);
  const last = slow.written.length;
  slow.emit('drain');
  expect(slow.written).toHaveLength(last);
});

it('knows who has what, and asks for a word on a revision that changes nothing', async () => {
  const { watch, write, tables } = await setUp();
  const [a, b] = [watch('n1'), watch('n2')];
  const revision = await write({ op: 'put', kind: 'tokens', id: 't', value: { id: 't', hash: '', role: 'node', createdAt: 0, expiresAt: null } });
  await turn();
  let words = 0;
  tables.onAck(() => { words++; }, over.signal);
  expect(tables.everyoneHas(revision)).toBe(false);
  tables.request(revision);
  await turn();
  for (const stream of [a, b]) expect(stream.written.at(-1)).toMatchObject({ revision, full: false, pods: {} });
  a.acknowledge(revision);
  expect(tables.everyoneHas(revision)).toBe(false);
  a.acknowledge(1);
  b.acknowledge(revision);
  expect(tables.everyoneHas(revision)).toBe(true);
  expect(words).toBe(3);
  const asked = a.written.length;
  tables.request(revision);
  await turn();
  expect(a.written).toHaveLength(asked);
});

it('a proxy that has left still routes: it counts until it is back, its node is down, or removed', async () => {
  const { watch, write, tables, world } = await setUp();
  const [a, b] = [watch('n1'), watch('n2')];
  const { revision } = world;
  a.acknowledge(revision);
  b.acknowledge(revision);
  b.emit('cancelled');
  expect(tables.everyoneHas(revision)).toBe(false);
  states.set('n2', 'down');
  expect(tables.everyoneHas(revision)).toBe(true);
  states.delete('n2');
  const again = watch('n2');
  expect(tables.everyoneHas(revision)).toBe(false);
  again.acknowledge(revision);
  expect(tables.everyoneHas(revision)).toBe(true);
  again.emit('error', new Error('cut'));
  expect(tables.everyoneHas(revision)).toBe(false);
  await write({ op: 'delete', kind: 'nodes', id: 'n2' });
  expect(tables.everyoneHas(revision)).toBe(true);
});

it('after a start, proxies that have not come yet are waited for, but not for ever', async () => {
  const { watch, tables, world } = await setUp();
  const { revision } = world;
  watch('n1').acknowledge(revision);
  expect(tables.everyoneHas(revision)).toBe(false);
  let woken = false;
  tables.onAck(() => { woken = true; }, over.signal);
  await clock.advance(5_000);
  expect(woken).toBe(true);
  expect(tables.everyoneHas(revision)).toBe(true);
});
