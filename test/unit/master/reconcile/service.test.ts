import { describe, expect, test } from 'vitest';
import { describePlan } from '../../../../master/reconcile/ops.ts';
import { reconcileRemoved, reconcileService } from '../../../../master/reconcile/reconcile.ts';
import { makeNode, makePod, makeSpec, type SpecChanges } from '../scheduler/make.ts';
import { Sim } from './sim.ts';

const replicas = (count: number, changes: SpecChanges = {}) => makeSpec({ mode: { kind: 'replicated', replicas: count }, ...changes });
const global = (changes: SpecChanges = {}) => makeSpec({ mode: { kind: 'global' }, ...changes });

function settled(sim: Sim): Sim {
  sim.settle();
  sim.plans.length = 0;
  return sim;
}

function history(sim: Sim): string[] {
  return sim.plans.map((plan) => describePlan({ ...plan, update: null, wakeAt: null }));
}

describe('replicated', () => {
  test('makes what is missing, in the lowest slots', () => {
    const sim = new Sim(replicas(3));
    expect(describePlan(sim.reconcile())).toBe('create 1 (r1)\ncreate 2 (r1)\ncreate 3 (r1)');
    expect(describePlan(sim.reconcile())).toBe('nothing to do');
    sim.settle();
    expect(sim.where()).toBe('1@n1 2@n2 3@n3');
  });

  test('scaling down ends the not ready first, then those on crowded nodes, then the newest', () => {
    const sim = settled(new Sim(replicas(5)));
    expect(sim.where()).toBe('1@n1 2@n2 3@n3 4@n1 5@n2');
    sim.setStatus(sim.live(2)[0]!, { ready: false });
    sim.apply(replicas(2));
    expect(describePlan(sim.reconcile())).toBe('drain p2: scaled down\ndrain p4: scaled down\ndrain p5: scaled down');
    sim.settle();
    expect(sim.where()).toBe('1@n1 3@n3');
    sim.apply(replicas(3));
    sim.settle();
    expect(sim.where()).toBe('1@n1 2@n2 3@n3');
  });

  test('scaling up again does not wait for the ones that leave', () => {
    const sim = settled(new Sim(replicas(2)));
    sim.apply(replicas(1));
    sim.step();
    sim.apply(replicas(2));
    expect(describePlan(sim.reconcile())).toBe('create 2 (r1)');
  });

  test('pods that were never placed are simply deleted', () => {
    const sim = new Sim(replicas(2, { where: ['type==nowhere'] }));
    sim.step();
    sim.apply(replicas(0, { where: ['type==nowhere'] }));
    expect(describePlan(sim.reconcile())).toBe('delete p1: scaled down\ndelete p2: scaled down');
  });

  test('a node that goes down: replaced in the same pass; back, the old pod is stopped and forgotten', () => {
    const sim = settled(new Sim(replicas(3)));
    sim.change(2, { state: 'unknown' });
    expect(describePlan(sim.reconcile())).toBe('nothing to do');
    sim.change(2, { state: 'down' });
    expect(describePlan(sim.reconcile())).toBe('stop p2: node node-2 is down\ncreate 2 (r1)');
    sim.settle();
    expect(sim.where()).toBe('1@n1 2@n1 3@n3');
    expect(sim.pods.get('p2')).toMatchObject({ desired: 'stopped', reason: 'node node-2 is down' });
    sim.change(2, { state: 'ready' });
    sim.settle();
    expect(sim.pods.has('p2')).toBe(false);
    expect(sim.live()).toHaveLength(3);
  });

  test('a node that leaves the cluster takes its records along', () => {
    const sim = settled(new Sim(replicas(3)));
    sim.nodes.delete('n2');
    expect(describePlan(sim.reconcile())).toBe('delete p2: its node left the cluster\ncreate 2 (r1)');
  });

  test('changed constraints and drained nodes: one at a time, and nothing goes before its successor is ready with start-first', () => {
    const sim = settled(new Sim(replicas(4, { update: { order: 'start-first' } }), 2));
    sim.change(2, { availability: 'drain' });
    let least = 4;
    sim.settle(400, () => {
      least = Math.min(least, sim.ready().length);
    });
    expect(least).toBe(4);
    expect(sim.where()).toBe('1@n1 2@n1 3@n1 4@n1');
    expect(history(sim)).toEqual(['create 2 (r1)', 'drain p2: node node-2 is drained\ncreate 4 (r1)', 'drain p4: node node-2 is drained']);
  });

  test('stop-first moves one at a time too', () => {
    const sim = settled(new Sim(replicas(4), 2));
    sim.change(1, { labels: { type: 'a' } });
    sim.apply(replicas(4, { where: ['type==a'] }));
    let least = 4;
    sim.settle(400, () => {
      least = Math.min(least, sim.ready().length);
    });
    expect(least).toBe(3);
    expect(history(sim)[0]).toBe('drain p2: node-2 does not satisfy type==a any more');
    expect(sim.where()).toBe('1@n1 2@n1 3@n1 4@n1');
  });

  test('soft constraints move nobody; a paused node keeps its pods', () => {
    const sim = settled(new Sim(replicas(2), 2));
    sim.change(1, { availability: 'pause' });
    sim.apply(replicas(2, { where: ['type==~a'] }));
    expect(describePlan(sim.reconcile())).toBe('nothing to do');
    sim.apply(replicas(2, { where: ['type==a'] }));
    expect(describePlan(sim.reconcile())).toBe('drain p2: node-2 does not satisfy type==a any more');
  });

  test('a pod that crashes for ever does not keep a node from being drained', () => {
    const sim = new Sim(replicas(3));
    sim.behaviour = (pod) => (pod.slot === 3 ? 'crash' : 'serve');
    for (let i = 0; i < 8; i++) sim.step();
    sim.change(1, { availability: 'drain' });
    for (let i = 0; i < 20; i++) sim.step();
    expect(sim.live().map((pod) => pod.node)).not.toContain('n1');
  });

  test('two pods in one slot: the better stays', () => {
    const sim = settled(new Sim(replicas(1)));
    sim.add(makePod('twin', { slot: 1, node: 'n2', createdAt: 1 }), { phase: 'starting' });
    expect(describePlan(sim.reconcile())).toBe('drain twin: another pod has its slot');
  });
});

