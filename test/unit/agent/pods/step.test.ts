import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { restartDelay } from '../../../../agent/pods/step/restart.ts';
import type { Healthcheck, Hook, Probe } from '../../../../model/spec.ts';
import { isFinal, type PodPhase } from '../../../../model/pod.ts';
import { assignment, containerSpec } from './specs.ts';
import { World } from './world.ts';

const kinds = (world: World) => world.done.map((a) => a.kind);

describe('a pod on its way', () => {
  test('from assigned to ready', () => {
    const world = new World(assignment('p1'));
    const phases: PodPhase[] = [];
    for (let i = 0; i < 4; i++) phases.push(world.once().status.phase);
    expect(phases).toEqual(['preparing', 'starting', 'starting', 'running']);
    expect(kinds(world)).toEqual(['prepare', 'attach', 'create', 'start']);
    expect(world.settle().status).toMatchObject({ phase: 'running', ready: true, restarts: 0, message: '' });
  });

  test('waits for the host network, and says so', () => {
    const world = new World(assignment('p1'));
    world.networkReady = false;
    expect(world.settle().status).toMatchObject({ phase: 'preparing', message: 'waiting for the network of this host' });
    world.networkReady = true;
    expect(world.settle().status.ready).toBe(true);
  });

  test('host network pods attach nothing', () => {
    const world = new World(assignment('p1', { template: { networkMode: 'host' } }));
    world.networkReady = false;
    world.settle();
    expect(kinds(world)).toEqual(['prepare', 'create', 'start']);
  });

  test('two containers are created one after the other and both must run', () => {
    const world = new World(assignment('p1', { template: { containers: [containerSpec({ name: 'a' }), containerSpec({ name: 'b' })] } }));
    world.settle();
    expect(world.running()).toEqual(['p1.a.1', 'p1.b.1']);
    for (const action of world.done.filter((a) => a.kind === 'create')) expect(action.attempt).toBe(1);
  });

  test('stops with signal, grace, kill, and clears up', () => {
    const world = new World(assignment('p1', { template: { stopGraceMs: 3000, containers: [containerSpec({ stopSignal: 'SIGQUIT' })] } }));
    world.settle();
    world.done = [];
    world.assignment = assignment('p1', { pod: { desired: 'stopped', reason: 'scaled down' }, template: world.assignment?.template ?? {} });
    world.pass(2999);
    expect(world.done).toEqual([{ kind: 'signal', id: 'p1.main.1', signal: 'SIGQUIT' }]);
    expect(world.last?.status).toMatchObject({ phase: 'stopping', ready: false, message: 'stopped: scaled down' });
    world.pass(1);
    expect(kinds(world)).toEqual(['signal', 'signal', 'remove', 'detach', 'release']);
    expect(world.last?.status).toMatchObject({ phase: 'succeeded', message: 'stopped: scaled down' });
    world.removed = true;
    world.settle();
    expect(world.forgotten).toBe(true);
  });

  test('a job that was stopped before its end has not succeeded', () => {
    const world = new World(assignment('p1', { template: { restart: { condition: 'none', delayMs: 100, maxAttempts: 0, windowMs: 10_000 } } }));
    world.settle();
    world.removed = true;
    world.settle();
    world.exit('p1.main.1', 143);
    for (let i = 0; i < 3; i++) world.once();
    expect(world.local.phase).toBe('failed');
  });

  test('a pod removed before anything was created leaves without a trace', () => {
    const world = new World(assignment('p1'));
    world.removed = true;
    world.settle();
    expect(kinds(world)).toEqual(['detach', 'release', 'forget']);
  });

  test('draining pods serve on, and are not begun again', () => {
    const world = new World(assignment('p1'));
    world.settle();
    world.assignment = assignment('p1', { pod: { desired: 'draining' } });
    expect(world.settle().status).toMatchObject({ phase: 'running', ready: true });
    world.exit('p1.main.1', 0);
    expect(world.settle().status.phase).toBe('succeeded');
  });

  test('containers without a record wait for a master', () => {
    const world = new World(null);
    world.containers.set('p1.main.3', { id: 'p1.main.3', state: 'running', pid: 9 });
    expect(world.settle().actions).toEqual([]);
    world.removed = true;
    world.pass(9999);
    expect(world.running()).toEqual(['p1.main.3']);
    world.pass(1);
    expect(world.forgotten).toBe(true);
  });
});

