/** Statistics through a master: from nodes that answer, that fall silent, that are gone; to one caller and to those who stay. */
import { request } from 'node:https';
import { afterEach, beforeEach, expect, it } from 'vitest';
import type { AgentStats, Stats } from '../../../../model/stats.ts';
import type { SessionHost } from './host.ts';
import { type Answer, Joined, message } from './joined.ts';
import { Lab, until } from './lab.ts';

let lab: Lab;
let joined: Joined;
beforeEach(async () => {
  lab = await Lab.start();
  joined = new Joined(lab);
});
afterEach(async () => {
  joined.close();
  await lab[Symbol.asyncDispose]();
});

const connect = (name: string) => joined.connect(name, { capacity: { cpus: 4, memory: 1000 } });
const answer = (host: SessionHost) => joined.answer(host, 'stats');
const tell = (to: Answer, ...pods: readonly string[]) => to.send(message(usage(...pods)));

function usage(...pods: readonly string[]): AgentStats {
  return {
    host: { cpus: 2, memory: 600 },
    containers: pods.map((podId) => ({ podId, container: 'web', attempt: 1, cpu: { percent: 50, seconds: 9 }, memory: { used: 100, limit: null }, pids: { current: 1, limit: null }, block: { read: 0, written: 0 }, network: null })),
  };
}

/** Server-sent events as they come; `leave` hangs up. */
function follow(path: string) {
  const { ca, cert, key } = lab.admin;
  const got: Stats[] = [];
  const req = request({ host: '127.0.0.1', port: lab.serving.apiPort, path, ca, cert, key, agent: false }, (response) => {
    let rest = '';
    response.setEncoding('utf8');
    response.on('error', () => {});
    response.on('data', (chunk: string) => {
      const parts = (rest + chunk).split('\n\n');
      rest = parts.pop() ?? '';
      got.push(...parts.map((text) => JSON.parse(text.replace(/^data: /, '')) as Stats));
    });
  });
  req.on('error', () => {});
  req.end();
  return { got, leave: () => req.destroy() };
}

it('once: nodes in parallel, one that is silent is a row that says so', async () => {
  const [a, b] = [await connect('alpha'), await connect('beta')];
  const silent = await connect('gamma');
  await lab.join('delta');
  expect(a.requests).toEqual([]);
  const asked = lab.call<Stats>('GET', '/v1/stats');
  const [one, two] = [await answer(a), await answer(b)];
  expect([one.params, two.params]).toEqual([{ pods: null }, { pods: null }]);
  tell(one, 'p1', 'p2');
  tell(two, 'p2');
  const { status, body } = await asked;
  expect(status).toBe(200);
  expect(body.nodes.map(({ name, used, message }) => [name, used?.cpus ?? null, message])).toEqual([['alpha', 2, ''], ['beta', 2, ''], ['delta', null, expect.stringMatching(/not connected|is down/)], ['gamma', null, 'does not answer']]);
  expect(body.containers.map(({ name, node, memory }) => [name, node, memory.percent])).toEqual([['shop_web.1', 'alpha', 10], ['shop_web.2', 'beta', 10]]);
  await until('both calls are over', () => one.over && two.over);
  // The silent one comes too late, and is told so.
  const late = await answer(silent);
  await until('the late call is over', () => late.over);
});

it('only what is asked for; what cannot be read counts as no answer; names that mean nothing', async () => {
  const [a, b] = [await connect('alpha'), await connect('beta')];
  const asked = lab.call<Stats>('GET', '/v1/stats?target=shop_web.2');
  const two = await answer(b);
  expect(two.params).toEqual({ pods: ['p2'] });
  two.call.write({ kind: { $case: 'message', value: '{"host":{}}' } });
  expect((await asked).body).toMatchObject({ nodes: [{ name: 'beta', used: null, message: expect.stringContaining('makes no sense') as string }], containers: [] });
  expect(a.requests).toEqual([]);
  const old = lab.call<Stats>('GET', '/v1/stats?node=alpha');
  (await answer(a)).call.write({ kind: { $case: 'error', value: { code: 'unsupported', message: 'this agent knows no "stats" streams' } } });
  expect((await old).body.nodes).toMatchObject([{ name: 'alpha', message: 'this agent knows no "stats" streams' }]);
  expect(await lab.fails('GET', '/v1/stats?target=shop_wev')).toMatchObject({ status: 404, error: { hint: 'did you mean shop_web?' } });
  expect(await lab.fails('GET', '/v1/stats?node=alhpa')).toMatchObject({ status: 404, error: { hint: 'did you mean alpha?' } });
  expect(await lab.fails('GET', '/v1/stats?every=soon')).toMatchObject({ status: 400 });
});

it('as it changes: pods and nodes that come are asked, one that breaks off is asked again, and nobody once the watcher has left', async () => {
  const a = await connect('alpha');
  const reader = follow('/v1/stats?follow=true&every=500&target=shop_web');
  const one = await answer(a);
  expect(one.params).toEqual({ pods: ['p1'], everyMs: 500 });
  tell(one, 'p1');
  await until('the first', () => reader.got.at(-1)?.containers.length === 1);
  // Another node has a pod now, and the first node another one.
  const b = await connect('beta');
  const two = await answer(b);
  tell(two, 'p2');
  await joined.addPod(a, 3);
  const again = await answer(a);
  expect(again.params).toEqual({ pods: ['p1', 'p3'], everyMs: 500 });
  await until('the old call is over', () => one.over);
  tell(again, 'p1', 'p3');
  await until('all three', () => reader.got.at(-1)?.containers.map(({ name }) => name).join(' ') === 'shop_web.1 shop_web.2 shop_web.3');
  two.call.cancel();
  await until('it says so', () => reader.got.at(-1)?.nodes.find(({ name }) => name === 'beta')?.used === null);
  const back = await answer(b);
  tell(back, 'p2');
  await until('it is back', () => reader.got.at(-1)?.nodes.every(({ used }) => used !== null) === true);
  reader.leave();
  await until('nobody is asked any more', () => again.over && back.over);
});
