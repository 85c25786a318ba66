import fs from 'node:fs/promises';
import path from 'node:path';
import { afterEach, describe, expect, test, vi } from 'vitest';
import type { FakeRuntimeOptions } from '../../../../agent/runtime/fake.ts';
import type { PullOptions, Runtime } from '../../../../agent/runtime/port.ts';
import { TsorchError } from '../../../../model/errors.ts';
import type { Assignment } from '../../../../model/assignment.ts';
import { TestHost } from './host.ts';
import { assignment, containerSpec } from './specs.ts';

vi.setConfig({ testTimeout: 20_000 });
const hosts: TestHost[] = [];
afterEach(async () => {
  for (const host of hosts.splice(0)) await host.dispose();
});

async function makeHost(behaviour: Omit<FakeRuntimeOptions, 'clock'> = {}): Promise<TestHost> {
  const host = await TestHost.make(behaviour);
  hosts.push(host);
  return host;
}

const all = (upsert: readonly Assignment[]) => ({ upsert, remove: [], full: true });
const some = (...upsert: readonly Assignment[]) => ({ upsert, remove: [], full: false });
const ready = (host: TestHost, id: string) => () => host.statuses.get(id)?.ready === true;
const phase = (host: TestHost, id: string, wanted: string) => () => host.statuses.get(id)?.phase === wanted;

