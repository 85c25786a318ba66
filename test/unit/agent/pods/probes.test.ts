import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { afterProbe, newProbe, verdictOf } from '../../../../agent/pods/step/probe.ts';
import type { Which } from '../../../../agent/pods/step/types.ts';
import type { ContainerSpec, PodTemplate, Probe } from '../../../../model/spec.ts';
import { assignment, containerSpec } from './specs.ts';
import { World } from './world.ts';

const probe = (over: Partial<Probe> = {}): Probe => ({ ask: { kind: 'tcp', port: 80 }, initialDelayMs: 0, periodMs: 1000, timeoutMs: 500, successThreshold: 1, failureThreshold: 3, ...over });
const pod = (over: Partial<ContainerSpec>, template: Partial<PodTemplate> = {}) => new World(assignment('p1', { template: { containers: [containerSpec(over)], stopGraceMs: 0, ...template } }));

/** Answers by kind, changed as a test goes on; when and what was asked. */
function answering(world: World, well: Partial<Record<Which, boolean>>): { readonly well: Partial<Record<Which, boolean>>; readonly asked: [Which, number][] } {
  const asked: [Which, number][] = [];
  const begun = world.now;
  world.check = ({ which }) => (asked.push([which, world.now - begun]), { passed: well[which] === true, output: well[which] === true ? '' : `${which} no` });
  return { well, asked };
}
const times = (asked: readonly [Which, number][], which: Which) => asked.filter(([kind]) => kind === which).map(([, at]) => at);

describe('readiness', () => {
  test('is asked at once and early on, then once per period; the pod is ready when it passes, and not when it fails', () => {
    const world = pod({ readinessProbe: probe() });
    const { well, asked } = answering(world, { readiness: false });
    expect(world.settle().status).toMatchObject({ phase: 'running', ready: false, message: 'readiness probe has not passed yet: readiness no' });
    world.pass(3000);
    expect(times(asked, 'readiness')).toEqual([0, 200, 400, 800, 1000, 2000, 3000]);
    well.readiness = true;
    expect(world.pass(1000).status).toMatchObject({ ready: true, message: '' });
    well.readiness = false;
    world.pass(2000);
    expect(world.last?.status.ready).toBe(true);
    expect(world.pass(1000).status).toMatchObject({ ready: false, message: 'not ready: readiness no', phase: 'running' });
    // It never ends anything.
    world.pass(60_000);
    expect(world.running()).toEqual(['p1.main.1']);
    well.readiness = true;
    expect(world.pass(1000).status.ready).toBe(true);
  });

  test('so many in a row decide', () => {
    const world = pod({ readinessProbe: probe({ successThreshold: 3, initialDelayMs: 500 }) });
    const { asked } = answering(world, { readiness: true });
    world.pass(2499);
    expect(world.last?.status.ready).toBe(false);
    expect(world.pass(1).status.ready).toBe(true);
    expect(times(asked, 'readiness')).toEqual([500, 1500, 2500]);
  });

  test('and the health check both must hold', () => {
    const healthcheck = { test: { kind: 'shell', command: 'x' }, intervalMs: 1000, timeoutMs: 500, retries: 9, startPeriodMs: 0, startIntervalMs: 0 } as const;
    const world = pod({ readinessProbe: probe(), healthcheck });
    const { well } = answering(world, { readiness: true, health: false });
    expect(world.pass(1000).status.ready).toBe(false);
    well.health = true;
    expect(world.pass(1000).status.ready).toBe(true);
    well.readiness = false;
    expect(world.pass(3000).status.ready).toBe(false);
  });

  test('an adopted container stays as it was until it is asked', () => {
    const world = pod({ readinessProbe: probe({ initialDelayMs: 5000 }) });
    const { well } = answering(world, { readiness: true });
    world.pass(5000);
    world.restartAgent();
    expect(world.settle().status.ready).toBe(true);
    well.readiness = false;
    world.pass(7000);
    expect(world.last?.status.ready).toBe(false);
  });
});

