import { describe, expect, test } from 'vitest';
import type { PodTemplate, RestartPolicy } from '../../../../model/spec.ts';
import { assignment, containerSpec } from './specs.ts';
import { World } from './world.ts';

const policy = (over: Partial<RestartPolicy> = {}): RestartPolicy => ({ condition: 'any', delayMs: 100, maxAttempts: 0, windowMs: 10_000, ...over });
const pod = (over: Partial<PodTemplate> = {}) =>
  new World(assignment('p1', { template: { initContainers: [containerSpec({ name: 'fetch' }), containerSpec({ name: 'migrate' })], ...over } }));
const created = (world: World) => world.done.flatMap((action) => (action.kind === 'create' ? [`${action.container}.${action.attempt}`] : []));

describe('init containers', () => {
  test('run one after the other, each to its end, before the first of the others', () => {
    const world = pod();
    expect(world.settle().status).toMatchObject({ phase: 'starting', ready: false, message: 'initialising 1/2: fetch' });
    expect(world.running()).toEqual(['p1.fetch.1']);
    world.exit('p1.fetch.1', 0);
    expect(world.settle().status.message).toBe('initialising 2/2: migrate');
    expect([...world.containers.keys()]).toEqual(['p1.migrate.1']);
    world.exit('p1.migrate.1', 0);
    expect(world.settle().status).toMatchObject({ phase: 'running', ready: true, message: '', restarts: 0 });
    expect(created(world)).toEqual(['fetch.1', 'migrate.1', 'main.1']);
    expect(world.last?.status.containers).toMatchObject([
      { name: 'main', state: 'running', ready: true, attempt: 1 },
      { name: 'fetch', init: true, state: 'succeeded', exitCode: 0, attempt: 1 },
      { name: 'migrate', init: true, state: 'succeeded' },
    ]);
    // Prepared once for all of them.
    expect(world.done.filter(({ kind }) => kind === 'prepare')).toHaveLength(1);
  });

  test.each(['any', 'unless-stopped', 'on-failure'] as const)('a failure is tried again with growing delays: %s', (condition) => {
    const world = pod({ restart: policy({ condition }) });
    world.settle();
    for (const [i, delay] of [0, 100, 200].entries()) {
      world.exit(`p1.fetch.${i + 1}`, 3);
      expect(world.settle().status.message).toBe(delay === 0 ? 'initialising 1/2: fetch' : `initialising 1/2: fetch: exit code 3, restarting in ${delay} ms`);
      world.pass(delay);
      expect(world.running()).toEqual([`p1.fetch.${i + 2}`]);
    }
    expect(world.last?.status.containers[1]?.ended?.map(({ attempt, exitCode }) => [attempt, exitCode])).toEqual([[1, 3], [2, 3], [3, 3]]);
  });

  test.each([
    ['none', 0],
    ['on-failure', 2],
  ] as const)('one that has failed for good ends the pod: %s, at most %i times', (condition, maxAttempts) => {
    const world = pod({ restart: policy({ condition, maxAttempts }) });
    world.settle();
    for (let attempt = 1; attempt <= maxAttempts + 1; attempt++) {
      world.exit(`p1.fetch.${attempt}`, 7);
      world.pass(1000);
    }
    expect(world.last?.status).toMatchObject({ phase: 'failed', message: 'init container fetch failed: exit code 7' });
    expect(world.last?.status.containers).toMatchObject([{ name: 'main', state: 'waiting' }, { name: 'fetch', state: 'failed', exitCode: 7 }, { name: 'migrate', state: 'waiting' }]);
    expect(created(world)).not.toContain('main.1');
    expect([world.containers.size, world.attached]).toEqual([0, false]);
  });

  test('are not run again with a container that is restarted', () => {
    const world = pod();
    world.settle();
    for (const name of ['fetch', 'migrate']) {
      world.exit(`p1.${name}.1`, 0);
      world.settle();
    }
    world.exit('p1.main.1', 1);
    world.pass(100);
    world.restartAgent();
    world.exit('p1.main.2', 1);
    world.pass(1000);
    expect(created(world)).toEqual(['fetch.1', 'migrate.1', 'main.1', 'main.2', 'main.3']);
  });

  test('run again after the host has, before the others', () => {
    const world = pod();
    for (const name of ['fetch', 'migrate']) {
      world.settle();
      world.exit(`p1.${name}.1`, 0);
    }
    world.settle();
    world.done = [];
    world.reboot();
    expect(world.settle().status).toMatchObject({ phase: 'running', ready: false, message: 'initialising 1/2: fetch' });
    expect(world.running()).toEqual(['p1.fetch.2']);
    world.exit('p1.fetch.2', 0);
    world.settle();
    world.exit('p1.migrate.2', 0);
    expect(world.settle().status.ready).toBe(true);
    expect(created(world)).toEqual(['fetch.2', 'migrate.2', 'main.2']);
  });

  test('a reboot in the middle begins with the first', () => {
    const world = pod();
    world.settle();
    world.exit('p1.fetch.1', 0);
    world.settle();
    world.reboot();
    world.settle();
    expect(world.running()).toEqual(['p1.fetch.2']);
  });

  test('a pod that is stopped meanwhile begins no other', () => {
    const world = pod();
    world.settle();
    world.removed = true;
    world.pass(10_000);
    expect(created(world)).toEqual(['fetch.1']);
    expect(world.forgotten).toBe(true);
  });
});
