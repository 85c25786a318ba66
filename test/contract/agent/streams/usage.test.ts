/** What containers of a real containerd use, and datagrams to their ports. */
import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { AgentStats, ContainerUsage } from '../../../../model/stats.ts';
import type { DataFrame } from '../../../../proto/gen/tsorch/node.ts';
import { until } from '../session/host.ts';
import { collect } from '../session/master.ts';
import { type Kind, StreamLab, write } from './lab.ts';

const mib = 2 ** 20;
let lab: StreamLab;

beforeAll(async () => {
  lab = await StreamLab.start('usage');
  await lab.run('idle', ['sleep', '1000']);
});
afterAll(() => lab?.close());

/** User and system time of a process. */
function processSeconds(pid: number | undefined): number {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]?.split(' ') ?? [];
  return (Number(fields[11]) + Number(fields[12])) / 100;
}

/** As they come, until hung up. */
async function watch(pods: readonly string[] | null, everyMs = 500) {
  const stream = await lab.master.open('stats', { pods, everyMs });
  const got: AgentStats[] = [];
  stream.on('data', ({ kind }: DataFrame) => kind?.$case === 'message' && got.push(JSON.parse(kind.value) as AgentStats));
  stream.resume();
  return { got, of: (podId: string): ContainerUsage | undefined => got.at(-1)?.containers.find((usage) => usage.podId === podId), stop: () => stream.end() };
}

async function snapshot(pods: readonly string[] | null): Promise<AgentStats> {
  const frames = await collect(await lab.master.open('stats', { pods }));
  expect(frames.map(({ $case }) => $case)).toEqual(['message', 'done']);
  return JSON.parse((frames[0] as Extract<Kind, { $case: 'message' }>).value) as AgentStats;
}

describe('statistics', () => {
  test('what a busy loop takes is what the kernel says of its process, and a CPU at most; percent are of the time between', async () => {
    await lab.run('busy', ['sh', '-c', 'while :; do :; done']);
    const pid = lab.agent.pods.get('busy')?.running()?.pid;
    const seen = await watch(['busy', 'idle']);
    const began = performance.now();
    const truth: (readonly [before: number, told: number, after: number])[] = [];
    while (truth.length < 5) {
      const [before, count] = [processSeconds(pid), seen.got.length];
      await until(() => seen.got.length > count, 30_000);
      truth.push([before, seen.of('busy')?.cpu.seconds ?? 0, processSeconds(pid)]);
    }
    const elapsed = (performance.now() - began) / 1000;
    seen.stop();
    // The container's creation counts for its cgroup too; clocks of processes tick in hundredths.
    for (const [before, told, after] of truth) expect(told > before - 0.05 && told < after + 1, `${before} ${told} ${after}`).toBe(true);
    const busy = seen.got.map(({ containers }) => containers.find(({ podId }) => podId === 'busy')?.cpu);
    let between = 0;
    for (const [at, cpu] of busy.entries()) {
      // A busy machine may give it less than a CPU, and never more.
      expect(cpu?.percent).toBeGreaterThan(0);
      expect(cpu?.percent).toBeLessThan(115);
      if (at > 0) between += ((cpu?.seconds ?? 0) - (busy[at - 1]?.seconds ?? 0)) / ((cpu?.percent ?? 0) / 100);
    }
    expect(between).toBeGreaterThan(0.4 * (busy.length - 1));
    expect(between).toBeLessThan(elapsed + 1);
    for (const { containers } of seen.got) expect(containers.find(({ podId }) => podId === 'idle')?.cpu.percent).toBeLessThan(50);
    expect((await snapshot(['busy'])).host.cpus).toBeLessThanOrEqual(availableParallelism());
    lab.remove('busy');
  });

  test('memory is what it holds, without what was only read; limits are told', async () => {
    const script = 'head -c 60000000 /dev/zero > /dev/shm/held; head -c 100000000 /dev/zero > /tmp/cached; busybox sync; exec sleep 1000';
    await lab.run('holds', ['sh', '-c', script], { limits: { memory: 512 * mib, pids: 33 }, shmSize: 200 * mib });
    const seen = await watch(['holds', 'idle']);
    // Once the shell has become `sleep`, all is written.
    const over = () => seen.of('holds')?.pids.current === 1 && (seen.of('holds')?.memory.used ?? 0) > 57 * mib;
    await until(over, 30_000);
    expect(seen.of('holds')?.memory.used).toBeLessThan(110 * mib);
    expect(seen.of('holds')).toMatchObject({ container: 'main', attempt: 1, memory: { limit: 512 * mib }, pids: { current: 1, limit: 33 } });
    expect(seen.of('idle')).toMatchObject({ memory: { limit: null }, network: null });
    expect(seen.of('idle')?.memory.used).toBeLessThan(20 * mib);
    // Bytes to the disk; none where it is not counted, as in memory.
    expect(seen.of('holds')?.block.written).toBeGreaterThanOrEqual(0);
    seen.stop();
  });

  test('all that run, once; what ended is not among them', async () => {
    const { containers, host } = await snapshot(null);
    expect(containers.map(({ podId }) => podId)).toEqual(expect.arrayContaining(['idle', 'holds']));
    expect(host.memory).toBeGreaterThan(60_000_000);
    await lab.run('short', ['true'], {}, 'succeeded');
    expect((await snapshot(['short', 'nope'])).containers).toEqual([]);
  });
});

