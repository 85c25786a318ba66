/** Whole lives of services as the sequence of their plans. */
import { expect, test } from 'vitest';
import { describePlan } from '../../../../master/reconcile/ops.ts';
import { Sim } from '../../../unit/master/reconcile/sim.ts';
import { makeSpec } from '../../../unit/master/scheduler/make.ts';

function tell(sim: Sim, what: string): string {
  sim.plans.length = 0;
  sim.settle();
  const steps = sim.plans.map((plan) => describePlan({ ...plan, wakeAt: null }).replaceAll('\n', '\n    '));
  return `${what}\n${steps.map((step) => `  - ${step}`).join('\n')}\n  = ${sim.where()} [${sim.update.state}${sim.update.message === '' ? '' : `: ${sim.update.message}`}]`;
}

test('a service from its first to its last day', () => {
  const spec = makeSpec({ mode: { kind: 'replicated', replicas: 3 }, update: { order: 'start-first', failureAction: 'rollback', monitorMs: 1000 } });
  const sim = new Sim(spec);
  const story: string[] = [tell(sim, 'applied with 3 replicas')];
  sim.change(2, { state: 'down' });
  story.push(tell(sim, 'node-2 goes down'));
  sim.change(2, { state: 'ready' });
  story.push(tell(sim, 'node-2 comes back'));
  sim.apply(spec, 'r2');
  story.push(tell(sim, 'updated to r2'));
  sim.behaviour = (pod) => (pod.revision === 'r3' ? 'crash' : 'serve');
  sim.apply(spec, 'r3');
  story.push(tell(sim, 'updated to r3, which crashes'));
  sim.change(1, { availability: 'drain' });
  story.push(tell(sim, 'node-1 is drained'));
  sim.apply({ ...sim.service.spec, mode: { kind: 'replicated', replicas: 1 } }, 'r2');
  story.push(tell(sim, 'scaled to 1'));
  expect(story.join('\n')).toMatchInlineSnapshot(`
    "applied with 3 replicas
      - create 1 (r1)
        create 2 (r1)
        create 3 (r1)
      = 1@n1 2@n2 3@n3 [none]
    node-2 goes down
      - stop p2: node node-2 is down
        create 2 (r1)
      = 1@n1 2@n1 3@n3 [none]
    node-2 comes back

      = 1@n1 2@n1 3@n3 [none]
    updated to r2
      - create 1 (r2)
        update: updating (0 of 3 updated)
      - drain p1: updated
        create 2 (r2)
        update: updating (0 of 3 updated)
      - drain p4: updated
        create 3 (r2)
        update: updating (1 of 3 updated)
      - drain p3: updated
        update: updating (2 of 3 updated)
      = 1@n2 2@n3 3@n1 [completed: 3 of 3 updated]
    updated to r3, which crashes
      - create 1 (r3)
        update: updating (0 of 3 updated)
      - update: rolling-back (shop_web.1 failed: exit code 1)
        roll back to r2
      - drain p8: updated
        update: rolling-back (2 of 3 updated)
      = 1@n2 2@n3 3@n1 [rolled-back: 3 of 3 updated]
    node-1 is drained
      - create 3 (r2)
      - drain p7: node node-1 is drained
      = 1@n2 2@n3 3@n2 [rolled-back: 3 of 3 updated]
    scaled to 1
      - drain p6: scaled down
        drain p9: scaled down
      = 1@n2 [rolled-back: 3 of 3 updated]"
  `);
});

test('a job', () => {
  const sim = new Sim(makeSpec({ mode: { kind: 'replicated-job', completions: 3, concurrency: 2 } }));
  sim.behaviour = () => 'succeed';
  const story = [tell(sim, 'three completions, two at a time')];
  sim.apply(sim.service.spec, 'r2');
  story.push(tell(sim, 'run again'));
  expect(story.join('\n')).toMatchInlineSnapshot(`
    "three completions, two at a time
      - create 1 (r1)
        create 2 (r1)
      - create 3 (r1)
      =  [none]
    run again
      - create 1 (r2)
        create 2 (r2)
        update: completed (a new run)
      - create 3 (r2)
      =  [completed: a new run]"
  `);
});
