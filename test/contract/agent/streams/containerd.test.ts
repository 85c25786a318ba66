/** Into running containers, on a real containerd: exec with all that it starts, attachments, connections to ports. */
import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import fs from 'node:fs/promises';
import path from 'node:path';
import { credentials } from '@grpc/grpc-js';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Agent, runAgent } from '../../../../agent/main.ts';
import { FakePodNetwork } from '../../../../agent/network/fake.ts';
import { cgroupProcesses } from '../../../../agent/runtime/cgroup.ts';
import { systemClock } from '../../../../lib/clock.ts';
import { silentLog } from '../../../../lib/log.ts';
import type { AttachInfo } from '../../../../model/api.ts';
import type { ContainerSpec } from '../../../../model/spec.ts';
import type { DataFrame } from '../../../../proto/gen/tsorch/node.ts';
import { assignment, containerSpec } from '../../../unit/agent/pods/specs.ts';
import { busyboxImage, dockerArchive, asStream } from '../runtime/busybox.ts';
import { type ContainerdHost, startHost } from '../runtime/containerd-host.ts';
import { until } from '../session/host.ts';
import { collect, type Data, TestMaster } from '../session/master.ts';

type Kind = NonNullable<DataFrame['kind']>;

const image = 'tsorch-test:streams';
let host: ContainerdHost;
let master: TestMaster;
let agent: Agent;
let stop = new AbortController();
let directory: string;

async function startAgent(): Promise<void> {
  stop = new AbortController();
  agent = await runAgent({
    nodeId: 'n1', master: { address: `127.0.0.1:${master.port}`, credentials: credentials.createInsecure() }, stateDir: path.join(directory, 'state'), runDir: path.join(directory, 'run'), address: '192.0.2.1',
    runtime: host.runtime, images: host.images, network: new FakePodNetwork({ pods: new Map(), peers: [], config: undefined }), log: silentLog, clock: systemClock, signal: stop.signal,
  });
  await until(() => agent.connected);
}

async function stopAgent(): Promise<void> {
  stop.abort();
  await agent.done;
}

async function run(id: string, command: readonly string[], over: Partial<ContainerSpec> = {}): Promise<void> {
  const containers = [containerSpec({ image, command, ...over })];
  master.assign([assignment(id, { template: { networkMode: 'host', stopGraceMs: 1000, containers, restart: { condition: 'none', delayMs: 100, maxAttempts: 0, windowMs: 1000 } } })], { full: false });
  await until(() => master.statuses.get(id)?.phase === 'running');
}

beforeAll(async () => {
  host = await startHost('streams');
  directory = path.join(host.logDir, 'agent');
  await host.images.load(asStream(await dockerArchive(await busyboxImage(), [image])));
  master = await TestMaster.start();
  await startAgent();
  await run('still', ['sleep', '1000']);
});
afterAll(async () => {
  if (agent && !stop.signal.aborted) {
    await agent.teardown();
    await stopAgent();
  }
  master?.kill();
  await host?.close();
});

const write = (stream: Data, kind: Kind) => stream.write({ kind });
const exec = (argv: readonly string[], over: object = {}) => master.open('exec', { podId: 'still', argv, env: {}, tty: false, stdin: false, ...over });
const bytesOf = (frames: readonly Kind[], which: 'stdout' | 'stderr') => Buffer.concat(frames.flatMap((f) => (f.$case === which ? [f.value] : [])));

/** What comes, as it comes. */
function listen(stream: Data) {
  const frames: Kind[] = [];
  stream.on('data', ({ kind }: DataFrame) => kind && frames.push(kind));
  stream.resume();
  return { frames, stdout: () => bytesOf(frames, 'stdout').toString(), ended: () => frames.some((f) => f.$case === 'done' || f.$case === 'error') };
}

