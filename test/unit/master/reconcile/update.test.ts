import { describe, expect, test } from 'vitest';
import { describePlan } from '../../../../master/reconcile/ops.ts';
import { makeSpec, type SpecChanges } from '../scheduler/make.ts';
import { Sim } from './sim.ts';

const service = (count: number, update: SpecChanges['update'] = {}, changes: SpecChanges = {}) => makeSpec({
  mode: { kind: 'replicated', replicas: count }, ...changes, update: { monitorMs: 1000, ...update }, rollback: { parallelism: 0, delayMs: 0, order: 'stop-first', failureAction: 'pause', monitorMs: 500, maxFailureRatio: 0 },
});

interface Watch {
  /** Fewest ready pods and most live pods at any step. */
  readonly least: number;
  readonly most: number;
  readonly history: readonly string[];
}

function roll(sim: Sim, until?: () => boolean): Watch {
  let least = sim.ready().length;
  let most = sim.live().length;
  sim.plans.length = 0;
  const check = () => {
    least = Math.min(least, sim.ready().length);
    most = Math.max(most, sim.live().length);
  };
  if (until) for (let i = 0; i < 300 && !until(); i++, check()) sim.step();
  else sim.settle(600, check);
  return { least, most, history: sim.plans.map((plan) => describePlan({ ...plan, update: null, wakeAt: null })) };
}

function deployed(count: number, update: SpecChanges['update'] = {}, changes: SpecChanges = {}): Sim {
  const sim = new Sim(service(count, update, changes));
  sim.settle();
  return sim;
}

