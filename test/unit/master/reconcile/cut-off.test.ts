/** Pods that stop by themselves on hosts that are cut off: nothing takes their place before they must have. */
import { describe, expect, test } from 'vitest';
import { describePlan } from '../../../../master/reconcile/ops.ts';
import { reconcileService } from '../../../../master/reconcile/reconcile.ts';
import type { ServicePlan } from '../../../../master/reconcile/plan.ts';
import { overAfterMs } from '../../../../model/disconnect.ts';
import type { ServiceSpec } from '../../../../model/spec.ts';
import { makeSpec, type SpecChanges } from '../scheduler/make.ts';
import { Sim } from './sim.ts';

const stopping = (changes: SpecChanges = {}): ServiceSpec => {
  const spec = makeSpec({ mode: { kind: 'replicated', replicas: 2 }, ...changes });
  return { ...spec, template: { ...spec.template, stopGraceMs: 1000, onDisconnect: { stopAfterMs: 30_000 } } };
};
/** after + grace + a second for the one container + slack. */
const over = 30_000 + 1000 + 1000 + 3000;

class CutOff extends Sim {
  lostAt: number | null = null;

  override input() {
    return { ...super.input(), lostAt: (node: string) => (node === 'n2' ? this.lostAt : null) };
  }

  cut(): void {
    this.lostAt = this.now;
    this.change(2, { state: 'down' });
  }

  at(ms: number): ServicePlan {
    this.now = (this.lostAt ?? 0) + ms;
    return reconcileService(this.input());
  }
}

function settled(spec = stopping()): CutOff {
  const sim = new CutOff(spec);
  sim.settle();
  sim.plans.length = 0;
  return sim;
}

test('how long a pod may run on', () => {
  const { template } = stopping();
  expect(overAfterMs(template)).toBe(over);
  expect(overAfterMs({ ...template, stopGraceMs: 10_000, initContainers: template.containers })).toBe(30_000 + 10_000 + 2 * 2000 + 3000);
  const { onDisconnect: _none, ...keeps } = template;
  expect(overAfterMs(keeps)).toBeUndefined();
});

describe('a service whose pods stop when cut off', () => {
  test('is not replaced before they must have ended, and is looked at again then', () => {
    const sim = settled();
    expect(sim.where()).toBe('1@n1 2@n2');
    sim.cut();
    const wait = sim.at(0);
    expect(describePlan({ ...wait, wakeAt: null })).toBe('nothing to do');
    expect(wait.wakeAt).toBe((sim.lostAt ?? 0) + over);
    expect(describePlan({ ...sim.at(over - 1), wakeAt: null })).toBe('nothing to do');
    expect(describePlan(sim.at(over))).toBe('stop p2: node node-2 is down\ncreate 2 (r1)');
  });

  test('goes on as it was when the host is back in time', () => {
    const sim = settled();
    sim.cut();
    sim.now += 20_000;
    sim.reconcile();
    sim.change(2, { state: 'ready' });
    sim.lostAt = null;
    sim.settle();
    expect(sim.plans).toEqual([]);
    expect(sim.where()).toBe('1@n1 2@n2');
  });

  test('is replaced at once when the agent told of its end, and when the node was removed', () => {
    const told = settled();
    told.setStatus(told.live(2)[0]!, { phase: 'lost', ready: false });
    expect(describePlan(told.reconcile())).toBe('create 2 (r1)');
    const removed = settled();
    removed.cut();
    removed.nodes.delete('n2');
    expect(describePlan(removed.at(1))).toBe('delete p2: its node left the cluster\ncreate 2 (r1)');
  });

  test('an update does not get ahead of one that was told to go just before the cut', () => {
    const sim = settled();
    sim.pods.set('p2', { ...sim.pods.get('p2')!, desired: 'stopped', reason: 'updated' });
    sim.cut();
    expect(describePlan({ ...sim.at(over - 1), wakeAt: null })).toBe('nothing to do');
    expect(describePlan(sim.at(over))).toBe('create 2 (r1)');
  });

  test('a job waits, too', () => {
    const sim = new CutOff(stopping({ mode: { kind: 'replicated-job', completions: 2, concurrency: 0 } }));
    sim.service = { ...sim.service, spec: { ...sim.service.spec, template: { ...sim.service.spec.template, restart: { ...sim.service.spec.template.restart, condition: 'on-failure' } } } };
    sim.revisions.set('r1', sim.service.spec);
    sim.behaviour = () => 'never ready';
    sim.settle();
    sim.cut();
    expect(describePlan({ ...sim.at(over - 1), wakeAt: null })).toBe('nothing to do');
    expect(describePlan(sim.at(over))).toBe('stop p2: node node-2 is down\ncreate 2 (r1)');
  });

  test('a global one is told to stop when its node is back, as ever: nothing can take its place elsewhere', () => {
    const sim = settled(stopping({ mode: { kind: 'global' } }));
    sim.cut();
    expect(describePlan({ ...sim.at(1), wakeAt: null })).toBe('stop p2: node node-2 is down');
  });
});

test('one whose pods run on is replaced at once', () => {
  const sim = settled(makeSpec({ mode: { kind: 'replicated', replicas: 2 } }));
  sim.cut();
  expect(describePlan(sim.at(0))).toBe('stop p2: node node-2 is down\ncreate 2 (r1)');
});