describe('restart policy', () => {
  const policy = (over: Partial<Parameters<typeof restartDelay>[0]>) => ({ condition: 'any' as const, delayMs: 100, maxAttempts: 0, windowMs: 10_000, ...over });

  test.each([
    [100, [0, 0, 100, 200, 400, 800, 1600, 3200, 6400, 12_800, 25_600, 51_200, 60_000, 60_000]],
    [101, [0, 101, 202]],
    [5000, [0, 5000, 10_000, 20_000, 40_000, 60_000, 60_000]],
    [90_000, [0, 90_000, 90_000]],
    [0, [0, 0, 0]],
  ])('delay from %i ms', (delayMs, delays) => {
    expect(delays.map((_, failures) => restartDelay(policy({ delayMs }), failures))).toEqual(delays);
  });

  test('crashes wait exactly as long as they should, and a long run resets the delay', () => {
    const world = new World(assignment('p1'));
    world.settle();
    world.exit('p1.main.1', 1);
    world.pass(0);
    expect(world.running()).toEqual(['p1.main.2']);
    for (const [i, delay] of [100, 200, 400, 800].entries()) {
      world.exit(`p1.main.${i + 2}`, 1);
      world.pass(delay - 1);
      expect(world.running()).toEqual([]);
      expect(world.last?.status.message).toBe(`exit code 1, restarting in ${delay} ms`);
      world.pass(1);
      expect(world.running()).toEqual([`p1.main.${i + 3}`]);
    }
    world.pass(10_000);
    world.exit('p1.main.6', 1);
    world.pass(0);
    expect(world.running()).toEqual(['p1.main.7']);
    expect(world.last?.status).toMatchObject({ phase: 'running', restarts: 6 });
  });

  test.each([
    ['none', 0, 'succeeded'],
    ['none', 3, 'failed'],
    ['on-failure', 0, 'succeeded'],
    ['on-failure', 3, 'running'],
    ['any', 0, 'running'],
    ['any', 3, 'running'],
    ['unless-stopped', 0, 'running'],
  ] as const)('%s after exit code %i: %s', (condition, code, phase) => {
    const world = new World(assignment('p1', { template: { restart: policy({ condition }) } }));
    world.settle();
    world.exit('p1.main.1', code);
    expect(world.pass(100).status.phase).toBe(phase);
  });

  test('gives up after maxAttempts restarts in a row', () => {
    const world = new World(assignment('p1', { template: { restart: policy({ condition: 'on-failure', maxAttempts: 2 }) } }));
    world.settle();
    for (const attempt of [1, 2, 3]) {
      world.exit(`p1.main.${attempt}`, 7);
      world.pass(1000);
    }
    expect(world.last?.status).toMatchObject({ phase: 'failed', message: 'exit code 7', restarts: 2 });
    expect(world.last?.status.containers[0]).toMatchObject({ exitCode: 7 });
    expect(world.attached).toBe(false);
  });

  test('a failed container takes its pod along', () => {
    const containers = [containerSpec({ name: 'a' }), containerSpec({ name: 'b' })];
    const world = new World(assignment('p1', { template: { containers, restart: policy({ condition: 'none' }), stopGraceMs: 100 } }));
    world.settle();
    world.exit('p1.a.1', 1);
    world.pass(100);
    expect(world.local.phase).toBe('failed');
    expect(world.containers.size).toBe(0);
  });

  test('running out of memory is told, also when the word comes after the exit', () => {
    const world = new World(assignment('p1', { template: { restart: policy({ delayMs: 5000 }) } }));
    world.settle();
    world.exit('p1.main.1', 137);
    expect(world.settle().status.message).toBe('exit code 137, restarting in 5 s');
    world.oomKilled.add('p1.main.1');
    const { status } = world.settle();
    expect(status.message).toBe('out of memory (exit code 137), restarting in 5 s');
    expect(status.containers[0]?.oomKilled).toBe(true);
  });

  test('what is left of a delay counts from the end, also for an agent that came later', () => {
    const world = new World(assignment('p1', { template: { restart: policy({ delayMs: 8000 }) } }));
    world.settle();
    world.exit('p1.main.1', 1);
    world.pass(3000);
    world.restartAgent();
    world.pass(4999);
    expect(world.running()).toEqual([]);
    world.pass(1);
    expect(world.running()).toEqual(['p1.main.2']);
  });

  test("a limit within a time counts the restarts of that time, as Swarm's window", () => {
    const run = (ms: number, count: number) => {
      const world = new World(assignment('p1', { template: { restart: policy({ delayMs: 0, maxAttempts: 2, windowMs: 60_000, attemptsWithinMs: 60_000 }) } }));
      for (let attempt = 1; attempt <= count; attempt++) {
        world.pass(ms);
        world.exit(`p1.main.${attempt}`, 1);
        world.settle();
      }
      return world;
    };
    // Three ends within the minute: the third is one too many.
    expect(run(20_000, 3).last?.status).toMatchObject({ phase: 'failed', restarts: 2 });
    // One each half a minute goes on for ever, though no run was long enough to count as healthy.
    expect(run(30_000, 12).local.containers['main']).toMatchObject({ attempt: 13, state: 'live', granted: [expect.any(Number), expect.any(Number)] });
  });

  test('only the last five ends are kept', () => {
    const world = new World(assignment('p1'));
    for (let i = 1; i <= 8; i++) {
      world.pass(60_000);
      world.exit(`p1.main.${i}`, i);
    }
    world.pass(60_000);
    expect(world.local.containers['main']?.ended.map((e) => e.exitCode)).toEqual([4, 5, 6, 7, 8]);
  });

  test('a command that cannot run counts as an attempt', () => {
    const world = new World(assignment('p1', { template: { restart: policy({ condition: 'none' }) } }));
    world.once();
    world.once();
    world.failAttempt('main', 'executable file not found: nope');
    expect(world.settle().status).toMatchObject({ phase: 'failed', message: 'executable file not found: nope' });
  });
});

