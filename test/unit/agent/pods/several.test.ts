import { describe, expect, test } from 'vitest';
import type { ContainerSpec, PodTemplate, RestartPolicy } from '../../../../model/spec.ts';
import { assignment, containerSpec } from './specs.ts';
import { World } from './world.ts';

type After = NonNullable<ContainerSpec['after']>;
const policy = (over: Partial<RestartPolicy> = {}): RestartPolicy => ({ condition: 'any', delayMs: 100, maxAttempts: 0, windowMs: 10_000, ...over });
const named = (name: string, over: Partial<ContainerSpec> = {}) => containerSpec({ name, ...over });
const pod = (containers: readonly ContainerSpec[], over: Partial<PodTemplate> = {}) => new World(assignment('p1', { template: { containers, ...over } }));
const on = (container: string, condition: After[number]['condition'] = 'service_started'): After => [{ container, condition }];
const created = (world: World) => world.done.flatMap((action) => (action.kind === 'create' ? [action.container] : []));
const signalled = (world: World) => world.done.flatMap((action) => (action.kind === 'signal' ? [`${action.id.split('.')[1]} ${action.signal}`] : []));
const check = { test: { kind: 'shell', command: 'true' }, intervalMs: 1000, timeoutMs: 500, retries: 2, startPeriodMs: 0, startIntervalMs: 0 } as const;
const stop = (world: World) => {
  const { assignment: before } = world;
  if (before) world.assignment = { ...before, pod: { ...before.pod, desired: 'stopped' } };
};

describe('several containers begin', () => {
  test('in the order of the list, when nothing else is said', () => {
    const world = pod([named('web'), named('a'), named('b')]);
    expect(world.settle().status).toMatchObject({ phase: 'running', ready: true });
    expect(created(world)).toEqual(['web', 'a', 'b']);
  });

  test('after those that they wait for, wherever these are in the list', () => {
    const world = pod([named('web', { after: on('db') }), named('logs', { after: on('web') }), named('db')]);
    world.settle();
    expect(created(world)).toEqual(['db', 'web', 'logs']);
  });

  test('once it is healthy', () => {
    const world = pod([named('web', { after: on('db', 'service_healthy') }), named('db', { healthcheck: check })]);
    world.healthy = false;
    expect(world.settle().status).toMatchObject({ phase: 'starting', message: 'web is waiting for db: healthy' });
    world.healthy = true;
    expect(world.pass(1000).status).toMatchObject({ phase: 'running', ready: true });
  });

  test('once it has completed, which then is not missed', () => {
    const world = pod([named('web', { after: on('setup', 'service_completed_successfully') }), named('setup', { restart: policy({ condition: 'on-failure' }) })]);
    expect(world.settle().status.message).toBe('web is waiting for setup: completed successfully');
    world.exit('p1.setup.1', 1);
    world.pass(0);
    expect(world.running()).toEqual(['p1.setup.2']);
    world.exit('p1.setup.2', 0);
    expect(world.settle().status).toMatchObject({ phase: 'running', ready: true, message: '' });
  });

  test('never when it failed for good: the pod of a main container that waits for it fails', () => {
    const world = pod([named('web', { after: on('setup', 'service_completed_successfully') }), named('setup', { restart: policy({ condition: 'none' }) })]);
    world.settle();
    world.exit('p1.setup.1', 4);
    expect(world.settle().status).toMatchObject({ phase: 'failed', message: 'setup did not complete successfully: exit code 4' });
  });

  test('what waits for nobody it knows says so', () => {
    expect(pod([named('web', { after: on('nobody') })]).settle().status.message).toBe('web is waiting for nobody, which is not in this pod');
  });

  test('one that comes back does not wait again; after a reboot it does', () => {
    const world = pod([named('web', { after: on('db', 'service_healthy') }), named('db', { healthcheck: check })]);
    world.healthy = true;
    world.pass(1000);
    world.exit('p1.db.1', 1);
    world.exit('p1.web.1', 1);
    world.healthy = false;
    world.pass(0);
    expect(world.running().toSorted()).toEqual(['p1.db.2', 'p1.web.2']);
    world.reboot();
    world.pass(0);
    expect(world.running()).toEqual(['p1.db.3']);
    world.healthy = true;
    world.pass(1000);
    expect(world.running().toSorted()).toEqual(['p1.db.3', 'p1.web.3']);
  });
});

