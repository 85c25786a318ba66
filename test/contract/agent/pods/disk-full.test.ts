/** A host whose disk is full to the last byte, on a real containerd: what runs goes on and can be stopped, nothing is lost, and what waited begins when there is room. */
import { closeSync, openSync, statfsSync, statSync } from 'node:fs';
import { readFile, rm } from 'node:fs/promises';
import path from 'node:path';
import { credentials } from '@grpc/grpc-js';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Agent, runAgent } from '../../../../agent/main.ts';
import { type FakeKernel, FakePodNetwork } from '../../../../agent/network/fake.ts';
import { DiskReserve } from '../../../../agent/state-reserve.ts';
import { FakeClock, systemClock } from '../../../../lib/clock.ts';
import { allocate } from '../../../../lib/linux/fallocate.ts';
import { hasErrno } from '../../../../lib/linux/libc.ts';
import { createLog, silentLog } from '../../../../lib/log.ts';
import type { Assignment } from '../../../../model/assignment.ts';
import { assignment, containerSpec } from '../../../unit/agent/pods/specs.ts';
import { asStream, busyboxImage, dockerArchive } from '../runtime/busybox.ts';
import { type ContainerdHost, startHost } from '../runtime/containerd-host.ts';
import { until } from '../session/host.ts';
import { collect, TestMaster } from '../session/master.ts';

const image = 'tsorch-test:full';
const kernel: FakeKernel = { pods: new Map(), peers: [], config: undefined };
let host: ContainerdHost;
let master: TestMaster;
let agent: Agent;
let stop = new AbortController();

beforeAll(async () => {
  host = await startHost('full', { diskBytes: 160 << 20 });
  master = await TestMaster.start();
  // Filling a disk may hold this process up for longer than a session would be silent.
  master.heartbeatMs = 5000;
  await host.images.load(asStream(await dockerArchive(await busyboxImage(), [image])));
  await startAgent();
});
afterAll(async () => {
  await empty();
  if (!stop.signal.aborted) await agent?.teardown();
  await killAgent();
  master?.kill();
  await host?.close();
});

async function startAgent(): Promise<void> {
  stop = new AbortController();
  agent = await runAgent({
    nodeId: 'n1', master: { address: `127.0.0.1:${master.port}`, credentials: credentials.createInsecure() },
    stateDir: path.join(host.logDir, 'agent'), runDir: path.join(host.runDir, 'agent'), address: '192.0.2.1',
    runtime: host.runtime, images: host.images, network: new FakePodNetwork(kernel),
    log: process.env['TSORCH_TEST_LOG'] ? createLog('agent', 'debug') : silentLog, clock: systemClock, signal: stop.signal,
  });
  await until(() => agent.connected);
}

async function killAgent(): Promise<void> {
  stop.abort();
  await agent?.done;
}

function pod(id: string, shell: string): Assignment {
  return assignment(id, { template: { networkMode: 'host', stopGraceMs: 2000, containers: [containerSpec({ image, command: ['sh', '-c', shell], init: true })] } });
}

const filler = () => path.join(host.logDir, 'filler');

/** To the last block, at once. */
function fill(): void {
  const fd = openSync(filler(), 'a');
  try {
    const { bavail, bsize } = statfsSync(host.logDir);
    let length = 0;
    for (let more = bavail * bsize; more >= 4096; ) {
      try {
        allocate(fd, length + more);
        length += more;
      } catch (error) {
        if (!hasErrno(error, 'ENOSPC')) throw error;
        more = Math.floor(more / 2);
      }
    }
  } finally {
    closeSync(fd);
  }
}

async function empty(): Promise<void> {
  await rm(filler(), { force: true });
}

const status = (id: string) => master.statuses.get(id);

async function exec(podId: string, argv: readonly string[]): Promise<string> {
  const stream = await master.open('exec', { podId, argv, env: {}, tty: false, stdin: false });
  const frames = await collect(stream);
  return Buffer.concat(frames.flatMap((frame) => (frame.$case === 'stdout' ? [frame.value] : []))).toString();
}

describe('a full disk', () => {
  test('what runs goes on and can be stopped, what is new waits and says why, an agent that comes meanwhile knows all of it', async () => {
    const [stays, ends] = [pod('stays', 'while :; do echo tick; sleep 0.02; done'), pod('ends', 'trap "exit 0" TERM; while :; do sleep 0.05; done')];
    master.assign([stays, ends]);
    await until(() => status('stays')?.ready === true && status('ends')?.ready === true);
    const pid = status('stays')?.containers[0]?.pid;
    fill();

    const late = pod('late', 'echo at last; sleep 1000');
    master.assign([stays, ends, late]);
    await until(() => /no (room|space)/i.test(status('late')?.message ?? ''), 20_000);
    expect(status('late')?.phase).not.toBe('failed');
    expect(await exec('stays', ['echo', 'still here'])).toBe('still here\n');

    master.assign([stays, { ...ends, pod: { ...ends.pod, desired: 'stopped', reason: 'scaled down' } }, late]);
    await until(() => status('ends')?.phase === 'succeeded', 20_000);

    // What was kept in reserve for that is there for others now, until the disk is full again.
    await until(() => status('late')?.ready === true, 30_000);
    const pids = () => ['stays', 'late'].map((id) => status(id)?.containers[0]?.pid);
    expect(pids()[0]).toBe(pid);
    const before = pids();
    fill();
    await killAgent();
    master.statuses.clear();
    await startAgent();
    const more = pod('more', 'sleep 1000');
    const rest = [stays, late, more];
    master.assign(rest);
    await until(() => status('stays')?.ready === true && status('late')?.ready === true && /no (room|space)/i.test(status('more')?.message ?? ''), 20_000);
    expect(pids()).toEqual(before);
    expect(status('stays')).toMatchObject({ restarts: 0 });

    await empty();
    await until(() => status('more')?.ready === true, 30_000);
    const chunks = (await collect(await master.open('logs', { podId: 'late', follow: false }))).flatMap((frame) => (frame.$case === 'logs' ? frame.value.chunks : []));
    expect(Buffer.concat(chunks.map(({ data }) => Buffer.from(data))).toString()).toBe('at last\n');
    expect(pids()).toEqual(before);
    const records = path.join(host.logDir, 'agent', 'pods');
    expect(JSON.parse(await readFile(path.join(records, 'stays.json'), 'utf8'))).toMatchObject({ assignment: { pod: { id: 'stays' } } });
  }, 120_000);

  test('a reserve is kept while there is room for many times as much, and given once', async () => {
    const clock = new FakeClock();
    const over = new AbortController();
    const file = path.join(host.logDir, 'reserve');
    const reserve = await DiskReserve.open({ file, clock, log: silentLog, signal: over.signal });
    const size = () => statSync(file, { throwIfNoEntry: false })?.blocks;
    expect(size()).toBe((16 << 20) / 512);
    reserve.give();
    reserve.give();
    expect(size()).toBeUndefined();
    fill();
    await clock.advance(30_000);
    expect(size()).toBeUndefined();
    await empty();
    await clock.advance(30_000);
    await until(() => size() === (16 << 20) / 512);
    // One that is there is not made anew.
    over.abort();
    await DiskReserve.open({ file, clock, log: silentLog, signal: AbortSignal.abort() });
    await rm(file);
  });

  test('all of it can be taken down', async () => {
    master.assign([]);
    await until(() => agent.pods.statuses().length === 0, 20_000);
    expect(await host.runtime.list()).toEqual([]);
  });
});
