/** The whole agent on a real containerd: pods on the host's network, so that this file needs no namespaces of its own. */
import fs from 'node:fs/promises';
import path from 'node:path';
import { credentials } from '@grpc/grpc-js';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { type Agent, type AgentOptions, runAgent } from '../../../../agent/main.ts';
import { type FakeKernel, FakePodNetwork } from '../../../../agent/network/fake.ts';
import { systemClock } from '../../../../lib/clock.ts';
import { createLog, silentLog } from '../../../../lib/log.ts';
import type { Assignment } from '../../../../model/assignment.ts';
import type { ContainerSpec, PodTemplate } from '../../../../model/spec.ts';
import { assignment, containerSpec } from '../../../unit/agent/pods/specs.ts';
import { busyboxImage, dockerArchive } from '../runtime/busybox.ts';
import { type ContainerdHost, startHost } from '../runtime/containerd-host.ts';
import { until } from '../session/host.ts';
import { collect, TestMaster } from '../session/master.ts';

const image = 'tsorch-test:pods';
let host: ContainerdHost;
let master: TestMaster;
let agent: Agent;
let stop = new AbortController();
let directory: string;
const kernel: FakeKernel = { pods: new Map(), peers: [], config: undefined };

const options = (): AgentOptions => ({
  nodeId: 'n1',
  master: { address: `127.0.0.1:${master.port}`, credentials: credentials.createInsecure() },
  stateDir: path.join(directory, 'state'),
  runDir: path.join(directory, 'run'),
  address: '192.0.2.1',
  runtime: host.runtime,
  images: host.images,
  network: new FakePodNetwork(kernel),
  log: process.env['TSORCH_TEST_LOG'] ? createLog('agent', 'debug') : silentLog,
  clock: systemClock,
  signal: stop.signal,
});

async function startAgent(): Promise<void> {
  stop = new AbortController();
  agent = await runAgent(options());
  await until(() => agent.connected);
}

async function killAgent(): Promise<void> {
  stop.abort();
  await agent.done;
}

beforeAll(async () => {
  host = await startHost('pods');
  directory = path.join(host.logDir, 'agent');
  master = await TestMaster.start();
});
afterAll(async () => {
  master.kill();
  await host.close();
});
beforeEach(startAgent);
afterEach(async () => {
  if (!stop.signal.aborted) {
    await agent.teardown();
    await killAgent();
  }
  master.statuses.clear();
});

function pod(id: string, shell: string, over: { readonly container?: Partial<ContainerSpec>; readonly template?: Partial<PodTemplate>; readonly rest?: Partial<Assignment> } = {}): Assignment {
  const container = containerSpec({ image, command: ['sh', '-c', shell], init: true, ...over.container });
  return { ...assignment(id, { template: { networkMode: 'host', stopGraceMs: 2000, containers: [container], ...over.template } }), ...over.rest };
}

const status = (id: string) => master.statuses.get(id);
const ready = (id: string) => () => status(id)?.ready === true;

async function load(config: object = {}, name = image): Promise<void> {
  const archive = await dockerArchive(await busyboxImage({ config, variant: name }), [name]);
  const stream = await master.open('image-load', {});
  for (let at = 0; at < archive.length; at += 200_000) stream.write({ kind: { $case: 'stdin', value: archive.subarray(at, at + 200_000) } });
  stream.write({ kind: { $case: 'stdinEnd', value: true } });
  expect((await collect(stream)).at(-1)).toEqual({ $case: 'done', value: 0 });
}

async function logLines(podId: string): Promise<string[]> {
  const frames = await collect(await master.open('logs', { podId, follow: false }));
  const chunks = frames.flatMap((f) => (f.$case === 'logs' ? f.value.chunks : []));
  return chunks.flatMap(({ data }) => data.toString().split('\n').slice(0, -1));
}