describe('several containers end', () => {
  test('those that began last first', () => {
    const world = pod([named('web', { after: on('db') }), named('db'), named('logs', { after: on('web') })], { stopGraceMs: 5000 });
    world.settle();
    stop(world);
    world.settle();
    expect(signalled(world)).toEqual(['logs SIGTERM']);
    world.exit('p1.logs.1', 143);
    world.settle();
    expect(signalled(world)).toEqual(['logs SIGTERM', 'web SIGTERM']);
    world.exit('p1.web.1', 143);
    world.settle();
    world.exit('p1.db.1', 143);
    expect(world.settle().status.phase).toBe('succeeded');
    expect(signalled(world)).toEqual(['logs SIGTERM', 'web SIGTERM', 'db SIGTERM']);
  });

  test('within one grace; what is left for the last is two seconds at least', () => {
    const world = pod([named('web', { after: on('db') }), named('db')], { stopGraceMs: 5000 });
    world.settle();
    stop(world);
    world.pass(4999);
    expect(signalled(world)).toEqual(['web SIGTERM']);
    world.pass(1);
    expect(signalled(world)).toEqual(['web SIGTERM', 'web SIGKILL', 'db SIGTERM']);
    world.pass(1999);
    expect(signalled(world)).toHaveLength(3);
    world.pass(1);
    expect(signalled(world).at(-1)).toBe('db SIGKILL');
    expect(world.last?.status.phase).toBe('succeeded');
  });

  test('one that cannot be killed holds nobody up', () => {
    const world = pod([named('web', { after: on('db') }), named('db')], { stopGraceMs: 1000 });
    world.settle();
    stop(world);
    const perform = world.perform.bind(world);
    world.perform = (action) => (action.kind === 'signal' && action.signal === 'SIGKILL' && action.id.startsWith('p1.web') ? void world.done.push(action) : perform(action));
    world.pass(1000);
    expect(signalled(world)).toEqual(['web SIGTERM', 'web SIGKILL', 'db SIGTERM']);
  });

  test('a circle is no reason to wait', () => {
    const world = pod([named('web'), named('a', { after: on('web') }), named('b', { after: on('a') })], { stopGraceMs: 1000 });
    world.settle();
    const before = world.assignment;
    if (before) world.assignment = { ...before, template: { ...before.template, containers: before.template.containers.map((spec) => (spec.name === 'a' ? { ...spec, after: [...on('web'), ...on('b')] } : spec)) } };
    stop(world);
    world.settle();
    expect(signalled(world).toSorted()).toEqual(['a SIGTERM', 'b SIGTERM', 'web SIGTERM']);
  });
});

describe('the end of one', () => {
  test.each([
    [0, 'succeeded', 'exit code 0'],
    [3, 'failed', 'exit code 3'],
  ] as const)('a job ends with its main container: code %i, %s; what ran beside it is stopped', (code, phase, message) => {
    const world = pod([named('job'), named('proxy', { restart: policy() })], { restart: policy({ condition: 'none' }), stopGraceMs: 2000 });
    world.settle();
    world.exit('p1.job.1', code);
    expect(world.settle().status).toMatchObject({ phase: 'stopping', ready: false });
    expect(signalled(world)).toEqual(['proxy SIGTERM']);
    world.pass(2000);
    expect(world.last?.status).toMatchObject({ phase, message });
  });

  test('one beside it that has failed for good leaves the pod running, and not ready', () => {
    const world = pod([named('web'), named('proxy', { restart: policy({ condition: 'none' }) })]);
    world.settle();
    world.exit('p1.proxy.1', 2);
    expect(world.pass(60_000).status).toMatchObject({ phase: 'running', ready: false, message: 'container proxy failed: exit code 2' });
    expect(world.running()).toEqual(['p1.web.1']);
    expect(world.last?.status.containers).toMatchObject([{ state: 'running', ready: true }, { state: 'failed', ready: false, exitCode: 2 }]);
  });

  test('one beside it that has done its work is not missed', () => {
    const world = pod([named('web'), named('warm', { restart: policy({ condition: 'on-failure' }) })]);
    world.settle();
    world.exit('p1.warm.1', 0);
    expect(world.settle().status).toMatchObject({ phase: 'running', ready: true, message: '' });
  });

  test('each is restarted by its own policy; the pod says which one, and is restarting', () => {
    const world = pod([named('web'), named('proxy', { restart: policy({ delayMs: 3000 }) })]);
    world.settle();
    world.exit('p1.proxy.1', 2);
    expect(world.settle().status).toMatchObject({ phase: 'running', ready: false, message: 'proxy: exit code 2, restarting in 3 s', containers: [{ state: 'running' }, { state: 'restarting' }] });
    world.pass(2999);
    expect(world.running()).toEqual(['p1.web.1']);
    world.pass(1);
    expect(world.running()).toEqual(['p1.web.1', 'p1.proxy.2']);
    expect(world.last?.status).toMatchObject({ ready: true, restarts: 1 });
  });

  test('out of memory: its reason is told, its siblings run on', () => {
    const world = pod([named('web'), named('proxy')]);
    world.settle();
    world.oomKilled.add('p1.proxy.1');
    world.exit('p1.proxy.1', 137);
    world.settle();
    expect(world.last?.status.containers[1]?.ended).toMatchObject([{ attempt: 1, exitCode: 137, oomKilled: true, message: 'out of memory (exit code 137)' }]);
    expect(world.running()).toEqual(['p1.web.1', 'p1.proxy.2']);
  });
});