/** Command lines of what runs in a pod's containers. */
async function running(pod: string): Promise<string[]> {
  const pids = await cgroupProcesses(host.runtime.context.layout, `/${host.cgroupPrefix}/${pod}`);
  return pids.flatMap((pid) => {
    try {
      return [readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ').trim()].filter(Boolean);
    } catch {
      return [];
    }
  });
}
const runs = async (pod: string, command: string) => (await running(pod)).includes(command);

describe('exec', () => {
  test('a caller that goes takes along all that its command started', async () => {
    const stream = await exec(['sh', '-c', 'sleep 6001 & sleep 6002; echo never']);
    await until(async () => (await runs('still', 'sleep 6001')) && (await runs('still', 'sleep 6002')));
    stream.end();
    await until(async () => !(await running('still')).some((line) => line.startsWith('sleep 600')));
    expect(await runs('still', 'sleep 1000')).toBe(true);
  });

  test('a signal reaches the command and its children, also past input that nobody reads', async () => {
    const stream = await exec(['sh', '-c', 'trap "exit 42" INT; echo ready; sleep 6003; exit 1'], { stdin: true });
    const seen = listen(stream);
    await until(() => seen.stdout() === 'ready\n');
    for (let i = 0; i < 16; i++) write(stream, { $case: 'stdin', value: Buffer.alloc(64 * 1024) });
    write(stream, { $case: 'signal', value: 2 });
    await until(seen.ended);
    expect(seen.frames.at(-1)).toEqual({ $case: 'done', value: 42 });
    expect(await runs('still', 'sleep 6003')).toBe(false);
    stream.end();
  });

  test('what cannot be run: 127, 126', async () => {
    for (const [argv, code] of [[['no-such-program'], 127], [['/etc/passwd'], 126]] as const) expect((await collect(await exec(argv))).at(-1)).toEqual({ $case: 'done', value: code });
  });

  test('200 MB there and back, with their checksum, and nothing piles up', async () => {
    const stream = await exec(['cat'], { stdin: true });
    const [sent, received] = [createHash('sha256'), createHash('sha256')];
    const part = randomBytes(64 * 1024);
    const before = process.memoryUsage().rss;
    let [most, bytes, open] = [0, 0, 0];
    let room: (() => void) | undefined;
    const reading = (async () => {
      for await (const { kind } of stream as AsyncIterable<DataFrame>) {
        if (kind?.$case === 'taken') {
          open -= kind.value;
          room?.();
        } else if (kind?.$case === 'stdout') {
          received.update(kind.value);
          bytes += kind.value.length;
          most = Math.max(most, process.memoryUsage().rss);
        } else if (kind?.$case === 'done') return kind.value;
      }
      return -1;
    })();
    const parts = 3200;
    for (let i = 0; i < parts; i++) {
      part.writeUInt32LE(i);
      sent.update(part);
      open += part.length;
      if (!stream.write({ kind: { $case: 'stdin', value: Buffer.from(part) } })) await once(stream, 'drain');
      while (open >= 1 << 20) await new Promise<void>((resolve) => (room = resolve));
    }
    write(stream, { $case: 'stdinEnd', value: true });
    expect(await reading).toBe(0);
    expect([bytes, received.digest('hex')]).toEqual([parts * part.length, sent.digest('hex')]);
    // Both ends are in this process, and the garbage of both.
    expect(most - before).toBeLessThan(250_000_000);
    stream.end();
  });

  test('detached from the beginning, or left later: it goes on, through the next agent too', async () => {
    expect(await collect(await exec(['sh', '-c', 'echo $$ > /tmp/sleeper; seq 1 100000; exec sleep 6004'], { detach: true }))).toEqual([{ $case: 'done', value: 0 }]);
    const stream = await exec(['sh', '-c', 'echo here; i=0; while [ ! -e /tmp/stop ]; do sleep 0.02; seq 1 2000; i=$((i + 1)); echo $i > /tmp/turn; done'], { tty: true, stdin: true });
    const seen = listen(stream);
    await until(() => seen.stdout().includes('here'));
    write(stream, { $case: 'detach', value: true });
    await until(seen.ended);
    stream.end();
    const both = async () => (await runs('still', 'sleep 6004')) && (await running('still')).some((line) => line.includes('seq 1 2000'));
    await until(both);
    await stopAgent();
    await startAgent();
    await until(both);
    // It is read from: a full pipe would have stopped it at some turn.
    const turn = async () => Number(bytesOf(await collect(await exec(['cat', '/tmp/turn'])), 'stdout').toString());
    const now = await turn();
    await until(async () => (await turn()) > now + 20);
    await collect(await exec(['sh', '-c', 'touch /tmp/stop; kill -9 $(cat /tmp/sleeper)']));
    await until(async () => (await running('still')).length === 1);
  });
});

describe('attach', () => {
  const attach = async (podId: string, over: object = {}) => {
    const stream = await master.open('attach', { podId, stdin: true, ...over });
    const seen = listen(stream);
    await until(() => seen.frames.some((f) => f.$case === 'message' || f.$case === 'error'));
    const first = seen.frames[0];
    return { stream, ...seen, info: first?.$case === 'message' ? (JSON.parse(first.value) as AttachInfo) : undefined };
  };

  test('input that stays open as people come and go, output to all of them, the exit code', async () => {
    await run('talks', ['sh', '-c', 'while read line; do echo "got $line"; [ "$line" = end ] && exit 9; done; echo "input ended"'], { stdinOpen: true });
    const one = await attach('talks');
    expect(one.info).toMatchObject({ tty: false, stdin: true, container: 'main', attempt: 1, places: { stdout: 0, stderr: 0 } });
    const two = await attach('talks');
    write(one.stream, { $case: 'stdin', value: Buffer.from('a\n') });
    await until(() => one.stdout() === 'got a\n' && two.stdout() === 'got a\n');
    write(one.stream, { $case: 'stdinEnd', value: true });
    one.stream.end();
    write(two.stream, { $case: 'stdin', value: Buffer.from('b\n') });
    await until(() => two.stdout() === 'got a\ngot b\n');
    // Only from then on; and through a restart of the agent, which holds nothing open.
    await stopAgent();
    await startAgent();
    await until(() => agent.pods.get('talks')?.running() !== null);
    const three = await attach('talks', { attempt: 1, places: { stdout: 6, stderr: 0 } });
    await until(() => three.stdout() === 'got b\n');
    write(three.stream, { $case: 'stdin', value: Buffer.from('end\n') });
    await until(three.ended);
    expect([three.stdout(), three.frames.at(-1)]).toEqual(['got b\ngot end\n', { $case: 'done', value: 9 }]);
    three.stream.end();
  });

  test('a terminal has a size; without stdin_open there is no input', async () => {
    await run('term', ['sh', '-c', 'while sleep 0.05; do stty size; done'], { tty: true, stdinOpen: true });
    const term = await attach('term');
    expect(term.info).toMatchObject({ tty: true, stdin: true });
    write(term.stream, { $case: 'resize', value: { width: 133, height: 44 } });
    await until(() => term.stdout().includes('44 133'));
    write(term.stream, { $case: 'signal', value: 9 });
    await until(term.ended);
    expect(term.frames.at(-1)).toEqual({ $case: 'done', value: 137 });
    expect((await attach('still')).info).toMatchObject({ tty: false, stdin: false });
    expect((await attach('still', { attempt: 7 })).frames).toMatchObject([{ $case: 'error', value: { code: 'conflict' } }]);
    expect((await attach('none')).frames).toMatchObject([{ $case: 'error', value: { code: 'unavailable' } }]);
  });
});

describe('port-forward', () => {
  const forward = (port: number, protocol = 'tcp') => master.open('port-forward', { podId: 'still', port, protocol });

  test('a megabyte each way, each half closed by itself', async () => {
    await run('server', ['nc', '-l', '-p', '18931', '-e', 'sh', '-c', 'wc -c; head -c 1000000 /dev/zero']);
    await until(() => /:49F3 0+:0000 0A/.test(readFileSync('/proc/net/tcp', 'utf8') + readFileSync('/proc/net/tcp6', 'utf8')));
    const stream = await forward(18931);
    const seen = listen(stream);
    for (let i = 0; i < 16; i++) write(stream, { $case: 'stdin', value: Buffer.alloc(65_536, 1) });
    write(stream, { $case: 'stdinEnd', value: true });
    await until(seen.ended);
    const out = bytesOf(seen.frames, 'stdout');
    expect([out.subarray(0, 8).toString(), out.length]).toEqual(['1048576\n', 1_000_008]);
    expect(seen.frames.map(({ $case }) => $case).filter((kind) => kind !== 'stdout' && kind !== 'taken')).toEqual(['message', 'stdoutEnd', 'done']);
    stream.end();
  });

  test('where nobody listens, and what is no port', async () => {
    expect(await collect(await forward(18932))).toMatchObject([{ $case: 'error', value: { code: 'unavailable', message: expect.stringContaining('nobody listens on port 18932') } }]);
    expect(await collect(await forward(0))).toMatchObject([{ $case: 'error', value: { code: 'invalid' } }]);
  });
});

test('nothing of it stays: no pipes, no directories', async () => {
  await until(async () => (await fs.readdir(path.join(host.runDir, 'exec'))).length === 0);
});
