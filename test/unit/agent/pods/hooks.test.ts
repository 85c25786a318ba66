import { describe, expect, test } from 'vitest';
import type { ContainerSpec, Hook, PodTemplate } from '../../../../model/spec.ts';
import { assignment, containerSpec } from './specs.ts';
import { World } from './world.ts';

const hook = (command: string, over: Partial<Hook> = {}): Hook => ({ command: { kind: 'shell', command }, env: {}, privileged: false, ...over });
const pod = (over: Partial<ContainerSpec>, template: Partial<PodTemplate> = {}) => new World(assignment('p1', { template: { containers: [containerSpec(over)], stopGraceMs: 5000, ...template } }));
const done = (world: World) => world.done.flatMap((action) => (action.kind === 'hook' ? [`${action.at} ${action.index}`] : action.kind === 'signal' ? [action.signal] : action.kind === 'create' ? [`create ${action.attempt}`] : []));
const stop = (world: World) => {
  const { assignment: before } = world;
  if (before) world.assignment = { ...before, pod: { ...before.pod, desired: 'stopped' } };
};
const hung = (world: World) => {
  world.hook = () => 'later';
};
type HookAction = Parameters<World['hook']>[0];

describe('post_start', () => {
  const two = [hook('one'), hook('two', { user: 'web', privileged: true, workingDir: '/w', env: { A: 'b' } })];

  test('runs in order once the container runs; the pod is ready afterwards', () => {
    const world = pod({ postStart: two });
    const seen: HookAction[] = [];
    world.hook = (action) => (seen.push(action), 'later');
    expect(world.settle().status).toMatchObject({ phase: 'running', ready: false, message: 'running post_start hook 1/2' });
    world.answer(seen[0]!, { passed: true, output: '' });
    expect(world.settle().status).toMatchObject({ ready: false, message: 'running post_start hook 2/2' });
    expect(seen[1]).toMatchObject({ attempt: 1, hook: two[1] });
    world.answer(seen[1]!, { passed: true, output: '' });
    expect(world.settle().status).toMatchObject({ ready: true, message: '' });
    expect(done(world)).toEqual(['create 1', 'postStart 0', 'postStart 1']);
  });

  test('those of a container that others wait for are through before these begin', () => {
    const world = new World(assignment('p1', { template: { containers: [containerSpec({ name: 'web', after: [{ container: 'db', condition: 'service_started' }] }), containerSpec({ name: 'db', postStart: [hook('seed')] })] } }));
    hung(world);
    expect(world.settle().status.message).toBe('web is waiting for db: started');
  });

  test('a failure ends the attempt, says why, and counts as one', () => {
    const world = pod({ postStart: two });
    world.hook = ({ index }) => (index === 1 ? { passed: false, output: 'exit code 3: no such table' } : { passed: true, output: '' });
    world.pass(5000);
    expect(world.local.containers['main']?.ended[0]).toMatchObject({ failed: true, message: 'post_start hook 2 (two) failed: exit code 3: no such table' });
    expect(world.last?.status.message).toBe('post_start hook 2 (two) failed: exit code 3: no such table');
    expect(done(world).slice(0, 6)).toEqual(['create 1', 'postStart 0', 'postStart 1', 'SIGTERM', 'SIGKILL', 'create 2']);
  });

  test('with no restarts the pod has failed with it', () => {
    const world = pod({ postStart: [hook('one')] }, { restart: { condition: 'none', delayMs: 0, maxAttempts: 0, windowMs: 0 } });
    world.hook = () => ({ passed: false, output: 'exit code 1' });
    world.pass(5000);
    expect(world.last?.status).toMatchObject({ phase: 'failed', message: 'post_start hook (one) failed: exit code 1' });
  });

  test('each attempt runs them again, an agent that comes later goes on where it was', () => {
    const world = pod({ postStart: two });
    world.settle();
    world.restartAgent();
    world.settle();
    expect(done(world)).toEqual(['create 1', 'postStart 0', 'postStart 1']);
    world.exit('p1.main.1', 1);
    world.settle();
    expect(done(world)).toEqual(['create 1', 'postStart 0', 'postStart 1', 'create 2', 'postStart 0', 'postStart 1']);
  });

  test('a runtime that is away is asked again', () => {
    const world = pod({ postStart: [hook('one')] });
    let away = true;
    world.hook = () => (away ? null : { passed: true, output: '' });
    world.pass(1000);
    expect(world.last?.status.ready).toBe(false);
    away = false;
    world.pass(1000);
    expect(world.last?.status.ready).toBe(true);
  });

  test('an answer of an attempt that is over says nothing', () => {
    const world = pod({ postStart: [hook('one')] });
    const seen: HookAction[] = [];
    world.hook = (action) => (seen.push(action), 'later');
    world.settle();
    world.exit('p1.main.1', 1);
    world.settle();
    world.answer(seen[0]!, { passed: false, output: 'killed' });
    world.settle();
    expect(world.running()).toEqual(['p1.main.2']);
    expect(world.local.containers['main']).toMatchObject({ attempt: 2, ended: [{ message: 'exit code 1' }] });
  });
});