describe('a host that comes back', () => {
  test('running containers are adopted as they are', () => {
    const world = new World(assignment('p1'));
    world.settle();
    world.done = [];
    world.restartAgent();
    expect(world.settle().status).toMatchObject({ phase: 'running', ready: true });
    expect(world.done).toEqual([]);
  });

  test('an exit that nobody saw is handled', () => {
    const world = new World(assignment('p1'));
    world.settle();
    world.exit('p1.main.1', 4);
    world.restartAgent();
    world.pass(100);
    expect(world.running()).toEqual(['p1.main.2']);
    expect(world.local.containers['main']?.ended[0]).toMatchObject({ exitCode: 4 });
  });

  test('after a reboot pods start again at once, as new attempts', () => {
    const world = new World(assignment('p1', { template: { restart: { condition: 'on-failure', delayMs: 5000, maxAttempts: 1, windowMs: 10_000 } } }));
    world.settle();
    world.reboot();
    world.settle();
    expect(world.running()).toEqual(['p1.main.2']);
    expect(world.attached).toBe(true);
    expect(world.local.containers['main']).toMatchObject({ failures: 0, ended: [{ message: 'host rebooted', exitCode: null }] });
  });

  test('an attempt that was given out before a reboot is not given out again', () => {
    const world = new World(assignment('p1'));
    for (let i = 0; i < 3; i++) world.once(i === 1 ? 1 : 0);
    expect(world.local.containers['main']).toMatchObject({ attempt: 1, state: 'live', started: false });
    world.reboot();
    world.settle();
    expect(world.running()).toEqual(['p1.main.2']);
  });

  test('what was not to be restarted stays ended after a reboot', () => {
    const world = new World(assignment('p1', { template: { restart: { condition: 'none', delayMs: 0, maxAttempts: 0, windowMs: 0 } } }));
    world.settle();
    world.reboot();
    expect(world.settle().status).toMatchObject({ phase: 'failed', message: 'host rebooted' });
  });
});