describe('datagrams', () => {
  let server: Socket;
  let port: number;
  const heard: number[] = [];

  // Pods of this lab are on the host's network, so a server of this process is one of theirs.
  beforeAll(async () => {
    server = createSocket('udp4');
    server.bind(0, '127.0.0.1');
    await once(server, 'listening');
    ({ port } = server.address());
    server.on('message', (message, from) => {
      heard.push(message.length);
      server.send(message, from.port, from.address);
    });
  });
  afterAll(() => server?.close());

  async function forward(podId: string, to: number) {
    const stream = await lab.master.open('port-forward', { podId, port: to, protocol: 'udp' });
    const frames: Kind[] = [];
    stream.on('data', ({ kind }: DataFrame) => kind && frames.push(kind));
    stream.resume();
    await until(() => frames.length > 0);
    const datagrams = () => frames.flatMap((frame) => (frame.$case === 'stdout' ? [frame.value] : []));
    return { stream, frames, datagrams, send: (data: Buffer) => write(stream, { $case: 'stdin', value: data }) };
  }

  test('each is one, whatever its size, there and back', async () => {
    const { stream, frames, datagrams, send } = await forward('idle', port);
    const sizes = [1, 0, 1400, 9000, 60_000, 65_507];
    for (const [at, size] of sizes.entries()) {
      send(Buffer.alloc(size, at + 1));
      await until(() => datagrams().length === at + 1);
    }
    expect(datagrams().map((data) => data.length)).toEqual(sizes);
    expect(datagrams().every((data, at) => data.every((byte) => byte === at + 1))).toBe(true);
    expect(frames.flatMap((frame) => (frame.$case === 'taken' ? [frame.value] : []))).toEqual(sizes);
    // A burst, as of a resolver that asks for both kinds of address.
    for (let i = 0; i < 20; i++) send(Buffer.from(`burst ${i}`));
    await until(() => datagrams().length === sizes.length + 20);
    stream.end();
  });

  test('where nobody listens they are lost, and get through once somebody does', async () => {
    const late = createSocket('udp4');
    late.bind(0, '127.0.0.1');
    await once(late, 'listening');
    const free = late.address().port;
    await new Promise<void>((resolve) => late.close(() => resolve()));
    const { stream, frames, datagrams, send } = await forward('idle', free);
    for (let i = 0; i < 3; i++) send(Buffer.from('lost'));
    await until(() => frames.filter(({ $case }) => $case === 'taken').length === 3);
    const again = createSocket('udp4');
    again.on('message', (message, from) => again.send(message, from.port, from.address));
    again.bind(free, '127.0.0.1');
    await once(again, 'listening');
    try {
      await until(() => {
        if (datagrams().length === 0) send(Buffer.from('found'));
        return datagrams().some((data) => data.toString() === 'found');
      });
    } finally {
      again.close();
      stream.end();
    }
  });

  test('a container that ends ends it: whoever sends more finds another', async () => {
    await lab.run('goes', ['sleep', '1000']);
    const { stream, frames, send, datagrams } = await forward('goes', port);
    send(Buffer.from('x'));
    await until(() => datagrams().length === 1);
    lab.remove('goes');
    await until(() => frames.at(-1)?.$case === 'done');
    stream.end();
  });
});