describe('ended pods', () => {
  test.each([
    ['none', 0, 'fail', 'nothing to do'],
    ['none', 0, 'succeed', 'nothing to do'],
    ['on-failure', 0, 'succeed', 'nothing to do'],
    ['on-failure', 3, 'fail', 'nothing to do'],
    ['any', 3, 'fail', 'nothing to do'],
    ['any', 3, 'succeed', 'nothing to do'],
    ['on-failure', 0, 'fail', 'create 1 (r1)'],
    ['any', 0, 'succeed', 'create 1 (r1)'],
    ['unless-stopped', 0, 'fail', 'create 1 (r1)'],
  ] as const)('restart %s, at most %i attempts, pods that %s: %s', (condition, maxAttempts, fate, expected) => {
    const sim = new Sim(replicas(1, { template: { restart: { condition, delayMs: 100, maxAttempts, windowMs: 0 } } }));
    sim.behaviour = () => fate;
    for (let i = 0; i < 3; i++) sim.step();
    sim.reconcile();
    sim.now += 200;
    expect(describePlan({ ...sim.reconcile(), wakeAt: null })).toBe(expected);
  });

  test('attempts wait longer and longer, and five are kept', () => {
    const sim = new Sim(replicas(1));
    sim.behaviour = () => 'fail';
    const created: number[] = [];
    for (let i = 0; i < 1000; i++) if (sim.step().actions.some((action) => action.kind === 'create')) created.push(sim.now);
    const gaps = created.slice(1).map((at, index) => at - created[index]!);
    expect(gaps.slice(0, 4)).toEqual([300, 600, 1800, 6600]);
    expect(Math.max(...gaps)).toBeLessThanOrEqual(60_000);
    expect([...sim.pods.values()].filter((pod) => sim.statuses.get(pod.id)?.phase === 'failed')).toHaveLength(5);
  });

  test('a one-shot whose node is lost is not run twice; one that never began is', () => {
    const once = replicas(1, { template: { restart: { condition: 'none', delayMs: 0, maxAttempts: 0, windowMs: 0 } } });
    const sim = settled(new Sim(once));
    sim.change(1, { state: 'down' });
    expect(describePlan(sim.reconcile())).toBe('nothing to do');
    const early = new Sim(once);
    early.reconcile();
    early.schedule();
    early.change(1, { state: 'down' });
    expect(describePlan(early.reconcile())).toBe('stop p1: node node-1 is down\ncreate 1 (r1)');
  });

  test('reschedule:off: a pod whose node is lost waits for it; once the node has left the cluster it is replaced', () => {
    const stay = replicas(2, { placement: { reschedule: 'off' } });
    const sim = settled(new Sim(stay));
    sim.change(1, { state: 'down' });
    expect(describePlan(sim.reconcile())).toBe('nothing to do');
    sim.settle();
    expect(sim.where()).toBe('2@n2');
    sim.change(1, { state: 'ready' });
    expect(describePlan(sim.reconcile())).toBe('nothing to do');
    expect(sim.where()).toBe('1@n1 2@n2');
    sim.nodes.delete('n1');
    sim.settle();
    expect(sim.where()).not.toContain('n1');
    expect(sim.where()).toMatch(/^1@n[23] 2@n2$/);
  });

  test.each([['any', 3, 'create 1 (r1)'], ['on-failure', 3, 'create 1 (r1)'], ['none', 0, 'nothing to do']] as const)(
    'a pod that its own node has lost, restart %s, at most %i attempts: %s', (condition, maxAttempts, expected) => {
      const sim = settled(new Sim(replicas(1, { template: { restart: { condition, delayMs: 100, maxAttempts, windowMs: 0 } } })));
      sim.setStatus(sim.live(1)[0]!, { phase: 'lost', ready: false });
      expect(describePlan(sim.reconcile())).toBe(expected);
    },
  );

  test('a slot whose pod is lost is not taken for a free one', () => {
    const sim = settled(new Sim(replicas(3)));
    sim.setStatus(sim.live(2)[0]!, { ready: false });
    sim.apply(replicas(2));
    sim.settle();
    expect(sim.where()).toBe('1@n1 3@n3');
    sim.change(3, { state: 'down' });
    expect(describePlan(sim.reconcile())).toBe('stop p3: node node-3 is down\ncreate 3 (r1)');
  });

  test('a new revision runs one-shots again', () => {
    const sim = new Sim(replicas(1, { template: { restart: { condition: 'none', delayMs: 0, maxAttempts: 0, windowMs: 0 } } }));
    sim.behaviour = () => 'succeed';
    settled(sim);
    sim.apply(sim.service.spec, 'r2');
    sim.settle();
    expect(history(sim)).toEqual(['create 1 (r2)']);
    expect(sim.update).toEqual({ state: 'completed', message: '1 of 1 updated' });
  });
});

