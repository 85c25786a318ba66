/** Pods of several containers on a real containerd, on the host's network: their order, hooks, and what becomes of one when another dies. */
import fs from 'node:fs/promises';
import { type AddressInfo, createServer } from 'node:net';
import path from 'node:path';
import { credentials } from '@grpc/grpc-js';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { type Agent, runAgent } from '../../../../agent/main.ts';
import { type FakeKernel, FakePodNetwork } from '../../../../agent/network/fake.ts';
import { findProcesses } from '../../../../agent/runtime/proc.ts';
import { systemClock } from '../../../../lib/clock.ts';
import { createLog, silentLog } from '../../../../lib/log.ts';
import type { Assignment } from '../../../../model/assignment.ts';
import type { ContainerSpec, Hook, PodTemplate, Probe, RestartPolicy } from '../../../../model/spec.ts';
import { assignment, containerSpec } from '../../../unit/agent/pods/specs.ts';
import { asStream, busyboxImage, dockerArchive } from '../runtime/busybox.ts';
import { type ContainerdHost, startHost } from '../runtime/containerd-host.ts';
import { until } from '../session/host.ts';
import { TestMaster } from '../session/master.ts';

const image = 'tsorch-test:several';
const kernel: FakeKernel = { pods: new Map(), peers: [], config: undefined };
let host: ContainerdHost;
let master: TestMaster;
let agent: Agent;
let stop: AbortController;
let out: string;

beforeAll(async () => {
  host = await startHost('several');
  await host.images.load(asStream(await dockerArchive(await busyboxImage(), [image])));
  out = path.join(host.logDir, 'out');
  await fs.mkdir(out, { mode: 0o777 });
  await fs.chmod(out, 0o777);
  master = await TestMaster.start();
});
afterAll(async () => {
  master?.kill();
  await host?.close();
});
beforeEach(async () => {
  // Whoever the containers run as may write there.
  await fs.writeFile(path.join(out, 'log'), '');
  await fs.chmod(path.join(out, 'log'), 0o666);
  stop = new AbortController();
  agent = await runAgent({
    nodeId: 'n1', master: { address: `127.0.0.1:${master.port}`, credentials: credentials.createInsecure() }, stateDir: path.join(host.logDir, 'agent', 'state'), runDir: path.join(host.logDir, 'agent', 'run'),
    address: '192.0.2.1', runtime: host.runtime, images: host.images, network: new FakePodNetwork(kernel), clock: systemClock, signal: stop.signal,
    log: process.env['TSORCH_TEST_LOG'] ? createLog('agent', 'debug') : silentLog,
  });
  await until(() => agent.connected);
});
afterEach(async () => {
  await agent.teardown();
  stop.abort();
  await agent.done;
  master.statuses.clear();
});

const mounts = () => [{ kind: 'bind' as const, source: out, target: '/out', readOnly: false, createHostPath: false, propagation: 'rprivate' as const }];
const log = async () => (await fs.readFile(path.join(out, 'log'), 'utf8').catch(() => '')).split('\n').filter(Boolean);
const say = (what: string) => `echo ${what} >> /out/log`;
/** Says when it begins and when it is told to end. */
const stays = (name: string) => `trap "${say(`${name} ends`)}; exit 0" TERM; ${say(`${name} begins`)}; while :; do sleep 0.02; done`;
const container = (name: string, shell: string, over: Partial<ContainerSpec> = {}) => containerSpec({ name, image, command: ['sh', '-c', shell], mounts: mounts(), ...over });
const hook = (command: string, over: Partial<Hook> = {}): Hook => ({ command: { kind: 'shell', command }, env: {}, privileged: false, ...over });
const never: RestartPolicy = { condition: 'none', delayMs: 0, maxAttempts: 0, windowMs: 0 };
const pod = (id: string, containers: readonly ContainerSpec[], over: Partial<PodTemplate> = {}): Assignment => assignment(id, { template: { networkMode: 'host', stopGraceMs: 5000, containers, ...over } });
const status = (id: string) => master.statuses.get(id);
const ready = (id: string) => () => status(id)?.ready === true;
const of = (id: string, name: string) => status(id)?.containers.find((one) => one.name === name);