describe('pods', () => {
  test('run, and leave without a trace', async () => {
    const host = await makeHost();
    const pods = await host.start();
    pods.assign(all([assignment('p1')]));
    await host.until(ready(host, 'p1'));
    expect(await host.running()).toEqual(['p1.main.1']);
    expect(host.kernel.pods.get('p1')).toBe('10.32.1.2');
    const request = host.runtime.requests.get('p1.main.1');
    expect(request).toMatchObject({ hostname: 'web-1', netns: '/run/t/p1', env: { HOSTNAME: 'web-1' }, labels: { 'tsorch.pod': 'p1', 'tsorch.attempt': '1' } });
    const resolv = request?.mounts.find((m) => m.target === '/etc/resolv.conf')?.source ?? '';
    expect(await fs.readFile(resolv, 'utf8')).toBe('nameserver 169.254.1.1\noptions timeout:1 attempts:5 ndots:0\n');
    pods.assign({ upsert: [], remove: ['p1'], full: false });
    await host.until(() => host.gone.includes('p1'));
    expect([await host.running(), host.kernel.pods.size, await fs.readdir(path.join(host.runDir, 'pods')), (await fs.readdir(path.join(host.stateDir, 'pods'))).length]).toEqual([[], 0, [], 0]);
    // Its output stays for a while.
    expect(await fs.readdir(path.join(host.stateDir, 'logs'))).toEqual(['p1']);
  });

  test('what could not be had as asked for is told, until the next attempt', async () => {
    let warnings = ['ulimit nofile is 20 instead of 40'];
    const host = await makeHost({ behaviour: () => ({ warnings }) });
    const pods = await host.start();
    pods.assign(all([assignment('p1')]));
    await host.until(ready(host, 'p1'));
    expect(host.statuses.get('p1')).toMatchObject({ message: 'ulimit nofile is 20 instead of 40', containers: [{ warnings }] });
    warnings = [];
    host.runtime.exit('p1.main.1', 1);
    await host.turnUntil(() => host.statuses.get('p1')?.ready === true && host.statuses.get('p1')?.restarts === 1, 250);
    expect(host.statuses.get('p1')?.message).toBe('');
    expect(host.statuses.get('p1')?.containers[0]).not.toHaveProperty('warnings');
  });

  test('containers that share namespaces know of each other, and a user namespace comes before the network', async () => {
    const host = await makeHost();
    const pods = await host.start();
    pods.assign(all([assignment('p1', { template: { containers: [containerSpec({ name: 'main', userns: 'private' }), containerSpec({ name: 'side', ipc: 'container:main', mounts: [{ kind: 'image', image: 'busybox', target: '/i' }] })] } })]));
    await host.until(ready(host, 'p1'));
    expect(host.runtime.requests.get('p1.main.1')).toMatchObject({ sharesIpc: true, imageMounts: [] });
    expect(host.runtime.requests.get('p1.side.1')).toMatchObject({ sharesIpc: false, imageMounts: [{ target: '/i', image: { reference: expect.stringContaining('busybox') as unknown } }] });
    expect(host.network.users.get('p1')).toBe('/run/fake/userns/p1');
    pods.assign({ upsert: [], remove: ['p1'], full: false });
    await host.until(() => host.gone.includes('p1'));
    expect(host.runtime.released).toEqual(['p1']);
  });

  test('limits change in place, also for an agent that comes after, and what cannot be is told', async () => {
    const host = await makeHost();
    let pods = await host.start();
    const limited = (memory: number) => assignment('p1', { template: { containers: [containerSpec({ limits: { memory } })] } });
    pods.assign(all([limited(100)]));
    await host.until(ready(host, 'p1'));
    const memory = () => host.runtime.limitsOf('p1.main.1').memory;
    expect(memory()).toBe(100);
    pods.assign(some(limited(200)));
    await host.until(() => memory() === 200);
    host.runtime.updateError = new TsorchError('unavailable', 'containerd restarts');
    pods.assign(some(limited(300)));
    await host.turnUntil(() => memory() === 300, 100);
    host.kill();
    await pods.done();
    pods = await host.start();
    pods.assign(all([limited(400)]));
    await host.until(() => memory() === 400);
    host.runtime.updateError = new TsorchError('internal', 'more is in use');
    pods.assign(some(limited(50)));
    await host.until(() => host.statuses.get('p1')?.message === 'limits not changed before the next start: more is in use');
    expect([memory(), host.runtime.births]).toEqual([400, ['p1.main.1']]);
    // The next attempt has them.
    host.runtime.exit('p1.main.1', 1);
    await host.turnUntil(() => host.runtime.births.length === 2, 250);
    expect(host.runtime.requests.get('p1.main.2')?.spec.limits).toEqual({ memory: 50 });
  });

  test('fifty at once', async () => {
    const host = await makeHost();
    const pods = await host.start();
    const ids = Array.from({ length: 50 }, (_, i) => `p${i}`);
    pods.assign(all(ids.map((id, i) => assignment(id, { pod: { ip: `10.32.1.${i + 2}`, slot: i + 1 } }))));
    await host.until(() => ids.every((id) => host.statuses.get(id)?.ready));
    expect(host.runtime.births.toSorted()).toEqual(ids.map((id) => `${id}.main.1`).toSorted());
  });

  test('an image that is not here is waited for, and its coming is enough', async () => {
    const host = await makeHost();
    const pods = await host.start();
    pods.assign(all([assignment('p1', { template: { containers: [containerSpec({ image: 'shop/web:1' })] } })]));
    await host.until(() => host.statuses.get('p1')?.message === 'cannot pull shop/web:1: this node pulls from nowhere, so shop/web:1 must be loaded; load it with `tsorch image load`; trying again in 5 s');
    host.images.add('shop/web:1');
    pods.poke();
    await host.until(ready(host, 'p1'));
    expect(host.statuses.get('p1')?.message).toBe('');
  });

  test('an image that cannot be pulled is asked for again, ever less often', async () => {
    const host = await makeHost();
    const pods = await host.start();
    let asked = 0;
    host.images.pull = () => {
      asked++;
      return Promise.reject(new TsorchError('unavailable', 'the registry is down'));
    };
    const missing = { containers: [containerSpec({ image: 'app:1' })] };
    pods.assign(all([assignment('p1', { template: missing })]));
    await host.until(() => asked === 1);
    await host.asleep();
    const gaps: number[] = [];
    for (let i = 2; i <= 8; i++) gaps.push(await host.turnUntil(() => asked === i, 250));
    expect(gaps).toEqual([5000, 10_000, 20_000, 40_000, 80_000, 160_000, 300_000]);
    expect(host.statuses.get('p1')?.message).toBe('cannot pull app:1: the registry is down; trying again in 300 s');
  });

  test('an image is pulled once for all pods that wait, its progress told; a pod that ends does not wait for it', async () => {
    const host = await makeHost();
    const pods = await host.start();
    const pulls: { readonly reference: string; readonly options: PullOptions; readonly done: () => void }[] = [];
    host.images.pull = (reference, options) => new Promise((resolve, reject) => {
      options.signal.addEventListener('abort', () => reject(new TsorchError('aborted', 'given up')));
      pulls.push({ reference, options, done: () => {
        host.images.add('shop/web:1');
        void host.images.get('shop/web:1').then(resolve);
      } });
    });
    const digest = `sha256:${'a'.repeat(64)}`;
    const web = { containers: [containerSpec({ image: 'shop/web:1' })] };
    const pinned = { containers: [containerSpec({ image: 'shop/other:1', imageDigest: digest })] };
    const registries = { 'docker.io': { kind: 'basic', username: 'u', password: 'hidden' } } as const;
    const three = [assignment('p1', { template: web, registries }), assignment('p2', { template: web, registries }), assignment('p3', { template: pinned })];
    pods.assign(all(three));
    await host.until(() => pulls.length === 2 && ['p1', 'p2'].every((id) => host.statuses.get(id)?.message === 'pulling shop/web:1'));
    // Whose record is on the disk first asks first.
    expect(new Map(pulls.map(({ reference, options }) => [reference, options.credentials]))).toEqual(new Map([['docker.io/shop/web:1', registries['docker.io']], [`docker.io/shop/other:1@${digest}`, null]]));
    const [web1, other1] = ['shop/web', 'shop/other'].map((name) => pulls.find(({ reference }) => reference.includes(name)));
    expect(await fs.readFile(path.join(host.stateDir, 'pods', 'p1.json'), 'utf8')).not.toContain('hidden');
    web1?.options.progress?.({ kind: 'downloading', bytes: 34_500_000, total: 120_000_000 });
    await host.until(() => ['p1', 'p2'].every((id) => host.statuses.get(id)?.message === 'pulling shop/web:1: 34 of 120 MB'));
    pods.assign(all(three.slice(0, 2)));
    await host.until(() => other1?.options.signal.aborted === true && host.gone.includes('p3'));
    pods.assign(all(three.slice(0, 1)));
    await host.until(() => host.gone.includes('p2'));
    expect(web1?.options.signal.aborted).toBe(false);
    web1?.done();
    await host.until(ready(host, 'p1'));
    expect(pulls).toHaveLength(2);
  });

  test('other credentials are tried at once', async () => {
    const host = await makeHost();
    const pods = await host.start();
    const asked: unknown[] = [];
    host.images.pull = (_, { credentials }) => {
      asked.push(credentials);
      return Promise.reject(new TsorchError('unauthenticated', 'who are you?'));
    };
    const missing = { containers: [containerSpec({ image: 'app:1' })] };
    pods.assign(all([assignment('p1', { template: missing })]));
    await host.until(() => host.statuses.get('p1')?.message.startsWith('cannot pull') === true);
    const auth = { kind: 'identity', token: 't' } as const;
    pods.assign(all([assignment('p1', { template: missing, registries: { 'docker.io': auth } })]));
    await host.until(() => asked.length === 2);
    expect(asked).toEqual([null, auth]);
  });

  test.each([['never', 0], ['missing', 0], ['always', 1]] as const)('pull_policy %s with the image here', async (pullPolicy, expected) => {
    const host = await makeHost();
    const pods = await host.start();
    host.images.add('app:1');
    let asked = 0;
    host.images.pull = (reference) => {
      asked++;
      return host.images.get(reference);
    };
    pods.assign(all([assignment('p1', { template: { containers: [containerSpec({ image: 'app:1', pullPolicy })] } })]));
    await host.until(ready(host, 'p1'));
    host.runtime.exit('p1.main.1', 1);
    await host.until(() => host.runtime.births.includes('p1.main.2'));
    // The pod's image stays its image.
    expect(asked).toBe(expected);
  });

  test('pull_policy never without the image', async () => {
    const host = await makeHost();
    const pods = await host.start();
    pods.assign(all([assignment('p1', { template: { containers: [containerSpec({ image: 'shop/web:1', pullPolicy: 'never' })] } })]));
    await host.until(() => host.statuses.get('p1')?.message === 'image shop/web:1 is not on this node, and its pull_policy is never; load it with `tsorch image load`');
  });

  test('crashes are restarted with growing delays, and told', async () => {
    const host = await makeHost();
    const pods = await host.start();
    pods.assign(all([assignment('p1')]));
    const delays: number[] = [];
    await host.until(async () => (await host.running()).includes('p1.main.1') && host.statuses.get('p1')?.ready === true);
    host.runtime.exit('p1.main.1', 3);
    await host.until(() => host.runtime.births.includes('p1.main.2'));
    for (let attempt = 2; attempt <= 5; attempt++) {
      await host.until(async () => (await host.running()).includes(`p1.main.${attempt}`) && host.statuses.get('p1')?.ready === true);
      host.runtime.exit(`p1.main.${attempt}`, 3);
      await host.until(() => host.statuses.get('p1')?.ready === false);
      await host.asleep();
      delays.push(await host.turnUntil(() => host.runtime.births.includes(`p1.main.${attempt + 1}`), 50));
    }
    expect(delays).toEqual([100, 200, 400, 800]);
    await host.until(ready(host, 'p1'));
    expect(host.statuses.get('p1')).toMatchObject({ phase: 'running', restarts: 5 });
    expect((await host.runtime.list()).map((c) => c.id)).toEqual(['p1.main.6']);
  });

  test('a command that cannot run fails the pod with its words', async () => {
    const host = await makeHost({ behaviour: () => ({ createError: new TsorchError('invalid', 'nope: executable file not found') }) });
    const pods = await host.start();
    pods.assign(all([assignment('p1', { template: { restart: { condition: 'on-failure', delayMs: 0, maxAttempts: 2, windowMs: 1000 } } })]));
    await host.until(phase(host, 'p1', 'failed'));
    expect(host.statuses.get('p1')).toMatchObject({ message: 'nope: executable file not found', restarts: 2 });
    expect(host.kernel.pods.size).toBe(0);
  });

  test('stop: signal, grace, kill', async () => {
    const host = await makeHost({ behaviour: () => ({ ignores: [15] }) });
    const pods = await host.start();
    pods.assign(all([assignment('p1', { template: { stopGraceMs: 3000 } })]));
    await host.until(ready(host, 'p1'));
    pods.assign(some(assignment('p1', { pod: { desired: 'stopped', reason: 'scaled down' }, template: { stopGraceMs: 3000 } })));
    await host.until(() => host.runtime.signals.length === 1);
    await host.asleep();
    expect(await host.turnUntil(phase(host, 'p1', 'succeeded'), 100)).toBe(3000);
    // The last one is remove's own.
    expect(host.runtime.signals.slice(0, 2)).toEqual([['p1.main.1', 15], ['p1.main.1', 9]]);
    expect(host.statuses.get('p1')?.message).toBe('stopped: scaled down');
  });

  test('memory that ran out is told', async () => {
    const host = await makeHost();
    const pods = await host.start();
    pods.assign(all([assignment('p1', { template: { restart: { condition: 'none', delayMs: 0, maxAttempts: 0, windowMs: 0 } } })]));
    await host.until(ready(host, 'p1'));
    host.runtime.oom('p1.main.1');
    await host.until(phase(host, 'p1', 'failed'));
    expect(host.statuses.get('p1')).toMatchObject({ message: 'out of memory (exit code 137)', containers: [{ exitCode: 137, oomKilled: true }] });
  });

  test('health: ready when it passes, restarted when it keeps failing', async () => {
    let healthy = false;
    const host = await makeHost({ exec: (_id, request) => (request.argv.join(' ') === '/bin/sh -c check' && healthy ? { code: 0 } : { code: 1, stdout: 'no\n answer' }) });
    const pods = await host.start();
    const healthcheck = { test: { kind: 'shell', command: 'check' }, intervalMs: 1000, timeoutMs: 500, retries: 2, startPeriodMs: 0, startIntervalMs: 0 } as const;
    pods.assign(all([assignment('p1', { template: { containers: [containerSpec({ healthcheck })] } })]));
    await host.until(phase(host, 'p1', 'running'));
    expect(host.statuses.get('p1')?.ready).toBe(false);
    await host.turnUntil(() => host.statuses.get('p1')?.message === 'health check has not passed yet: no answer', 50);
    healthy = true;
    await host.turnUntil(ready(host, 'p1'), 50);
    healthy = false;
    await host.turnUntil(() => host.runtime.births.includes('p1.main.2'), 50);
    expect(host.runtime.signals[0]).toEqual(['p1.main.1', 15]);
  });

  test("the image's own health check counts, and one that hangs has failed", async () => {
    const host = await makeHost({ exec: () => new Promise(() => {}) });
    host.images.add('checked', { healthcheck: { test: ['CMD', 'probe'], interval: 1e9, timeout: 2e8, retries: 1 } });
    const pods = await host.start();
    pods.assign(all([assignment('p1', { template: { containers: [containerSpec({ image: 'checked' })] } })]));
    await host.until(phase(host, 'p1', 'running'));
    await host.turnUntil(() => host.statuses.get('p1')?.message === 'health check has not passed yet: no answer in 200 ms', 50);
    await host.turnUntil(() => host.runtime.births.includes('p1.main.2'), 50);
  });

  test('init containers, hooks and probes, on a runtime', async () => {
    const ran: string[] = [];
    const host = await makeHost({
      behaviour: ({ spec }) => (spec.name === 'migrate' ? { exit: { code: 0 }, output: 'done\n' } : {}),
      exec: (_id, { argv, user }) => (ran.push([user, ...argv].filter(Boolean).join(' ')), { code: 0 }),
    });
    const pods = await host.start();
    const hook = (word: string) => ({ command: { kind: 'exec' as const, argv: [word] }, user: 'web', env: {}, privileged: false });
    const readinessProbe = { ask: { kind: 'exec' as const, argv: ['ready'] }, initialDelayMs: 0, periodMs: 1000, timeoutMs: 500, successThreshold: 1, failureThreshold: 3 };
    const p1 = assignment('p1', { template: { initContainers: [containerSpec({ name: 'migrate' })], containers: [containerSpec({ postStart: [hook('warm')], preStop: [hook('leave')], readinessProbe })] } });
    pods.assign(all([p1]));
    await host.turnUntil(ready(host, 'p1'));
    expect(host.runtime.births).toEqual(['p1.migrate.1', 'p1.main.1']);
    expect(ran.slice(0, 2)).toEqual(['web warm', 'ready']);
    pods.assign(all([]));
    await host.turnUntil(() => host.gone.includes('p1'));
    expect(ran.at(-1)).toBe('web leave');
    expect(host.runtime.signals).toContainEqual(['p1.main.1', 15]);
  });

  test('secrets are on no disk', async () => {
    const host = await makeHost();
    const pods = await host.start();
    const canary = 'canary-4711';
    const files = [{ reference: { source: 's', target: 's', uid: 0, gid: 0, mode: 0o400 }, kind: 'secret' as const, container: 'main', content: Buffer.from(canary).toString('base64') }];
    pods.assign(all([assignment('p1', { files })]));
    await host.until(ready(host, 'p1'));
    const record = await fs.readFile(path.join(host.stateDir, 'pods', 'p1.json'), 'utf8');
    expect(record).not.toContain(files[0]?.content);
    const mount = host.runtime.requests.get('p1.main.1')?.mounts.find((m) => m.target === '/run/secrets/s');
    expect(await fs.readFile(mount?.source ?? '', 'utf8')).toBe(canary);
    expect([...host.mounter.mounted.keys()].some((target) => mount?.source.startsWith(target))).toBe(true);
    // Without a master a restart finds it in memory; after a reboot it waits for one.
    host.kill();
    await host.start();
    host.runtime.exit('p1.main.1', 1);
    await host.turnUntil(() => host.runtime.births.includes('p1.main.2'));
    await host.until(ready(host, 'p1'));
    host.kill();
    await fs.rm(host.runDir, { recursive: true });
    host.mounter.mounted.clear();
    host.bootId = 'boot-2';
    for (const c of await host.runtime.list()) await host.runtime.remove(c.id);
    const after = await host.start();
    await host.until(() => host.statuses.get('p1')?.message.startsWith('waiting for a master') ?? false);
    after.assign(all([assignment('p1', { files })]));
    await host.until(ready(host, 'p1'));
    expect(await host.running()).toEqual(['p1.main.3']);
  });
});