describe('rolling update', () => {
  test('stop-first, one at a time: each waits for the end of the one before it and for its successor to be ready', () => {
    const sim = deployed(3);
    sim.apply(service(3), 'r2');
    expect(roll(sim)).toEqual({ least: 2, most: 3, history: ['drain p1: updated', 'create 1 (r2)', 'drain p2: updated', 'create 2 (r2)', 'drain p3: updated', 'create 3 (r2)'] });
    expect(sim.update).toEqual({ state: 'completed', message: '3 of 3 updated' });
  });

  test('start-first: never fewer ready than wanted, one more at most', () => {
    const sim = deployed(3, { order: 'start-first' });
    sim.apply(service(3, { order: 'start-first' }), 'r2');
    expect(roll(sim)).toEqual({
      least: 3, most: 4,
      history: ['create 1 (r2)', 'drain p1: updated\ncreate 2 (r2)', 'drain p2: updated\ncreate 3 (r2)', 'drain p3: updated'],
    });
  });

  test.each([[2, 4], [0, 0], [9, 0]])('parallelism %i', (parallelism, least) => {
    const sim = deployed(6, { parallelism });
    sim.apply(service(6, { parallelism }), 'r2');
    expect(roll(sim).least).toBe(least);
    expect(sim.ready().every((pod) => pod.revision === 'r2')).toBe(true);
  });

  test('the delay passes between one being ready and the next going', () => {
    const sim = deployed(2, { delayMs: 5000 });
    sim.apply(service(2, { delayMs: 5000 }), 'r2');
    roll(sim, () => sim.ready().some((pod) => pod.revision === 'r2'));
    const ready = sim.now;
    const wake = sim.step().wakeAt;
    expect(wake).not.toBeNull();
    sim.plans.length = 0;
    roll(sim, () => sim.plans.length > 0);
    expect(sim.now - ready).toBeGreaterThanOrEqual(5000);
    expect(sim.now).toBe(wake);
  });

  test('host ports are given up before they are taken again, whatever the order says', () => {
    const ports = [{ target: 80, published: 80, protocol: 'tcp', mode: 'host' }] as const;
    const sim = deployed(3, { order: 'start-first' }, { ports });
    sim.apply(service(3, { order: 'start-first' }, { ports }), 'r2');
    expect(roll(sim).history[0]).toBe('drain p1: updated');
    expect(sim.ready().map((pod) => pod.revision)).toEqual(['r2', 'r2', 'r2']);
  });

  test('a limit of one per node does not lock up a start-first update', () => {
    const placement = { maxPerNode: 1 };
    const sim = deployed(3, { order: 'start-first' }, { placement });
    sim.apply(service(3, { order: 'start-first' }, { placement }), 'r2');
    expect(roll(sim).least).toBe(3);
    expect(sim.update.state).toBe('completed');
  });

  test('a pod that never gets ready holds the update, and a newer revision gets past it', () => {
    const sim = deployed(3);
    sim.behaviour = (pod) => (pod.revision === 'r2' ? 'never ready' : 'serve');
    sim.apply(service(3), 'r2');
    roll(sim);
    expect(sim.update).toEqual({ state: 'updating', message: '0 of 3 updated, waiting for shop_web.1' });
    expect(sim.ready()).toHaveLength(2);
    sim.apply(service(3), 'r3');
    roll(sim);
    expect(sim.update.state).toBe('completed');
    expect(sim.ready().map((pod) => pod.revision)).toEqual(['r3', 'r3', 'r3']);
  });

  test('scaling during an update', () => {
    const sim = deployed(4);
    sim.apply(service(4), 'r2');
    sim.step();
    sim.apply(service(6), 'r2');
    roll(sim);
    expect(sim.ready().map((pod) => pod.revision)).toEqual(Array.from({ length: 6 }, () => 'r2'));
    sim.apply(service(6), 'r3');
    sim.step();
    sim.apply(service(1), 'r3');
    roll(sim);
    expect(sim.ready().map((pod) => pod.revision)).toEqual(['r3']);
    expect(sim.update.state).toBe('completed');
  });

  test('it is completed only when the last pods were watched long enough', () => {
    const sim = deployed(1, { monitorMs: 30_000 });
    sim.apply(service(1, { monitorMs: 30_000 }), 'r2');
    roll(sim, () => sim.ready().some((pod) => pod.revision === 'r2'));
    const ready = sim.now;
    sim.step();
    expect(sim.update).toEqual({ state: 'updating', message: '1 of 1 updated, watching' });
    roll(sim, () => sim.update.state === 'completed');
    expect(sim.now - ready).toBeGreaterThanOrEqual(30_000);
  });

  test('a node that goes down in the middle', () => {
    const sim = deployed(3);
    sim.apply(service(3), 'r2');
    sim.step();
    sim.change(3, { state: 'down' });
    roll(sim);
    expect(sim.ready().map((pod) => pod.revision)).toEqual(['r2', 'r2', 'r2']);
  });
});

