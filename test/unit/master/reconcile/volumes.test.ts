/** Slots that keep data, and pods that leave for a volume that moves. */
import { describe, expect, test } from 'vitest';
import { describePlan } from '../../../../master/reconcile/ops.ts';
import { makeContainer, makeSpec, type SpecChanges } from '../scheduler/make.ts';
import { Sim } from './sim.ts';

const own = (changes: SpecChanges = {}, replicas = 3) => makeSpec({
  mode: { kind: 'replicated', replicas }, ...changes,
  template: { containers: [makeContainer({ mounts: [{ kind: 'volume', volume: 'data', target: '/data', readOnly: false, noCopy: false, perReplica: true }] })], ...changes.template },
});
const settled = (sim: Sim): Sim => {
  sim.settle();
  sim.plans.length = 0;
  return sim;
};

describe('slots that have volumes of their own', () => {
  test('the last go first, and come back as themselves', () => {
    const sim = settled(new Sim(own({}, 5)));
    sim.setStatus(sim.live(1)[0]!, { ready: false });
    sim.apply(own({}, 3));
    expect(describePlan(sim.reconcile())).toBe('drain p4: scaled down\ndrain p5: scaled down');
    sim.settle();
    sim.apply(own({}, 4));
    expect(describePlan(sim.reconcile())).toBe('create 4 (r1)');
  });

  test('two pods never have one slot\'s data: what leaves is waited for, whatever the update says', () => {
    const sim = settled(new Sim(own({}, 2)));
    sim.apply(own({}, 1));
    sim.step();
    sim.apply(own({}, 2));
    expect(describePlan(sim.reconcile())).toBe('nothing to do');
    sim.settle();
    expect(sim.where()).toBe('1@n1 2@n2');
    sim.apply(own({ update: { order: 'start-first' } }, 2), 'r2');
    expect(describePlan(sim.reconcile())).toMatch(/^drain p\d: updated/);
  });
});

describe('pods whose volume moves', () => {
  test.each([['stop-first'], ['start-first']] as const)('leave at once and together, %s or not; their successors are there and wait', (order) => {
    const sim = settled(new Sim(makeSpec({ mode: { kind: 'replicated', replicas: 3 }, update: { order, parallelism: 1 } })));
    sim.evicted = (pod) => (pod.node === 'n1' || pod.node === 'n2' ? 'its volume data moves to node-3' : null);
    const first = sim.reconcile();
    expect(first.actions.filter(({ kind }) => kind === 'drain')).toMatchObject([{ pod: 'p1', reason: 'its volume data moves to node-3' }, { pod: 'p2', reason: 'its volume data moves to node-3' }]);
    expect(sim.live(3)).toHaveLength(1);
    sim.evicted = () => null;
    sim.settle();
    expect(sim.where()).toMatch(/^1@n\d 2@n\d 3@n3$/);
    expect(sim.update.state).toBe('none');
  });

  test('jobs too: their run is done again', () => {
    const sim = new Sim(makeSpec({ mode: { kind: 'replicated-job', completions: 1, concurrency: 1 } }));
    sim.step();
    sim.step();
    sim.evicted = () => 'its volume data moves to node-3';
    expect(describePlan(sim.reconcile())).toBe('drain p1: its volume data moves to node-3');
    expect(describePlan(sim.reconcile())).toBe('nothing to do');
  });
});