describe('health', () => {
  const check: Healthcheck = { test: { kind: 'shell', command: 'true' }, intervalMs: 2000, timeoutMs: 1000, retries: 3, startPeriodMs: 0, startIntervalMs: 5000 };
  const checked = (over: Partial<Healthcheck> = {}) => new World(assignment('p1', { template: { containers: [containerSpec({ healthcheck: { ...check, ...over } })], stopGraceMs: 0 } }));

  test('ready only when healthy, and checked early while it starts', () => {
    const world = checked();
    world.healthy = true;
    expect(world.settle().status).toMatchObject({ phase: 'running', ready: false, message: 'waiting for its health check' });
    expect(world.pass(200).status).toMatchObject({ ready: true, message: '' });
  });

  test('unhealthy after as many failures as allowed from the first interval on, then restarted', () => {
    const world = checked();
    world.healthy = false;
    world.settle();
    world.pass(2000 + 2 * 2000 + 1199);
    expect(world.running()).toEqual(['p1.main.1']);
    world.pass(2001);
    expect(world.local.containers['main']?.ended[0]).toMatchObject({ message: 'unhealthy: no', failed: true });
    world.pass(100);
    expect(world.running()).toEqual(['p1.main.2']);
  });

  test('failures in the start period do not count', () => {
    const world = checked({ startPeriodMs: 60_000 });
    world.healthy = false;
    world.pass(59_000);
    expect(world.running()).toEqual(['p1.main.1']);
    world.healthy = true;
    world.pass(10_000);
    expect(world.last?.status.ready).toBe(true);
  });

  test('an adopted container keeps its health', () => {
    const world = checked();
    world.healthy = true;
    world.pass(5000);
    world.restartAgent();
    expect(world.settle().status.ready).toBe(true);
  });
});

