import { afterEach, beforeEach, expect, it } from 'vitest';
import { FakeClock } from '../../../../lib/clock.ts';
import { silentLog } from '../../../../lib/log.ts';
import type { Context } from '../../../../master/context.ts';
import { startDrain } from '../../../../master/controllers/drain.ts';
import type { Epoch } from '../../../../master/store/port.ts';
import type { TablePublisher } from '../../../../master/table/publisher.ts';
import type { NodeState } from '../../../../model/node.ts';
import { makeSpec } from '../scheduler/make.ts';
import { makeWorld, put } from '../table/maps.ts';

/** Proxies as the test says. */
class Tables {
  has = 0;
  readonly asked: number[] = [];
  readonly #listeners: (() => void)[] = [];

  everyoneHas(revision: number): boolean {
    return this.has >= revision;
  }

  request(revision: number): void {
    this.asked.push(revision);
  }

  onAck(listener: () => void): void {
    this.#listeners.push(listener);
  }

  acknowledge(revision: number): void {
    this.has = revision;
    for (const listener of this.#listeners) listener();
  }
}

let over: AbortController;
beforeEach(() => { over = new AbortController(); });
afterEach(() => over.abort(new Error('over')));

const turns = async () => {
  for (let i = 0; i < 10; i++) await new Promise((resolve) => { setImmediate(resolve); });
};

async function setUp(states: Record<string, NodeState> = {}) {
  const made = await makeWorld(over.signal);
  const { world, store, write } = made;
  await write(...put.node(1), ...put.service(makeSpec()));
  const { revision } = await store.commit([{ op: 'put', kind: 'leader', id: 'leader', value: { master: 'm1', term: 't', since: 0 } }]);
  const epoch: Epoch = { key: 'leader/leader', createRevision: revision };
  const clock = new FakeClock();
  const tables = new Tables();
  const context = { world, store, clock, log: silentLog, signal: over.signal, liveness: { state: (node: string) => states[node] ?? 'ready' }, leadership: { current: epoch } } as unknown as Context;
  const loop = startDrain(context, tables as unknown as TablePublisher, over.signal);
  const drain = async (id: string, changes = {}) => write(put.pod(id, { node: 'n1', ip: '10.32.1.2', desired: 'draining', reason: 'updated', ...changes }));
  const desired = (id: string) => world.get('pods', id)?.desired;
  return { ...made, clock, tables, loop, drain, desired, context };
}

it('a pod is told to stop once every proxy has it out of its table', async () => {
  const { write, drain, desired, tables, world } = await setUp();
  await write(put.status('a'));
  const revision = await drain('a');
  await turns();
  expect(desired('a')).toBe('draining');
  expect(tables.asked).toContain(revision);
  tables.acknowledge(revision - 1);
  await turns();
  expect(desired('a')).toBe('draining');
  tables.acknowledge(revision);
  await turns();
  expect(desired('a')).toBe('stopped');
  expect(world.get('pods', 'a')).toMatchObject({ reason: 'updated', node: 'n1' });
});

it('after the deadline it is told anyway, each pod after its own', async () => {
  const { write, drain, desired, clock } = await setUp();
  await write(put.status('a'), put.status('b'));
  await drain('a');
  await turns();
  await clock.advance(1_500);
  await drain('b', { slot: 2 });
  await turns();
  await clock.advance(499);
  await turns();
  expect([desired('a'), desired('b')]).toEqual(['draining', 'draining']);
  await clock.advance(50);
  await turns();
  expect([desired('a'), desired('b')]).toEqual(['stopped', 'draining']);
  await clock.advance(1_500);
  await turns();
  expect(desired('b')).toBe('stopped');
});

it('pods that serve nobody do not wait: unready ones, those without a place, those of a node given up', async () => {
  const { write, drain, desired } = await setUp({ n2: 'down' });
  await write(put.status('unready', { ready: false }), put.status('lost'), put.status('placeless'));
  await drain('unready');
  await drain('silent', { slot: 2 });
  await drain('lost', { slot: 3, node: 'n2' });
  await drain('placeless', { slot: 4, node: null, ip: null });
  await turns();
  expect(['unready', 'silent', 'lost', 'placeless'].map(desired)).toEqual(['stopped', 'stopped', 'stopped', 'stopped']);
});

it('running pods are none of its business, and a store that fails is asked again', async () => {
  const { write, drain, desired, store, clock } = await setUp();
  let failing = true;
  store.faults.commit = (ops) => (failing && ops.some((op) => op.op === 'put' && op.kind === 'pods' && op.value.desired === 'stopped') ? 'unavailable' : 'ok');
  await write(put.pod('other', { slot: 2, node: 'n1', ip: '10.32.1.3' }), put.status('other'));
  await drain('a');
  await turns();
  expect(desired('a')).toBe('draining');
  failing = false;
  await clock.advance(10_000);
  await turns();
  expect(desired('a')).toBe('stopped');
  expect(desired('other')).toBe('running');
});

it('writes nothing once it does not lead any more', async () => {
  const { write, drain, desired, context, clock } = await setUp();
  await write(put.status('a'));
  (context.leadership as { current: Epoch | null }).current = null;
  await drain('a');
  await clock.advance(10_000);
  await turns();
  expect(desired('a')).toBe('draining');
});