describe('failure', () => {
  const bad = (sim: Sim) => {
    sim.behaviour = (pod) => (pod.revision === 'r2' ? 'crash' : 'serve');
  };

  test('pause: the rest stays, and lost pods come back as they were', () => {
    const sim = deployed(4);
    bad(sim);
    sim.apply(service(4), 'r2');
    roll(sim, () => sim.update.state === 'paused');
    expect(sim.update).toEqual({ state: 'paused', message: 'shop_web.1 failed: exit code 1' });
    expect(sim.ready()).toHaveLength(3);
    const [pod] = sim.live(2);
    sim.change(Number(pod?.node?.slice(1)), { state: 'down' });
    roll(sim, () => sim.ready().length === 3 && sim.live(2)[0]?.node !== pod?.node);
    expect(sim.live(2)[0]?.revision).toBe('r1');
  });

  test('pause with start-first loses nothing', () => {
    const sim = deployed(3, { order: 'start-first' });
    bad(sim);
    sim.apply(service(3, { order: 'start-first' }), 'r2');
    expect(roll(sim)).toEqual({ least: 3, most: 4, history: ['create 1 (r2)', 'drain p4: another pod has its slot'] });
  });

  test('a new revision gets a paused update going again', () => {
    const sim = deployed(3);
    bad(sim);
    sim.apply(service(3), 'r2');
    roll(sim, () => sim.update.state === 'paused');
    sim.apply(service(3), 'r3');
    roll(sim);
    expect(sim.update.state).toBe('completed');
    expect(sim.ready().map((pod) => pod.revision)).toEqual(['r3', 'r3', 'r3']);
  });

  test('rollback: back to the revision before, by the settings of the rollback; how many there are stays', () => {
    const sim = deployed(4, { failureAction: 'rollback' });
    bad(sim);
    sim.apply(service(5, { failureAction: 'rollback' }), 'r2');
    const watch = roll(sim);
    expect(sim.update).toEqual({ state: 'rolled-back', message: '5 of 5 updated' });
    expect(sim.service).toMatchObject({ revision: 'r1', previous: 'r2', spec: { mode: { replicas: 5 } } });
    expect(sim.ready().map((pod) => pod.revision)).toEqual(Array.from({ length: 5 }, () => 'r1'));
    expect(watch.history).toContain('roll back to r1');
    expect(watch.least).toBeGreaterThanOrEqual(3);
  });

  test('rollback with nothing to go back to pauses; a rollback that fails pauses too', () => {
    const first = new Sim(service(2, { failureAction: 'rollback' }));
    first.update = { state: 'updating', message: '' };
    first.behaviour = () => 'crash';
    roll(first, () => first.update.state === 'paused');
    expect(first.update.message).toBe('shop_web.1 failed: exit code 1; there is no earlier revision to go back to');

    const sim = deployed(2, { failureAction: 'rollback' });
    sim.behaviour = (pod) => (pod.createdAt > 1500 ? 'crash' : 'serve');
    sim.now = 2000;
    sim.apply(service(2, { failureAction: 'rollback' }), 'r2');
    roll(sim, () => sim.update.state === 'paused');
    expect(sim.service.revision).toBe('r1');
    expect(sim.update.state).toBe('paused');
    expect(sim.ready()).toHaveLength(1);
  });

  test('continue goes on', () => {
    const sim = deployed(3, { failureAction: 'continue' });
    let crashes = 0;
    sim.behaviour = (pod) => (pod.revision === 'r2' && crashes++ < 2 ? 'crash' : 'serve');
    sim.apply(service(3, { failureAction: 'continue' }), 'r2');
    roll(sim);
    expect(sim.update.state).toBe('completed');
  });

  test('up to the ratio failures are borne', () => {
    const sim = deployed(4, { maxFailureRatio: 0.25 });
    let crashes = 0;
    sim.behaviour = (pod) => (pod.revision === 'r2' && pod.slot === 1 && crashes++ < 2 ? 'crash' : 'serve');
    sim.apply(service(4, { maxFailureRatio: 0.25 }), 'r2');
    roll(sim);
    expect(sim.update.state).toBe('completed');
  });

  test('a crash long before the update is no failure of it', () => {
    const sim = new Sim(service(2));
    let crashes = 0;
    sim.behaviour = (pod) => (pod.slot === 1 && crashes++ < 2 ? 'crash' : 'serve');
    sim.settle();
    sim.update = { state: 'updating', message: '' };
    roll(sim);
    expect(sim.update.state).toBe('completed');
  });

  test('a failure after the watch is over pauses nothing', () => {
    const sim = deployed(2, { monitorMs: 300, delayMs: 5000 });
    sim.apply(service(2, { monitorMs: 300, delayMs: 5000 }), 'r2');
    roll(sim, () => sim.ready().some((pod) => pod.revision === 'r2'));
    const ready = sim.now;
    sim.behaviour = (pod) => (pod.revision === 'r2' && sim.now > ready + 1000 && sim.now < ready + 1500 ? 'crash' : 'serve');
    roll(sim);
    expect(sim.update.state).toBe('completed');
  });
});