describe('properties', () => {
  type Event =
    | { readonly do: 'pass'; readonly ms: number }
    | { readonly do: 'exit'; readonly which: number; readonly code: number }
    | { readonly do: 'die'; readonly skip: number }
    | { readonly do: 'reboot' | 'drain' | 'stop' | 'remove' };
  const event: fc.Arbitrary<Event> = fc.oneof(
    { weight: 5, arbitrary: fc.record({ do: fc.constant('pass' as const), ms: fc.integer({ min: 0, max: 20_000 }) }) },
    { weight: 5, arbitrary: fc.record({ do: fc.constant('exit' as const), which: fc.nat(3), code: fc.constantFrom(0, 1, 137) }) },
    { weight: 5, arbitrary: fc.record({ do: fc.constant('die' as const), skip: fc.integer({ min: 0, max: 3 }) }) },
    { weight: 1, arbitrary: fc.record({ do: fc.constantFrom('reboot' as const, 'drain' as const, 'stop' as const, 'remove' as const) }) },
  );
  const policies = fc.record({ condition: fc.constantFrom('none', 'on-failure', 'any', 'unless-stopped'), delayMs: fc.integer({ min: 0, max: 5000 }), maxAttempts: fc.integer({ min: 0, max: 3 }), windowMs: fc.integer({ min: 0, max: 10_000 }) });
  const asked: Probe = { ask: { kind: 'tcp', port: 1 }, initialDelayMs: 0, periodMs: 15_000, timeoutMs: 500, successThreshold: 1, failureThreshold: 1 };
  const hook: Hook = { command: { kind: 'exec', argv: ['x'] }, env: {}, privileged: false };
  /** Containers in a row, each after an earlier one or none, with what else they may have. */
  const shapes = fc
    .array(fc.record({ after: fc.nat(3), condition: fc.constantFrom('service_started' as const, 'service_healthy' as const, 'service_completed_successfully' as const), own: fc.option(policies, { nil: undefined }), hooks: fc.boolean(), probes: fc.boolean() }), { minLength: 1, maxLength: 3 })
    .map((list) =>
      list.map(({ after, condition, own, hooks, probes }, i) =>
        containerSpec({
          name: `c${i}`,
          ...(after < i ? { after: [{ container: `c${after}`, condition }] } : {}),
          ...(own ? { restart: own } : {}),
          ...(hooks ? { postStart: [hook, hook], preStop: [hook] } : {}),
          ...(probes ? { startupProbe: asked, readinessProbe: asked, livenessProbe: asked } : {}),
        }),
      ),
    );
  const scenario = fc.record({ restart: policies, containers: shapes, inits: fc.nat(2), host: fc.boolean(), well: fc.boolean(), events: fc.array(event, { maxLength: 30 }) });
  const order: PodPhase[] = ['pending', 'assigned', 'preparing', 'starting', 'running', 'stopping'];

  test('one container per attempt, their order, no start after stop, phases forward only, and it comes to rest', () => {
    fc.assert(
      fc.property(scenario, ({ restart, containers, inits, host, well, events }) => {
        const initContainers = Array.from({ length: inits }, (_, i) => containerSpec({ name: `i${i}` }));
        const world = new World(assignment('p1', { template: { restart, containers, initContainers, networkMode: host ? 'host' : 'pod' } }));
        world.healthy = well;
        world.hook = () => ({ passed: well, output: '' });
        const perform = world.perform.bind(world);
        world.perform = (action) => {
          if (action.kind === 'create') respectsOrder(world, action.container);
          if (action.kind === 'signal' && action.signal !== 'SIGKILL' && world.local.stop) respectsEnd(world, action.id);
          perform(action);
          const alive = world.running();
          if (new Set(alive.map((id) => id.split('.')[1])).size < alive.length) throw new Error(`two attempts run: ${alive.join(' ')}`);
        };
        const setDesired = (desired: 'draining' | 'stopped') => {
          const before = world.assignment;
          if (before && before.pod.desired !== 'stopped') world.assignment = { ...before, pod: { ...before.pod, desired } };
        };
        let rank = 0;
        for (const happens of events) {
          if (world.forgotten) break;
          if (happens.do === 'pass') world.pass(happens.ms);
          else if (happens.do === 'exit') for (const id of world.running().slice(happens.which, happens.which + 1)) world.exit(id, happens.code);
          else if (happens.do === 'die') world.once(happens.skip);
          else if (happens.do === 'reboot') world.reboot();
          else if (happens.do === 'drain') setDesired('draining');
          else if (happens.do === 'stop') setDesired('stopped');
          else world.removed = true;
          const now = isFinal(world.local.phase) ? 99 : order.indexOf(world.local.phase);
          expect(now).toBeGreaterThanOrEqual(rank);
          rank = now;
        }
        // Nothing that a check or a hook says ends a container any more: what shall run then runs.
        world.healthy = true;
        world.hook = () => ({ passed: true, output: '' });
        for (let i = 0; i <= inits && !world.forgotten; i++) {
          world.pass(70_000);
          for (const id of world.running()) if (/^p1\.i/.test(id)) world.exit(id, 0);
        }
        if (!world.forgotten) world.pass(70_000);
        expect(Math.max(0, ...world.births.values())).toBeLessThanOrEqual(1);
        expect(world.startsAfterStop).toBe(0);
        if (world.removed) expect(world.forgotten).toBe(true);
        else if (isFinal(world.local.phase)) expect([world.containers.size, world.attached]).toEqual([0, false]);
        else {
          const open = containers.filter(({ name }) => world.local.containers[name]?.state === 'live');
          expect(new Set(world.running().map((id) => id.split('.')[1]))).toEqual(new Set(open.map(({ name }) => name)));
          // The others are over, or wait for one that is to end first.
          for (const spec of containers) if (world.local.containers[spec.name]?.state === 'waiting') expect(world.last?.status.message).toMatch(/is waiting for|failed/);
        }
        // At rest a step changes nothing and asks for nothing but its checks.
        if (!world.forgotten) {
          const before = world.local;
          expect(world.once().actions.filter(({ kind }) => kind !== 'check')).toEqual([]);
          expect(world.local).toEqual(before);
        }
      }),
      { numRuns: 500 },
    );
  }, 30_000);

  /** Init containers are through, and what is waited for has come that far, unless the container has run since the host's start. */
  function respectsOrder(world: World, name: string): void {
    const template = world.assignment?.template;
    const local = (other: string) => world.local.containers[other];
    const over = (other: string) => local(other)?.state === 'done' && local(other)?.ended.at(-1)?.failed !== true;
    const inits = template?.initContainers ?? [];
    const own = inits.findIndex((spec) => spec.name === name);
    for (const spec of own < 0 ? inits : inits.slice(0, own)) expect(over(spec.name)).toBe(true);
    const last = local(name)?.ended.at(-1);
    if (own >= 0 || (last && !last.rebooted) || world.births.has(`p1.${name}.${local(name)?.attempt}`)) return;
    for (const { container, condition } of template?.containers.find((spec) => spec.name === name)?.after ?? []) {
      if (condition === 'service_completed_successfully') expect(over(container)).toBe(true);
      else expect((local(container)?.ended.some((end) => !end.rebooted) ?? false) || world.running().some((id) => id.startsWith(`p1.${container}.`))).toBe(true);
    }
  }

  /** Nobody is told to end while one that began after it runs and has not been killed. */
  function respectsEnd(world: World, id: string): void {
    const name = id.split('.')[1] ?? '';
    for (const spec of world.assignment?.template.containers ?? []) {
      if (!spec.after?.some(({ container }) => container === name)) continue;
      for (const later of world.running().filter((other) => other.startsWith(`p1.${spec.name}.`))) expect(world.timers.endings[later]?.killedAt ?? null).not.toBeNull();
    }
  }
});
