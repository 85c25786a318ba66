/** Pods that stop by themselves when no master hears of their host. */
import { describe, expect, test } from 'vitest';
import type { PodTemplate } from '../../../../model/spec.ts';
import { assignment } from './specs.ts';
import { World } from './world.ts';

const stops = (over: Partial<PodTemplate> = {}) => new World(assignment('p1', { template: { onDisconnect: { stopAfterMs: 30_000 }, stopGraceMs: 1000, ...over } }));
/** Cut off from now on: `alone` grows with the time that passes. */
function pass(world: World, ms: number) {
  const since = world.now - world.alone.ms;
  const end = world.now + ms;
  for (;;) {
    world.alone = { ...world.alone, ms: world.now - since };
    const { wakeIn } = world.settle();
    const wake = world.now + (wakeIn ?? Infinity);
    if (wake > end) break;
    world.now = wake;
  }
  world.now = end;
  world.alone = { ...world.alone, ms: world.now - since };
  return world.settle();
}

describe('a pod that is to stop when its host is cut off', () => {
  test('runs on for so long, then ends, is lost and is not begun again', () => {
    const world = stops();
    expect(world.settle()).toMatchObject({ wakeIn: 30_000, status: { phase: 'running', ready: true } });
    expect(pass(world, 29_999).status).toMatchObject({ phase: 'running', ready: true });
    expect(pass(world, 1).status).toMatchObject({ phase: 'stopping', ready: false, message: 'stopped: no master for 30 s' });
    expect(pass(world, 1000).status).toMatchObject({ phase: 'lost', message: 'stopped: no master for 30 s' });
    expect(world.running()).toEqual([]);
    world.alone = { ms: 0, heard: true };
    expect(pass(world, 60_000).status).toMatchObject({ phase: 'lost' });
    expect(world.births.size).toBe(1);
  });

  test('the word of a master in time begins the time anew', () => {
    const world = stops();
    world.settle();
    pass(world, 20_000);
    world.alone = { ms: 0, heard: true };
    expect(pass(world, 29_000).status.phase).toBe('running');
    expect(world.settle().wakeIn).toBe(1000);
  });

  test('its containers are restarted meanwhile, and not after', () => {
    const world = stops({ restart: { condition: 'any', delayMs: 5000, maxAttempts: 0, windowMs: 10_000 } });
    world.settle();
    pass(world, 10_000);
    world.exit('p1.main.1', 1);
    pass(world, 5000);
    expect(world.running()).toEqual(['p1.main.2']);
    pass(world, 14_000);
    world.exit('p1.main.2', 1);
    expect(pass(world, 60_000).status.phase).toBe('lost');
    expect(world.births.size).toBe(2);
  });

  test('stops too when it never began, and when the agent was started again', () => {
    const world = stops();
    world.networkReady = false;
    world.settle();
    world.restartAgent();
    expect(pass(world, 30_000).status.phase).toBe('lost');
    expect(world.births.size).toBe(0);
  });

  test('what ended by itself before has its own result, and who was asked to stop was asked', () => {
    const job = stops({ restart: { condition: 'on-failure', delayMs: 100, maxAttempts: 0, windowMs: 10_000 } });
    job.settle();
    job.exit('p1.main.1', 0);
    expect(pass(job, 40_000).status.phase).toBe('succeeded');
    const asked = stops();
    asked.settle();
    asked.removed = true;
    pass(asked, 40_000);
    expect(asked.forgotten).toBe(true);
  });

  test('after the host\'s start it waits for a master before it begins, and gives up after the same time', () => {
    const world = stops();
    world.alone = { ms: 0, heard: false };
    expect(world.settle().status).toMatchObject({ phase: 'preparing', message: 'waiting for a master: another pod may have its place by now' });
    expect(world.done).toEqual([]);
    const heard = stops();
    heard.alone = { ms: 20_000, heard: false };
    heard.settle();
    heard.alone = { ms: 0, heard: true };
    expect(heard.settle().status).toMatchObject({ phase: 'running', ready: true });
    expect(pass(world, 30_000).status.phase).toBe('lost');
    expect(world.births.size).toBe(0);
  });

  test('others run on whatever happens', () => {
    const world = new World(assignment('p1'));
    world.alone = { ms: 0, heard: false };
    expect(world.settle()).toMatchObject({ wakeIn: undefined, status: { phase: 'running', ready: true } });
    expect(pass(world, 1e9).status).toMatchObject({ phase: 'running', ready: true });
  });
});