describe('real containers', () => {
  test('wait for their image, run, print, take commands, stop when told', async () => {
    master.assign([pod('a1', 'trap "echo bye; exit 0" TERM; echo hello; echo oops >&2; while :; do sleep 0.05; done')]);
    await until(() => status('a1')?.message.includes('tsorch image load') ?? false);
    await load();
    await until(ready('a1'));
    await until(async () => (await logLines('a1')).length === 2);
    expect((await logLines('a1')).toSorted()).toEqual(['hello', 'oops']);
    const exec = await master.open('exec', { podId: 'a1', argv: ['cat'], env: {}, tty: false, stdin: true });
    exec.write({ kind: { $case: 'stdin', value: Buffer.from('through') } });
    exec.write({ kind: { $case: 'stdinEnd', value: true } });
    const frames = await collect(exec);
    expect(Buffer.concat(frames.flatMap((f) => (f.$case === 'stdout' ? [f.value] : []))).toString()).toBe('through');
    expect(frames.at(-1)).toEqual({ $case: 'done', value: 0 });
    const stopped = pod('a1', '', {});
    master.assign([{ ...stopped, pod: { ...stopped.pod, desired: 'stopped', reason: 'scaled down' } }]);
    await until(() => status('a1')?.phase === 'succeeded');
    expect(status('a1')?.containers[0]?.exitCode).toBe(0);
    expect((await logLines('a1')).at(-1)).toBe('bye');
    expect(await host.runtime.list()).toEqual([]);
  });

  test('crash, and are restarted as new attempts with their output kept', async () => {
    await load();
    master.assign([pod('b1', 'echo "run of $HOSTNAME"; exit 4', { template: { networkMode: 'host', restart: { condition: 'on-failure', delayMs: 20, maxAttempts: 2, windowMs: 10_000 } } })]);
    await until(() => status('b1')?.phase === 'failed');
    expect(status('b1')).toMatchObject({ message: 'exit code 4', restarts: 2 });
    expect(await logLines('b1')).toHaveLength(3);
  });

  test('a command that does not exist is told in words', async () => {
    await load();
    master.assign([pod('c1', '', { container: { command: ['/no/such/thing'], init: false }, template: { networkMode: 'host', restart: { condition: 'none', delayMs: 0, maxAttempts: 0, windowMs: 0 } } })]);
    await until(() => status('c1')?.phase === 'failed');
    expect(status('c1')?.message).toContain('/no/such/thing');
    expect(await host.runtime.list()).toEqual([]);
  });

  test('volumes are filled from the image, secrets and configs are there, anonymous volumes go', async () => {
    await load({ Volumes: { '/tmp': {} } });
    const mounts = [{ kind: 'volume' as const, volume: 'data', target: '/etc', readOnly: false, noCopy: false }];
    const reference = { source: 'key', target: '', uid: 1234, gid: 2345, mode: 0o400 };
    const files = [{ reference, kind: 'secret' as const, container: 'main', content: Buffer.from('s3cret').toString('base64') }];
    const script = 'cat /etc/passwd > /dev/null && ls -l /run/secrets/key && cat /run/secrets/key && echo && touch /tmp/x /etc/mine && sleep 1000';
    master.assign([pod('d1', script, { container: { mounts }, rest: { files } })]);
    await until(async () => (await logLines('d1')).length >= 2);
    const lines = await logLines('d1');
    expect(lines[0]).toMatch(/^-r-------- .* (web|1234) +(web|2345) /);
    expect(lines[1]).toBe('s3cret');
    const data = path.join(directory, 'state', 'volumes', 'data', '_data');
    await until(async () => (await fs.readdir(data)).includes('mine'));
    expect(await fs.readdir(data)).toEqual(expect.arrayContaining(['passwd', 'group']));
    master.assign([]);
    await until(() => !agent.pods.has('d1'));
    expect(await fs.readdir(path.join(directory, 'state', 'pods'))).toEqual([]);
    expect(await fs.readFile(path.join(data, 'passwd'), 'utf8')).toContain('web');
  });

  test("readiness follows the image's health check", async () => {
    await load({ Healthcheck: { Test: ['CMD-SHELL', 'test -f /tmp/ready'], Interval: 300e6, Timeout: 2e9, Retries: 3 } });
    master.assign([pod('e1', 'sleep 0.7; touch /tmp/ready; sleep 1000')]);
    await until(() => status('e1')?.phase === 'running');
    expect(status('e1')?.ready).toBe(false);
    await until(ready('e1'));
    expect(status('e1')?.containers[0]?.health).toBe('healthy');
  });
});

describe('agents come and go', () => {
  test('containers keep running with their pids, nothing printed is lost, and what ended meanwhile is known', async () => {
    await load();
    const a = pod('f1', 'i=0; while :; do i=$((i+1)); echo $i; sleep 0.01; done');
    const b = pod('f2', 'sleep 0.5; echo last words; exit 9', { template: { networkMode: 'host', restart: { condition: 'none', delayMs: 0, maxAttempts: 0, windowMs: 0 } } });
    master.assign([a, b]);
    await until(() => ready('f1')() && ready('f2')());
    const pid = status('f1')?.containers[0]?.pid;
    await killAgent();
    master.statuses.clear();
    await until(async () => (await host.runtime.list()).some((c) => c.podId === 'f2' && c.state === 'stopped'));
    await startAgent();
    master.assign([a, b]);
    await until(() => ready('f1')() && status('f2')?.phase === 'failed');
    expect(status('f2')).toMatchObject({ message: 'exit code 9', containers: [{ exitCode: 9 }] });
    await until(() => status('f1')?.containers[0]?.pid !== undefined);
    expect(status('f1')?.containers[0]?.pid).toBe(pid);
    const lines = await logLines('f1');
    expect(lines.length).toBeGreaterThan(30);
    expect(lines).toEqual(lines.map((_, i) => String(i + 1)));
    expect(await logLines('f2')).toEqual(['last words']);
  });

  test('a containerd that dies takes nothing along', async () => {
    await load();
    master.assign([pod('h1', 'sleep 1000'), pod('h2', 'sleep 0.3; exit 5', { template: { networkMode: 'host', restart: { condition: 'any', delayMs: 10, maxAttempts: 0, windowMs: 100_000 } } })]);
    await until(() => ready('h1')() && ready('h2')());
    const pid = status('h1')?.containers[0]?.pid;
    const daemon = host.daemon.process();
    process.kill(daemon?.pid ?? 0, 'SIGKILL');
    await until(() => host.daemon.process()?.pid !== daemon?.pid, 20_000);
    await until(() => (status('h2')?.restarts ?? 0) >= 1 && ready('h1')(), 20_000);
    const h1 = (await host.runtime.list()).filter((c) => c.podId === 'h1');
    expect(h1.map((c) => [c.id, c.pid, c.state])).toEqual([['h1.main.1', pid, 'running']]);
  });

  test('orphans go when the leader has spoken, not before', async () => {
    await load();
    master.assign([pod('g1', 'sleep 1000')]);
    await until(ready('g1'));
    await killAgent();
    await fs.rm(path.join(directory, 'state', 'pods', 'g1.json'));
    await startAgent();
    await until(() => agent.pods.has('g1'));
    expect((await host.runtime.list()).map((c) => c.state)).toEqual(['running']);
    master.assign([]);
    await until(async () => (await host.runtime.list()).length === 0, 20_000);
  });
});