describe('a new agent', () => {
  test('adopts what runs, handles what ended meanwhile, and does it without a master', async () => {
    const host = await makeHost();
    const pods = await host.start();
    pods.assign(all([assignment('p1'), assignment('p2', { pod: { ip: '10.32.1.3' } })]));
    await host.until(() => ready(host, 'p1')() && ready(host, 'p2')());
    const pid = host.statuses.get('p1')?.containers[0]?.pid;
    host.kill();
    host.runtime.exit('p2.main.1', 1);
    host.statuses.clear();
    await host.start();
    await host.turnUntil(() => ready(host, 'p1')() && ready(host, 'p2')() && host.runtime.births.length === 3);
    expect(await host.running()).toEqual(['p1.main.1', 'p2.main.2']);
    expect(host.statuses.get('p1')?.containers[0]?.pid).toBe(pid);
  });

  test('starts pods again after a reboot', async () => {
    const host = await makeHost();
    const pods = await host.start();
    pods.assign(all([assignment('p1')]));
    await host.until(ready(host, 'p1'));
    host.kill();
    for (const c of await host.runtime.list()) await host.runtime.remove(c.id);
    host.kernel.pods.clear();
    host.bootId = 'boot-2';
    await host.start();
    await host.until(() => host.runtime.births.includes('p1.main.2') && ready(host, 'p1')());
    expect(host.kernel.pods.has('p1')).toBe(true);
  });

  test('leaves what it does not know alone until a master has spoken', async () => {
    const host = await makeHost();
    const pods = await host.start();
    pods.assign(all([assignment('p1'), assignment('p2', { pod: { ip: '10.32.1.3' } })]));
    await host.until(() => ready(host, 'p1')() && ready(host, 'p2')());
    host.kill();
    for (const id of ['p1', 'p2']) await fs.writeFile(path.join(host.stateDir, 'pods', `${id}.json`), '{"version":1,"assi');
    host.kernel.pods.set('p3', '10.32.1.9');
    host.statuses.clear();
    const next = await host.start();
    await host.until(() => host.statuses.size === 2 && host.statuses.get('p1')?.message === 'found without a record');
    expect(await host.running()).toEqual(['p1.main.1', 'p2.main.1']);
    next.assign(all([assignment('p1')]));
    await host.until(() => host.gone.includes('p2') && host.gone.includes('p3'));
    await host.until(() => ready(host, 'p1')() && host.statuses.get('p1')?.message === '');
    expect(await host.running()).toEqual(['p1.main.1']);
    expect([...host.kernel.pods.keys()]).toEqual(['p1']);
    // The record made anew carries on where the old one was.
    host.runtime.exit('p1.main.1', 1);
    await host.turnUntil(() => host.runtime.births.includes('p1.main.2'));
  });

  test.each([
    ['an attempt that is no number', (local: Record<string, unknown>) => ({ ...local, containers: { main: { attempt: '1' } } })],
    ['no phase', ({ phase: _phase, ...local }: Record<string, unknown>) => local],
    ['nothing', () => 'nonsense'],
  ])('a record whose second half is torn is made anew without a master: %s', async (_what, tear) => {
    const host = await makeHost();
    const pods = await host.start();
    pods.assign(all([assignment('p1')]));
    await host.until(ready(host, 'p1'));
    host.kill();
    const file = path.join(host.stateDir, 'pods', 'p1.json');
    const record = JSON.parse(await fs.readFile(file, 'utf8')) as { local: Record<string, unknown> };
    await fs.writeFile(file, JSON.stringify({ ...record, local: tear(record.local) }));
    host.statuses.clear();
    await host.start();
    await host.until(ready(host, 'p1'));
    host.runtime.exit('p1.main.1', 5);
    await host.turnUntil(() => host.runtime.births.includes('p1.main.2') && ready(host, 'p1')());
    expect(host.statuses.get('p1')?.containers[0]?.ended).toMatchObject([{ attempt: 1, exitCode: 5 }]);
  });

  test('a runtime that is away is waited for; pods are told as they were', async () => {
    const host = await makeHost();
    const pods = await host.start();
    pods.assign(all([assignment('p1')]));
    await host.until(ready(host, 'p1'));
    host.kill();
    host.statuses.clear();
    let away = true;
    const list = host.runtime.list.bind(host.runtime);
    host.runtime.list = () => (away ? Promise.reject(new TsorchError('unavailable', 'containerd is not there')) : list());
    await host.start();
    await host.until(ready(host, 'p1'));
    away = false;
    await host.turnUntil(() => host.statuses.get('p1')?.containers[0]?.pid !== undefined);
    expect(host.runtime.births).toEqual(['p1.main.1']);
  });

  test('dying before or after any call to the runtime leads to one container, and no second', async () => {
    const calls = ['create', 'start', 'remove', 'kill'] as const;
    for (const name of calls) {
      for (const when of ['before', 'after'] as const) {
        const host = await makeHost();
        const never = new Promise<never>(() => {});
        let reached = false;
        const wrap = (runtime: Runtime): Runtime =>
          new Proxy(runtime, {
            get(target, key) {
              const value: unknown = Reflect.get(target, key, target);
              if (typeof value !== 'function') return value;
              return async (...args: unknown[]) => {
                if (reached) return never;
                if (key !== name) return (value as (...a: unknown[]) => unknown).apply(target, args);
                if (when === 'after') await (value as (...a: unknown[]) => unknown).apply(target, args);
                reached = true;
                return never;
              };
            },
          });
        const p1 = assignment('p1', { template: { stopGraceMs: 100 } });
        const stopped = { ...p1, pod: { ...p1.pod, desired: 'stopped' as const } };
        const pods = await host.start({ wrap });
        pods.assign(all([p1]));
        if (name === 'create' || name === 'start') {
          await host.until(() => reached);
          host.kill();
          await host.start();
          await host.until(ready(host, 'p1'));
          expect([name, when, host.runtime.births]).toEqual([name, when, ['p1.main.1']]);
        } else {
          await host.until(ready(host, 'p1'));
          pods.assign(some(stopped));
          await host.until(() => reached);
          host.kill();
          await host.start();
          await host.turnUntil(phase(host, 'p1', 'succeeded'));
          expect([name, when, host.runtime.births, await host.runtime.list()]).toEqual([name, when, ['p1.main.1'], []]);
        }
      }
    }
  });

  test('a pod that is asked for again while it leaves begins anew when it has left', async () => {
    const host = await makeHost({ behaviour: () => ({ ignores: [15] }) });
    const pods = await host.start();
    pods.assign(all([assignment('p1')]));
    await host.until(ready(host, 'p1'));
    pods.assign(all([]));
    await host.until(phase(host, 'p1', 'stopping'));
    pods.assign(all([assignment('p1')]));
    await host.turnUntil(() => host.runtime.births.length === 2, 500);
    await host.until(ready(host, 'p1'));
    expect(await host.running()).toEqual(['p1.main.2']);
  });
});