describe('order', () => {
  test('init containers, then each after what it waits for; ended the other way round, hooks first', async () => {
    const after = (name: string) => [{ container: name, condition: 'service_started' as const }];
    master.assign([
      pod('o1', [container('web', stays('web'), { after: after('db'), preStop: [hook(say('web leaves'))] }), container('db', stays('db'), { postStart: [hook(`sleep 0.3; ${say('db seeded')}`)] }), container('logs', stays('logs'), { after: after('web') })], {
        initContainers: [container('fetch', `sleep 0.2; ${say('fetch')}`), container('migrate', say('migrate'))],
      }),
    ]);
    // That it runs is known before it has said so.
    await until(async () => ready('o1')() && (await log()).length === 6, 20_000);
    master.assign([]);
    await until(() => !agent.pods.has('o1'), 20_000);
    expect(await log()).toEqual(['fetch', 'migrate', 'db begins', 'db seeded', 'web begins', 'logs begins', 'logs ends', 'web leaves', 'web ends', 'db ends']);
    expect(await host.runtime.list()).toEqual([]);
  });

  test('an init container that fails is tried again, with its reason shown', async () => {
    master.assign([pod('o2', [container('web', stays('web'))], { initContainers: [container('migrate', `[ -e /out/go ] || { echo no table; exit 4; }`)], restart: { condition: 'any', delayMs: 50, maxAttempts: 0, windowMs: 10_000 } })]);
    await until(() => /initialising 1\/1: migrate: exit code 4, restarting/.test(status('o2')?.message ?? ''), 20_000);
    await fs.writeFile(path.join(out, 'go'), '');
    await until(ready('o2'), 20_000);
    expect(of('o2', 'migrate')).toMatchObject({ init: true, state: 'succeeded', exitCode: 0 });
    await fs.rm(path.join(out, 'go'));
  });

  test('a job ends with its own container, and takes along what runs beside it', async () => {
    master.assign([pod('o3', [container('job', 'sleep 0.3; exit 6'), container('proxy', stays('proxy'), { restart: { condition: 'any', delayMs: 50, maxAttempts: 0, windowMs: 10_000 } })], { restart: never })]);
    await until(() => status('o3')?.phase === 'failed', 20_000);
    expect(status('o3')).toMatchObject({ message: 'exit code 6', containers: [{ exitCode: 6, state: 'failed' }, { exitCode: 0 }] });
    expect(await log()).toEqual(['proxy begins', 'proxy ends']);
  });
});

describe('hooks', () => {
  test('run as their container does, but for what they say themselves', async () => {
    const tell = (name: string) => `echo "${name} $(id -u):$(id -g) $(pwd) $A $B $(grep CapEff /proc/self/status | tr -d '\\t')" >> /out/log`;
    master.assign([pod('k1', [container('web', 'exec sleep 1000', {
      user: 'web', workingDir: '/tmp', env: { A: 'one', B: 'two' }, capDrop: ['ALL'], capAdd: ['NET_ADMIN'],
      postStart: [hook(tell('plain')), hook(tell('other'), { user: 'root', workingDir: '/etc', env: { B: 'three', C: null } }), hook(tell('mighty'), { user: '0:3456', privileged: true })],
      preStop: [hook(tell('leaving'), { user: '4567' })],
    })], { stopGraceMs: 3000 })]);
    await until(ready('k1'), 20_000);
    master.assign([]);
    await until(() => !agent.pods.has('k1'), 20_000);
    const all = /^CapBnd:\s+(\w+)/m.exec(await fs.readFile('/proc/self/status', 'utf8'))?.[1];
    expect(await log()).toEqual([
      'plain 1234:2345 /tmp one two CapEff:0000000000000000',
      'other 0:0 /etc one three CapEff:0000000000001000',
      `mighty 0:3456 /tmp one two CapEff:${all}`,
      'leaving 4567:0 /tmp one two CapEff:0000000000000000',
    ]);
  });

  test('a failure ends the attempt and says what was said', async () => {
    master.assign([pod('k2', [container('web', stays('web'), { postStart: [hook('echo no such table; exit 3')] })], { restart: never })]);
    await until(() => status('k2')?.phase === 'failed', 20_000);
    expect(status('k2')?.message).toBe('post_start hook (echo no such table; exit 3) failed: exit code 3: no such table');
  });
});