describe('liveness', () => {
  test('fails so many times in a row, and the container is restarted with the reason kept', () => {
    const world = pod({ livenessProbe: probe({ initialDelayMs: 2000 }) });
    const { well, asked } = answering(world, { liveness: true });
    world.pass(5000);
    expect(times(asked, 'liveness')).toEqual([2000, 3000, 4000, 5000]);
    well.liveness = false;
    world.pass(2000);
    well.liveness = true;
    world.pass(1000);
    well.liveness = false;
    world.pass(2999);
    expect(world.running()).toEqual(['p1.main.1']);
    world.pass(1);
    expect(world.local.containers['main']?.ended).toMatchObject([{ failed: true, message: 'liveness probe failed: liveness no' }]);
    world.pass(100);
    expect(world.running()).toEqual(['p1.main.2']);
  });

  test('readiness alone is told by it: a pod is ready that is not asked for readiness', () => {
    const world = pod({ livenessProbe: probe({ initialDelayMs: 60_000 }) });
    answering(world, {});
    expect(world.settle().status.ready).toBe(true);
  });

  test('a question that could not be asked says nothing', () => {
    const world = pod({ livenessProbe: probe({ failureThreshold: 1 }) });
    world.check = () => null;
    world.pass(10_000);
    expect(world.running()).toEqual(['p1.main.1']);
  });
});

describe('startup', () => {
  test('until it has passed nothing else is asked', () => {
    const world = pod({ startupProbe: probe({ failureThreshold: 30 }), readinessProbe: probe(), livenessProbe: probe({ failureThreshold: 1 }) });
    const { well, asked } = answering(world, { readiness: true, liveness: true });
    expect(world.pass(20_000).status).toMatchObject({ phase: 'running', ready: false, message: 'startup probe has not passed yet: startup no' });
    expect(asked.every(([which]) => which === 'startup')).toBe(true);
    well.startup = true;
    expect(world.pass(1000).status.ready).toBe(true);
    const count = times(asked, 'startup').length;
    world.pass(10_000);
    expect(times(asked, 'startup')).toHaveLength(count);
    // An agent that comes later does not ask again what has been answered for good.
    world.restartAgent();
    world.pass(1000);
    expect(times(asked, 'startup')).toHaveLength(count);
  });

  test('a container has so many periods to start, not less for being asked early', () => {
    const world = pod({ startupProbe: probe({ failureThreshold: 3, initialDelayMs: 1000 }) });
    const { asked } = answering(world, {});
    world.pass(2999);
    expect(world.running()).toEqual(['p1.main.1']);
    world.pass(1);
    expect(times(asked, 'startup')).toEqual([1000, 1200, 1400, 1800, 2000, 3000]);
    expect(world.local.containers['main']?.ended[0]).toMatchObject({ message: 'startup probe failed: startup no' });
  });
});

describe('the state machine', () => {
  const kinds = fc.constantFrom('startup' as const, 'readiness' as const, 'liveness' as const);
  const probes = fc.record({ initialDelayMs: fc.nat(5000), periodMs: fc.integer({ min: 1, max: 5000 }), timeoutMs: fc.integer({ min: 1, max: 2000 }), successThreshold: fc.nat(4), failureThreshold: fc.nat(4) });

  test('never asks before it is due nor twice at a time, decides as Kubernetes would, no sooner', () => {
    fc.assert(
      fc.property(kinds, probes, fc.array(fc.record({ passed: fc.boolean(), tookMs: fc.nat(3000) }), { maxLength: 60 }), (kind, over, answers) => {
        const asked = probe(over);
        let state = newProbe(asked, 0, 0);
        expect(state.due).toBe(over.initialDelayMs);
        let now = 0;
        /** What asking once per period alone would have found. */
        let plain = { fails: 0, lastAt: -Infinity };
        for (const { passed, tookMs } of answers) {
          const before = state.askedAt;
          now = Math.max(now, state.due);
          state = { ...state, running: true, askedAt: now };
          if (before !== state.since || now !== state.since) expect(now).toBeGreaterThan(before - 1);
          if (passed) plain = { fails: 0, lastAt: now };
          else if (now - plain.lastAt >= asked.periodMs) plain = { fails: plain.fails + 1, lastAt: now };
          now += tookMs;
          state = afterProbe(state, asked, kind, { passed, output: '' }, now);
          expect(state.running).toBe(false);
          expect(state.due).toBeGreaterThanOrEqual(now);
          expect(state.due - now).toBeLessThanOrEqual(Math.max(asked.periodMs, 1));
          if (passed) expect(state.failures).toBe(0);
          else expect(state.successes).toBe(0);
          const verdict = verdictOf(state, asked);
          if (verdict === 'passing') expect(passed).toBe(true);
          if (verdict === 'failing') expect(passed).toBe(false);
          // A startup probe gives a container its full time.
          if (kind === 'startup' && !state.passed && verdict === 'failing') expect(plain.fails).toBeGreaterThanOrEqual(Math.max(1, asked.failureThreshold));
        }
      }),
      { numRuns: 500 },
    );
  });
});