describe('global', () => {
  test('one pod on every node that fits, also on nodes that come later', () => {
    const sim = new Sim(global({ where: ['type!=odd'] }));
    sim.change(3, { labels: { type: 'odd' } });
    sim.settle();
    expect(sim.where()).toBe('n1@n1 n2@n2');
    sim.setNode(makeNode(4));
    sim.change(3, { labels: {} });
    sim.settle();
    expect(sim.ready().map((pod) => String(pod.slot)).sort()).toEqual(['n1', 'n2', 'n3', 'n4']);
  });

  test('drained: ended; down: told to stop and made again only there', () => {
    const sim = settled(new Sim(global()));
    sim.change(1, { availability: 'drain' });
    sim.change(2, { state: 'down' });
    expect(describePlan(sim.reconcile()).split('\n').sort()).toEqual(['drain p1: node node-1 is drained', 'stop p2: node node-2 is down']);
    sim.settle();
    expect(sim.where()).toBe('n3@n3');
    sim.change(2, { state: 'ready' });
    sim.settle();
    expect(sim.where()).toBe('n2@n2 n3@n3');
  });

  test('a node that is away does not hold up an update', () => {
    const sim = settled(new Sim(global({ update: { monitorMs: 0 } })));
    sim.change(2, { state: 'down' });
    sim.apply(global({ update: { monitorMs: 0 } }), 'r2');
    sim.settle();
    expect(sim.update.state).toBe('completed');
    expect(sim.ready().map((pod) => pod.revision)).toEqual(['r2', 'r2']);
  });

  test('a paused node keeps its pod and gets none', () => {
    const sim = new Sim(global());
    sim.change(3, { availability: 'pause' });
    sim.settle();
    expect(sim.where()).toBe('n1@n1 n2@n2');
    sim.change(1, { availability: 'pause' });
    sim.settle();
    expect(sim.where()).toBe('n1@n1 n2@n2');
  });

  test('becoming replicated ends pods of the old kind', () => {
    const sim = settled(new Sim(global()));
    sim.apply(replicas(2));
    sim.settle();
    expect(sim.live().map((pod) => String(pod.slot)).sort()).toEqual(['1', '2']);
  });
});

