import { afterAll, expect, test } from 'vitest';
import { RuntimeView } from '../../../../agent/pods/view.ts';
import type { Runtime, RuntimeContainer } from '../../../../agent/runtime/port.ts';
import { FakeClock } from '../../../../lib/clock.ts';
import { silentLog } from '../../../../lib/log.ts';

const stop = new AbortController();
afterAll(() => stop.abort());

/** A runtime whose lists are answered by hand. */
function manual() {
  const lists: ((containers: readonly RuntimeContainer[]) => void)[] = [];
  const handlers: { watch?: Parameters<Runtime['watch']>[0] } = {};
  const runtime = {
    list: () => new Promise<readonly RuntimeContainer[]>((resolve) => lists.push(resolve)),
    watch: (given: Parameters<Runtime['watch']>[0]) => {
      handlers.watch = given;
    },
  } as unknown as Runtime;
  const changes: string[] = [];
  const view = new RuntimeView({ runtime, clock: new FakeClock(), log: silentLog, signal: stop.signal, changed: (id) => changes.push(id) });
  return { view, lists, handlers, changes };
}

const container = (id: string, over: Partial<RuntimeContainer> = {}): RuntimeContainer => ({ id, podId: id.split('.')[0] ?? '', labels: {}, state: 'running', pid: 5, ...over });
const turn = () => new Promise((resolve) => setImmediate(resolve));
const states = (view: RuntimeView, pod: string) => view.of(pod).map((c) => [c.id, c.state]);

test('what was created while a list was made is not taken for vanished, what was removed not for there', async () => {
  const { view, lists } = manual();
  await turn();
  lists[0]?.([container('a.c.1'), container('b.c.1')]);
  await turn();
  view.refresh();
  await turn();
  view.created(container('c.c.1', { state: 'created' }));
  view.removed('b.c.1');
  lists[1]?.([container('a.c.1'), container('b.c.1')]);
  await turn();
  expect([states(view, 'a'), states(view, 'b'), states(view, 'c')]).toEqual([[['a.c.1', 'running']], [], [['c.c.1', 'created']]]);
  // The next list was begun later: its word counts.
  view.refresh();
  await turn();
  lists[2]?.([]);
  await turn();
  expect(view.pods()).toEqual([]);
});

test('an exit is not undone by an older list, and wakes the pod once', async () => {
  const { view, lists, handlers, changes } = manual();
  await turn();
  lists[0]?.([container('a.c.1')]);
  await turn();
  view.refresh();
  await turn();
  changes.length = 0;
  handlers.watch?.exit('a.c.1', { code: 3, at: 1 });
  handlers.watch?.exit('a.c.1', { code: 3, at: 1 });
  lists[1]?.([container('a.c.1')]);
  await turn();
  expect(view.of('a')).toMatchObject([{ state: 'stopped', exit: { code: 3 } }]);
  expect(changes).toEqual(['a']);
});

test('an exit of something unknown asks for a list', async () => {
  const { view, lists, handlers } = manual();
  await turn();
  lists[0]?.([]);
  await view.synced();
  handlers.watch?.exit('x.c.1', { code: 0, at: 1 });
  await turn();
  expect(lists).toHaveLength(2);
});

test('a container that ran out of memory is remembered when it is gone', async () => {
  const { view, lists, handlers } = manual();
  await turn();
  lists[0]?.([container('a.c.1')]);
  await turn();
  view.removed('a.c.1');
  handlers.watch?.oom('a.c.1');
  expect([...view.oomKilled('a')]).toEqual(['a.c.1']);
  view.forget('a');
  expect(view.oomKilled('a').size).toBe(0);
});