describe('probes', () => {
  const probe = (ask: Probe['ask']): Probe => ({ ask, initialDelayMs: 0, periodMs: 200, timeoutMs: 5000, successThreshold: 1, failureThreshold: 2 });
  const freePort = async () => {
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(0, resolve));
    const { port } = server.address() as AddressInfo;
    await new Promise((resolve) => server.close(resolve));
    return port;
  };

  test('TCP: ready while somebody listens', async () => {
    const port = await freePort();
    const serve = `until [ -e /out/serve ]; do sleep 0.05; done; nc -ll -p ${port} -e true & while [ -e /out/serve ]; do sleep 0.05; done; kill $!; exec sleep 1000`;
    await fs.rm(path.join(out, 'serve'), { force: true });
    master.assign([pod('t1', [container('web', serve, { readinessProbe: probe({ kind: 'tcp', port }) })], { stopGraceMs: 0 })]);
    await until(() => status('t1')?.message === `readiness probe has not passed yet: connect ECONNREFUSED 127.0.0.1:${port}`, 20_000);
    await fs.writeFile(path.join(out, 'serve'), '');
    await until(ready('t1'), 20_000);
    await fs.rm(path.join(out, 'serve'));
    await until(() => status('t1')?.message === `not ready: connect ECONNREFUSED 127.0.0.1:${port}`, 20_000);
    expect(status('t1')).toMatchObject({ phase: 'running', ready: false, restarts: 0 });
  });

  test('liveness: what is not alive is told to end, its pre_stop first, and begun again', async () => {
    await fs.writeFile(path.join(out, 'alive'), '');
    const alive = container('web', stays('web'), { livenessProbe: probe({ kind: 'exec', argv: ['sh', '-c', 'cat /out/alive'] }), preStop: [hook(say('web leaves'))] });
    master.assign([pod('l1', [alive, container('logs', 'exec sleep 1000')], { stopGraceMs: 3000, restart: { condition: 'on-failure', delayMs: 50, maxAttempts: 0, windowMs: 10_000 } })]);
    await until(ready('l1'), 20_000);
    await fs.rm(path.join(out, 'alive'));
    await until(() => of('l1', 'web')?.attempt === 2, 20_000);
    await fs.writeFile(path.join(out, 'alive'), '');
    await until(ready('l1'), 20_000);
    // It ended well, as it was told to; but that it had to be told is a failure.
    expect(of('l1', 'web')?.ended?.[0]).toMatchObject({ attempt: 1, exitCode: 0, message: expect.stringMatching(/^liveness probe failed: .*can't open '\/out\/alive'/) });
    expect(of('l1', 'logs')).toMatchObject({ attempt: 1, state: 'running' });
    await until(async () => (await log()).length === 4);
    expect(await log()).toEqual(['web begins', 'web leaves', 'web ends', 'web begins']);
  });
});

describe('deaths', () => {
  test('out of memory: told with its reason; its sibling runs on', async () => {
    // Grows in the container's own process until the kernel says no.
    const eat = `[ -e /out/eaten ] && exec sleep 1000; touch /out/eaten; sleep 0.3; x=aaaaaaaaaaaaaaaa; while :; do x=$x$x; done`;
    await fs.rm(path.join(out, 'eaten'), { force: true });
    master.assign([pod('m1', [container('web', 'exec sleep 1000'), container('eater', eat, { limits: { memory: 16 << 20, memorySwap: 16 << 20 } })], { restart: { condition: 'any', delayMs: 50, maxAttempts: 0, windowMs: 10_000 } })]);
    await until(() => of('m1', 'web')?.state === 'running', 20_000);
    const pid = of('m1', 'web')?.pid;
    await until(() => of('m1', 'eater')?.attempt === 2 && ready('m1')(), 30_000);
    expect(of('m1', 'eater')?.ended).toMatchObject([{ attempt: 1, exitCode: 137, oomKilled: true, message: 'out of memory (exit code 137)' }]);
    expect(of('m1', 'web')).toMatchObject({ pid, attempt: 1 });
    expect(of('m1', 'web')?.ended).toBeUndefined();
  });

  test('the shim of a pod: all its containers are begun again', async () => {
    master.assign([pod('s1', [container('web', 'exec sleep 1000'), container('proxy', 'exec sleep 1000')])]);
    await until(ready('s1'), 20_000);
    const [shim] = await findProcesses((argv) => /containerd-shim/.test(argv[0] ?? '') && argv.includes(host.daemon.socket) && argv.some((word) => word.includes('s1')));
    expect(shim).toBeDefined();
    process.kill(shim ?? 0, 'SIGKILL');
    await until(() => of('s1', 'web')?.attempt === 2 && of('s1', 'proxy')?.attempt === 2 && ready('s1')(), 30_000);
    expect(of('s1', 'web')?.ended).toMatchObject([{ exitCode: 137 }]);
    expect((await host.runtime.list()).map(({ id }) => id).sort()).toEqual(['s1.proxy.2', 's1.web.2']);
  });
});