describe('jobs', () => {
  const job = (completions: number, concurrency: number, changes: SpecChanges = {}) => makeSpec({ mode: { kind: 'replicated-job', completions, concurrency }, ...changes });

  test('runs to its completions, so many at a time, and is done', () => {
    const sim = new Sim(job(5, 2));
    sim.behaviour = () => 'succeed';
    let most = 0;
    sim.settle(400, () => {
      most = Math.max(most, sim.live().length);
    });
    expect(most).toBe(2);
    expect([...sim.statuses.values()].filter((status) => status.phase === 'succeeded')).toHaveLength(5);
    sim.plans.length = 0;
    sim.settle();
    expect(sim.plans).toEqual([]);
  });

  test('a lost run is made up for, a failed one only if the policy says so', () => {
    const sim = new Sim(job(2, 0, { template: { restart: { condition: 'on-failure', delayMs: 0, maxAttempts: 2, windowMs: 0 } } }));
    sim.behaviour = (pod) => (pod.slot === 1 ? 'fail' : 'serve');
    settled(sim);
    const { node } = sim.live(2)[0]!;
    sim.change(Number(node?.slice(1)), { state: 'down' });
    sim.settle();
    expect(history(sim)).toEqual([`stop p2: node node-${node?.slice(1)} is down\ncreate 2 (r1)`]);
  });

  test('a new revision is a new run, after the old one has ended', () => {
    const sim = new Sim(job(1, 1));
    settled(sim);
    sim.apply(job(1, 1), 'r2');
    sim.behaviour = (pod) => (pod.revision === 'r2' ? 'succeed' : 'serve');
    sim.settle();
    expect(history(sim)).toEqual(['drain p1: updated', 'create 1 (r2)']);
    sim.plans.length = 0;
    sim.apply(job(1, 1), 'r3');
    sim.settle();
    expect(history(sim)).toEqual(['create 1 (r3)']);
  });

  test('global jobs run once on every node', () => {
    const sim = new Sim(makeSpec({ mode: { kind: 'global-job' } }));
    sim.behaviour = () => 'succeed';
    sim.settle();
    sim.setNode(makeNode(4));
    sim.settle();
    expect([...sim.pods.values()].map((pod) => String(pod.slot)).sort()).toEqual(['n1', 'n2', 'n3', 'n4']);
  });
});

test('pods of a removed service are drained, deleted, or told to stop', () => {
  const sim = settled(new Sim(replicas(4), 3));
  sim.add(makePod('ended', { slot: 9, node: 'n1' }), { phase: 'failed' });
  sim.add(makePod('floating', { slot: 8 }));
  sim.change(2, { state: 'down' });
  sim.nodes.delete('n3');
  const actions = reconcileRemoved({ pods: [...sim.pods.values()], statuses: sim.statuses, nodes: sim.nodes });
  expect(describePlan({ actions, update: null, rollback: null, wakeAt: null })).toBe([
    'delete ended: service removed', 'delete floating: service removed', 'drain p1: service removed', 'stop p2: node node-2 is down', 'delete p3: its node left the cluster', 'drain p4: service removed',
  ].join('\n'));
});

test('the order of pods does not matter', () => {
  const sim = settled(new Sim(replicas(5)));
  sim.apply(replicas(2), 'r2');
  const input = sim.input();
  expect(reconcileService({ ...input, pods: input.pods.toReversed() })).toEqual(reconcileService(input));
});