describe('pre_stop', () => {
  const two = [hook('one'), hook('two')];

  test('runs in order before the signal', () => {
    const world = pod({ preStop: two });
    world.settle();
    stop(world);
    world.settle();
    expect(done(world)).toEqual(['create 1', 'preStop 0', 'preStop 1', 'SIGTERM']);
  });

  test('its failure changes nothing', () => {
    const world = pod({ preStop: two });
    world.hook = () => ({ passed: false, output: 'exit code 1' });
    world.settle();
    stop(world);
    world.settle();
    expect(done(world)).toEqual(['create 1', 'preStop 0', 'preStop 1', 'SIGTERM']);
  });

  test('its time counts in the grace', () => {
    const world = pod({ preStop: [hook('one')] });
    const seen: HookAction[] = [];
    world.hook = (action) => (seen.push(action), 'later');
    world.settle();
    stop(world);
    world.pass(1500);
    world.answer(seen[0]!, { passed: true, output: '' });
    world.pass(3499);
    expect(done(world)).toEqual(['create 1', 'preStop 0', 'SIGTERM']);
    world.pass(1);
    expect(done(world).at(-1)).toBe('SIGKILL');
  });

  test('one that never ends is given up with the grace; two seconds are left for the signal', () => {
    const world = pod({ preStop: two });
    hung(world);
    world.settle();
    stop(world);
    world.pass(4999);
    expect(done(world)).toEqual(['create 1', 'preStop 0']);
    world.pass(1);
    expect(done(world)).toEqual(['create 1', 'preStop 0', 'SIGTERM']);
    world.pass(1999);
    expect(done(world)).toHaveLength(3);
    world.pass(1);
    expect(done(world).at(-1)).toBe('SIGKILL');
  });

  test('no grace leaves no time for it', () => {
    const world = pod({ preStop: two }, { stopGraceMs: 0 });
    world.settle();
    stop(world);
    world.settle();
    expect(done(world)).toEqual(['create 1', 'SIGKILL']);
  });

  test('runs for one that is restarted because it is not well', () => {
    const healthcheck = { test: { kind: 'shell', command: 'x' }, intervalMs: 1000, timeoutMs: 500, retries: 1, startPeriodMs: 0, startIntervalMs: 0 } as const;
    const world = pod({ preStop: [hook('one')], healthcheck });
    world.healthy = false;
    for (let i = 0; i < 100 && !done(world).includes('SIGTERM'); i++) world.pass(100);
    expect(done(world)).toEqual(['create 1', 'preStop 0', 'SIGTERM']);
  });

  test('not for one that is dead, nor for one that never ran', () => {
    const world = pod({ preStop: two });
    world.settle();
    world.exit('p1.main.1', 1);
    stop(world);
    world.settle();
    const never = pod({ preStop: two });
    for (let i = 0; i < 2; i++) never.once();
    stop(never);
    never.settle();
    expect([done(world), done(never), never.containers.size]).toEqual([['create 1'], ['create 1'], 0]);
  });

  test('a container that ends while it runs is removed', () => {
    const world = pod({ preStop: two });
    hung(world);
    world.settle();
    stop(world);
    world.settle();
    world.exit('p1.main.1', 0);
    expect(world.settle().status.phase).toBe('succeeded');
    expect(done(world)).toEqual(['create 1', 'preStop 0']);
  });
});
