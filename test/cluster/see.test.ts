/** Seeing into a running cluster: logs, exec, attach, files, ports, statistics, over two hosts, as a person at the command line has them. */
import { createHash, randomBytes } from 'node:crypto';
import { createSocket } from 'node:dgram';
import { mkdirSync, readFileSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import type { PodUsage } from '../../cli/commands/usage.ts';
import { buildImages } from '../../deploy/images/build.ts';
import type { LogLine } from '../../model/api.ts';
import type { ContainerStats, NodeStats } from '../../model/stats.ts';
import { busyboxImage, dockerArchive } from '../contract/agent/runtime/busybox.ts';
import { Cluster } from './lib/cluster.ts';
import { processesOf } from './lib/processes.ts';
import type { Running } from './lib/running.ts';
import { until } from './lib/tsorch.ts';

const mib = 2 ** 20;
let cluster: Cluster;
const open: Running[] = [];

beforeAll(async () => {
  cluster = await Cluster.own('t-see', ['--nodes', '2']);
  const archive = join(cluster.dir, 'busybox.tar');
  writeFileSync(archive, await dockerArchive(await busyboxImage(), ['t-see:1']));
  const cache = '/var/cache/tsorch/images';
  const [python] = await buildImages({ out: `${cache}/archives`, cache, names: ['voting-vote'], say: () => {} });
  await cluster.ok(['image', 'load', archive, python?.path ?? ''], { timeoutMs: 240_000 });
  await cluster.ok(['apply', '-f', join(import.meta.dirname, 'stacks/see.yml'), '--wait', '--timeout', '90s'], { timeoutMs: 120_000 });
}, 400_000);
// A machine that is very busy may lose a session for a moment, and with it what goes over it.
beforeEach(async () => {
  await until('both hosts to be there', async () => (await cluster.nodes()).every(({ state }) => state === 'ready'));
});
afterEach(async () => {
  await Promise.all(open.splice(0).map((each) => each.interrupt()));
});
afterAll(async () => {
  await cluster?.destroy();
}, 120_000);

function start(...args: readonly string[]): Running {
  const running = cluster.open(args);
  open.push(running);
  return running;
}

const lines = (text: string) => text.trimEnd().split('\n').map((line) => JSON.parse(line) as LogLine);
const sha = (data: Uint8Array) => createHash('sha256').update(data).digest('hex');

describe('logs', () => {
  test('of many replicas on several hosts: one stream, in order of time', async () => {
    expect(new Set((await cluster.pods('see_chat')).map(({ node }) => node)).size).toBe(2);
    const got = await until('all four to have said something', async () => {
      const all = lines(await cluster.ok(['logs', '--format', 'json', 'see_chat']));
      return new Set(all.map(({ pod }) => pod)).size === 4 && all.length > 20 && all;
    });
    expect(got.map(({ time }) => time)).toEqual(got.map(({ time }) => time).toSorted((a, b) => a - b));
    for (const pod of ['see_chat.1', 'see_chat.2', 'see_chat.3', 'see_chat.4']) {
      const own = got.filter((line) => line.pod === pod).map(({ line }) => line);
      expect(own).toEqual(own.map((_, at) => `tick ${at + 1}`));
    }
    const tail = (await cluster.ok(['logs', '--tail', '2', 'see_chat'])).trimEnd().split('\n');
    expect(tail).toHaveLength(8);
    for (const line of tail) expect(line).toMatch(/^see_chat\.\d \| tick \d+$/);
  });

  test('followed through a restart; the attempt before', async () => {
    const follower = start('logs', '-f', 'see_mortal');
    await follower.says('born\n');
    // It may take along what tells it to.
    await cluster.exec('see_mortal', ['kill', '-TERM', '1']);
    await follower.says(/born\n[^]*last words\n[^]*born\n/);
    const previous = lines(await cluster.ok(['logs', '--previous', '--format', 'json', 'see_mortal']));
    expect(previous.map(({ line, attempt }) => [line, attempt])).toEqual([['born', 1], ['last words', 1]]);
    expect((await cluster.pods('see_mortal'))[0]?.restarts).toBe(1);
    expect(await follower.interrupt()).toBe(130);
  });

  test('200 MB on one line and a million behind it take no memory of the host, and the end of it can be read', async () => {
    const [pod] = await cluster.pods('see_flood');
    const program = processesOf(cluster, `program-${pod?.node?.slice('node-'.length)}`)[0] as number;
    const rss = () => Number(/^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/${program}/status`, 'utf8'))?.[1]) * 1024;
    const before = rss();
    let most = before;
    const follower = start('logs', '-f', '--tail', '1', 'see_flood');
    await cluster.exec('see_flood', ['touch', '/tmp/go']);
    await until('the last line', async () => {
      most = Math.max(most, rss());
      return (await cluster.ok(['logs', '--tail', '1', '--no-prefix', 'see_flood'])) === '1000000\n';
    }, 90_000);
    most = Math.max(most, rss());
    await follower.says('1000000\n', 60_000);
    console.log(`host program while 207 MB were written and followed: ${Math.round(before / 1e6)} MB before, ${Math.round(most / 1e6)} MB at most`);
    expect(most - before).toBeLessThan(200_000_000);
    // Whatever is kept of it, it is the end, whole.
    const kept = await cluster.ok(['logs', '--no-prefix', 'see_flood'], { timeoutMs: 60_000 });
    expect(kept.endsWith('\n999999\n1000000\n')).toBe(true);
  }, 240_000);
});

describe('into containers', () => {
  test('a tar stream through exec, byte for byte; exit codes', async () => {
    const folder = join(cluster.dir, 'tree');
    mkdirSync(join(folder, 'sub'), { recursive: true });
    const data = randomBytes(3_000_000);
    writeFileSync(join(folder, 'sub/data'), data);
    const archive = execFileSync('tar', ['c', '-C', folder, '.'], { maxBuffer: 1 << 26 });
    expect(await cluster.tsorch(['exec', '-i', 'see_chat.1', '--', 'sh', '-c', 'mkdir -p /tmp/in && busybox tar x -C /tmp/in'], { input: archive })).toMatchObject({ code: 0, stderr: '' });
    expect((await cluster.exec('see_chat.1', ['busybox', 'sha256sum', '/tmp/in/sub/data'])).stdout.slice(0, 64)).toBe(sha(data));
    for (const [argv, code] of [[['sh', '-c', 'exit 42'], 42], [['no-such-program'], 127], [['/etc/passwd'], 126], [['sh', '-c', 'kill -9 $$'], 137]] as const) {
      expect((await cluster.exec('see_chat.2', argv)).code, argv.join(' ')).toBe(code);
    }
  });

  test('attach: what it is told, what it says, and leaving it as it is', async () => {
    const attached = start('attach', '--no-sig-proxy', 'see_talk');
    attached.type('hello\n');
    await attached.says('heard hello\n');
    await attached.interrupt();
    const again = start('attach', '--no-sig-proxy', 'see_talk');
    again.type('again\n');
    await again.says('heard again\n');
    expect(again.stdout).not.toContain('hello');
    expect((await cluster.pods('see_talk'))[0]).toMatchObject({ state: 'running', restarts: 0 });
  });

  test('cp: in to one host, out of it, in to another', async () => {
    const pods = await cluster.pods('see_chat');
    const [here, there] = [pods.find(({ node }) => node === 'node-1')!.name, pods.find(({ node }) => node === 'node-2')!.name];
    const folder = join(cluster.dir, 'site');
    mkdirSync(join(folder, 'deep/er'), { recursive: true });
    const data = randomBytes(2_000_000);
    writeFileSync(join(folder, 'deep/er/data'), data, { mode: 0o640 });
    symlinkSync('deep/er/data', join(folder, 'link'));
    await cluster.ok(['cp', folder, `${here}:/tmp/`]);
    await cluster.ok(['cp', `${here}:/tmp/site/.`, join(cluster.dir, 'back')]);
    expect(sha(readFileSync(join(cluster.dir, 'back/link')))).toBe(sha(data));
    expect(statSync(join(cluster.dir, 'back/deep/er/data')).mode & 0o777).toBe(0o640);
    const stream = execFileSync('tar', ['c', '-C', cluster.dir, 'back'], { maxBuffer: 1 << 26 });
    expect(await cluster.tsorch(['cp', '-q', '-', `${there}:/tmp`], { input: stream })).toMatchObject({ code: 0, stderr: '' });
    expect((await cluster.exec(there, ['busybox', 'sha256sum', '/tmp/back/link'])).stdout.slice(0, 64)).toBe(sha(data));
    expect(await cluster.tsorch(['cp', `${there}:/tmp/nope`, cluster.dir])).toMatchObject({ code: 4, stderr: 'error: there is no /tmp/nope in the container\n' });
    expect(await cluster.tsorch(['cp', 'see_chta.1:/tmp', cluster.dir])).toMatchObject({ code: 4, stderr: expect.stringContaining('did you mean see_chat.1?') as string });
  });

  test('ports: a connection with a megabyte each way, and datagrams, all of the first ones', async () => {
    const forwarding = start('port-forward', 'see_echo', ':7000', ':7001/udp');
    const said = await forwarding.says(/7001\/udp/);
    const [tcp = 0, udp = 0] = Array.from(said.matchAll(/127\.0\.0\.1:(\d+) leads/g), ([, port]) => Number(port));
    const sent = randomBytes(1_000_000);
    const socket = connect({ host: '127.0.0.1', port: tcp });
    const parts: Buffer[] = [];
    socket.on('data', (part: Buffer) => parts.push(part));
    socket.end(sent);
    await once(socket, 'end');
    expect(sha(Buffer.concat(parts))).toBe(sha(sent));
    const client = createSocket('udp4');
    const heard = new Set<string>();
    client.on('message', (message) => heard.add(`${message.length} ${message.subarray(0, 12).toString()}`));
    try {
      // At once, before there is a way for them.
      const datagrams = Array.from({ length: 10 }, (_, at) => Buffer.concat([Buffer.from(`datagram ${at}  `), Buffer.alloc(at * 800)]));
      for (const datagram of datagrams) client.send(datagram, udp, '127.0.0.1');
      await until('all of them to come back', () => heard.size === datagrams.length);
      expect([...heard].toSorted()).toEqual(datagrams.map((datagram) => `${datagram.length} ${datagram.subarray(0, 12).toString()}`).toSorted());
    } finally {
      client.close();
    }
    expect(forwarding.stderr).toBe('');
  });
});

describe('statistics', () => {
  test('of containers: CPU by their limit, memory, limits, processes', async () => {
    const stats = await until('a busy one', async () => {
      const got = await cluster.json<ContainerStats[]>(['stats', 'see']);
      return (got.find(({ service }) => service === 'see_work')?.cpu.percent ?? 0) > 8 && got;
    });
    expect(stats.map(({ name }) => name)).toEqual(['see_chat.1', 'see_chat.2', 'see_chat.3', 'see_chat.4', 'see_echo.1', 'see_flood.1', 'see_mortal.1', 'see_talk.1', 'see_work.1']);
    const work = stats.find(({ service }) => service === 'see_work')!;
    // What it may have in a whole period falls into half of one at times.
    expect(work.cpu.percent).toBeLessThan(65);
    expect(work).toMatchObject({ memory: { limit: 64 * mib }, pids: { current: 1, limit: 20 }, container: 'work', slot: 1 });
    const echo = stats.find(({ service }) => service === 'see_echo')!;
    expect(echo.memory.used).toBeGreaterThan(4 * mib);
    expect(echo.pids.current).toBeGreaterThanOrEqual(2);
    for (const { network } of stats) expect(network?.received).toBeGreaterThanOrEqual(0);
    const table = await cluster.ok(['stats', 'see_work']);
    expect(table).toMatch(/^NAME +NODE +CPU % +MEM USAGE \/ LIMIT +MEM % +NET I\/O +BLOCK I\/O +PIDS\nsee_work\.1 +node-\d +\d+\.\d+% +[\d.]+[KM]iB \/ 64MiB /);
  });

  test('bytes that pods send to each other are counted on both sides', async () => {
    const [from, to] = ['see_chat.1', 'see_chat.2'];
    const ip = (await cluster.pods(to))[0]?.ip as string;
    const traffic = async () => new Map((await cluster.json<ContainerStats[]>(['stats', from, to])).map(({ name, network }) => [name, network]));
    const before = await traffic();
    start('exec', to, '--', 'nc', '-ll', '-p', '7002', '-e', 'wc', '-c');
    await until('it to get through', async () => (await cluster.exec(from, ['sh', '-c', `head -c 3000000 /dev/zero | nc ${ip} 7002`])).stdout.trim() === '3000000');
    const after = await traffic();
    for (const [name, which] of [[from, 'sent'], [to, 'received']] as const) {
      const bytes = (after.get(name)?.[which] ?? 0) - (before.get(name)?.[which] ?? 0);
      expect(bytes, name).toBeGreaterThan(2_900_000);
      expect(bytes, name).toBeLessThan(6_000_000);
    }
  });

  test('top: nodes and pods, the most first; live for as long as one looks', async () => {
    const top = await cluster.json<{ nodes: NodeStats[]; pods: PodUsage[] }>(['top']);
    expect(top.nodes.map(({ name, message }) => `${name} ${message}`).toSorted()).toEqual(['node-1 ', 'node-2 ']);
    for (const { used, capacity } of top.nodes) {
      expect(used?.cpus).toBeGreaterThan(0);
      expect(used?.cpus).toBeLessThanOrEqual(capacity.cpus);
      expect(used?.memory).toBeGreaterThan(100 * mib);
      expect(used?.memory).toBeLessThan(capacity.memory);
    }
    expect(top.pods.map(({ cpus }) => cpus)).toEqual(top.pods.map(({ cpus }) => cpus).toSorted((a, b) => b - a));
    const byMemory = await cluster.json<PodUsage[]>(['top', 'pods', '--sort', 'memory']);
    expect(byMemory.map(({ memory }) => memory)).toEqual(byMemory.map(({ memory }) => memory).toSorted((a, b) => b - a));
    const live = start('top', 'nodes', '--stream', '--format', 'json');
    await live.says(/^.*\n.*\n.*\n/);
    for (const line of live.stdout.trimEnd().split('\n').slice(0, 3)) expect((JSON.parse(line) as NodeStats[]).map(({ name }) => name).toSorted()).toEqual(['node-1', 'node-2']);
  });

  test('a host that is stuck is a row that says so, and holds up nobody', async () => {
    const program = processesOf(cluster, 'program-2')[0] as number;
    process.kill(program, 'SIGSTOP');
    try {
      const { stdout, stderr, code } = await cluster.tsorch(['top', 'nodes'], { timeoutMs: 20_000 });
      expect(code).toBe(0);
      expect(stdout).toMatch(/node-2 .* -- \/ /);
      expect(stderr).toMatch(/warning: node-2 (does not answer|is not connected|is down)/);
    } finally {
      process.kill(program, 'SIGCONT');
    }
    await until('it to be back', async () => (await cluster.json<NodeStats[]>(['top', 'nodes'])).every(({ used }) => used !== null), 30_000);
  });
});
