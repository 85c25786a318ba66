/**
 * The main job, end to end: the example on three real hosts. One cluster serves all of it, so the tests are in order: what a later
 * one breaks and mends, an earlier one has already seen whole.
 */
import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { clusterNames } from '../../deploy/local/names.ts';
import { Cluster } from './lib/cluster.ts';
import { buildExampleImages } from './lib/images.ts';
import { get, startLoad } from './lib/load.ts';
import { killProcess, processesOf } from './lib/processes.ts';
import { root, until } from './lib/tsorch.ts';

const example = join(root, 'deploy/examples/voting/stack.yml');
let cluster: Cluster;

beforeAll(async () => {
  cluster = await Cluster.own('t-main', ['--split', '--underlay', 'vxlan']);
  await cluster.ok(['image', 'load', ...(await buildExampleImages())], { timeoutMs: 240_000 });
  await cluster.ok(['apply', '-f', example, '--wait', '--timeout', '90s'], { timeoutMs: 120_000 });
}, 400_000);

afterAll(async () => {
  await cluster?.destroy();
}, 120_000);

const url = async (node: string, port: number) => `http://${await cluster.address(node)}:${port}/`;

async function vote(node: string, choice: 'a' | 'b'): Promise<void> {
  await get(await url(node, 8080), undefined, 10_000, 'POST', `vote=${choice}`);
}

async function count(node = 'node-1'): Promise<{ a: number; b: number }> {
  return JSON.parse((await get(`${await url(node, 8081)}votes.json`)).body) as { a: number; b: number };
}

describe('the example', () => {
  test('every pod runs where its constraints say', async () => {
    const nodes = new Map((await cluster.nodes()).map((node) => [node.name, node]));
    const pods = await cluster.pods('voting');
    expect(pods.map((pod) => [pod.name, pod.state, pod.ready])).toEqual([
      ['voting_db.1', 'running', true], ['voting_redis.1', 'running', true], ['voting_result.1', 'running', true],
      ['voting_vote.1', 'running', true], ['voting_vote.2', 'running', true], ['voting_worker.1', 'running', true],
    ]);
    const labelsOf = (name: string) => pods.filter((pod) => pod.service === name).map((pod) => nodes.get(pod.node ?? '')?.labels['type']);
    expect(labelsOf('voting_vote')).toEqual(['frontend', 'frontend']);
    expect(labelsOf('voting_db')).toEqual(['backend']);
    expect(new Set(pods.filter((pod) => pod.service === 'voting_vote').map((pod) => pod.node)).size).toBe(2);
  });

  test('the vote page answers on the published port of every host', async () => {
    for (const node of ['node-1', 'node-2', 'node-3']) {
      const { body } = await get(await url(node, 8080));
      expect(body).toContain('Cats or Dogs?');
    }
  });

  test('a vote cast through any host appears in the result page of every host', async () => {
    const before = await count();
    for (const node of ['node-1', 'node-2', 'node-3']) await vote(node, 'a');
    await vote('node-3', 'b');
    for (const node of ['node-1', 'node-2', 'node-3']) {
      await until(`the votes on ${node}`, async () => {
        const now = await count(node);
        return now.a === before.a + 3 && now.b === before.b + 1;
      }, 15_000);
    }
  });

  test('applying it again changes nothing', async () => {
    const before = await cluster.pids();
    const result = await cluster.json<{ services: Record<string, string> }>(['apply', '-f', example]);
    expect(Object.values(result.services).every((verdict) => verdict === 'unchanged')).toBe(true);
    expect(await cluster.pids()).toEqual(before);
  });

  test('logs and exec reach the containers', async () => {
    expect(await cluster.ok(['logs', 'voting_worker'])).toMatch(/stored a of/);
    const shell = await cluster.exec('voting_redis.1', ['sh', '-c', 'id -un; exit 7']);
    expect(shell).toMatchObject({ code: 7, stdout: 'redis\n' });
    const bytes = Buffer.from(Array.from({ length: 70_000 }, (_, i) => i % 256));
    const echoed = await cluster.tsorch(['exec', '-i', 'voting_redis.1', '--', 'sha256sum'], { input: bytes });
    expect(echoed.stdout).toContain(execFileSync('sha256sum', { input: bytes }).toString().slice(0, 64));
  });
});

describe('load balancing and isolation', () => {
  const stack = join(import.meta.dirname, 'stacks/balance.yml');

  beforeAll(async () => {
    await cluster.ok(['apply', '-f', stack, '--wait', '--timeout', '60s'], { timeoutMs: 90_000 });
  }, 100_000);

  afterAll(async () => {
    await cluster.ok(['rm', 'balance']);
  });

  test('300 new connections to a VIP: 100 to each of three backends on different hosts', async () => {
    const service = (await cluster.services()).find((candidate) => candidate.id === 'balance_who');
    const vip = service?.vips[0]?.ip;
    expect(vip).toBeTruthy();
    expect(new Set((await cluster.pods('balance_who')).map((pod) => pod.node)).size).toBe(3);
    for (const host of [vip as string, 'who']) {
      const { stdout, stderr, code } = await cluster.exec('balance_client.1', ['python3', '/client.py', host, '300'], { timeoutMs: 60_000 });
      expect(stderr).toBe('');
      expect(code).toBe(0);
      const counts = JSON.parse(stdout) as Record<string, number>;
      expect(Object.values(counts)).toEqual([100, 100, 100]);
    }
  });

  test('what crosses from host to host is in the tunnel', async () => {
    const sent = () => Number(JSON.parse(execFileSync('nsenter', [`--net=/run/netns/ts-${cluster.name}-1`, 'ip', '-j', '-s', 'link', 'show', 'tsorch0']).toString())[0].stats64.tx.packets);
    const before = sent();
    const client = (await cluster.pods('balance_client'))[0];
    const far = (await cluster.pods('balance_who')).find((pod) => pod.node === 'node-1' && pod.node !== client?.node) ?? (await cluster.pods('balance_who')).find((pod) => pod.node !== client?.node);
    await cluster.exec('balance_client.1', ['python3', '/client.py', far?.ip ?? '', '50'], { timeoutMs: 60_000 });
    if (client?.node === 'node-1' || far?.node === 'node-1') expect(sent() - before).toBeGreaterThanOrEqual(100);
    else expect.unreachable('the pods are spread over three hosts, one of them node-1');
  });

  test('a container on front only cannot resolve or reach db', async () => {
    const db = (await cluster.pods('voting_db'))[0];
    const vip = (await cluster.services()).find((service) => service.id === 'voting_db')?.vips[0]?.ip;
    const script = (host: string) => `import socket
try:
    socket.create_connection((${JSON.stringify(host)}, 5432), timeout=3); print("reached")
except socket.gaierror as error: print("not resolved")
except OSError as error: print("not reached")`;
    const ask = async (host: string) => (await cluster.exec('voting_vote.1', ['python3', '-c', script(host)])).stdout.trim();
    expect(await ask('db')).toBe('not resolved');
    expect(await ask(db?.ip ?? '')).toBe('not reached');
    expect(await ask(vip ?? '')).toBe('not reached');
    // The same question from a container on back is answered: the test can fail.
    const worker = async (host: string) => (await cluster.exec('voting_worker.1', ['python3', '-c', script(host)])).stdout.trim();
    expect(await worker('db')).toBe('reached');
    expect(await worker(db?.ip ?? '')).toBe('reached');
    expect(await worker(vip ?? '')).toBe('reached');
  });
});

describe('what cannot be', () => {
  const file = (text: string) => {
    const path = join(cluster.dir, 'bad.yml');
    writeFileSync(path, text);
    return path;
  };

  test('an unknown key is refused with its place and what was meant', async () => {
    const output = await cluster.tsorch(['apply', '-f', file('services:\n  web:\n    image: redis:7\n    comand: [x]\n'), '-p', 'bad']);
    expect(output.code).toBe(3);
    expect(output.stderr).toMatch(/bad\.yml:4:5/);
    expect(output.stderr).toMatch(/comand.*command/s);
    expect((await cluster.services()).some((service) => service.stack === 'bad')).toBe(false);
  });

  test('a bad constraint is refused with its place', async () => {
    const output = await cluster.tsorch(['apply', '-f', file('services:\n  web:\n    image: redis:7\n    deploy:\n      placement:\n        constraints:\n          - node.lables.type == x\n'), '-p', 'bad']);
    expect(output.code).toBe(3);
    expect(output.stderr).toMatch(/bad\.yml:7:/);
    expect(output.stderr).toMatch(/node\.labels/);
  });

  test('an impossible placement stays pending and says why', async () => {
    await cluster.ok(['apply', '-f', file('services:\n  web:\n    image: redis:7\n    deploy:\n      placement:\n        constraints:\n          - type==nowhere\n'), '-p', 'bad']);
    const pod = await until('the reason', async () => (await cluster.pods('bad')).find((candidate) => candidate.message.includes('type==nowhere')));
    expect(pod.state).toBe('pending');
    expect(pod.message).toMatch(/type==nowhere/);
    const timedOut = await cluster.tsorch(['apply', '-f', join(cluster.dir, 'bad.yml'), '-p', 'bad', '--wait', '--timeout', '1s']);
    expect(timedOut.code).toBe(5);
    expect(timedOut.stderr + timedOut.stdout).toMatch(/type==nowhere/);
    await cluster.ok(['rm', 'bad']);
  });
});

describe('failures', () => {
  test('kill -9 of every program in turn under load: no container restarts, no request fails', async () => {
    const before = await cluster.pids();
    const urls = await Promise.all(['node-1', 'node-2', 'node-3'].map((node) => url(node, 8080)));
    const loads = [startLoad(urls, { keepAlive: false, concurrency: 2 }), startLoad(urls, { keepAlive: true, concurrency: 3 })];
    const victims = ['master', 'etcd', 'agent-1', 'agent-2', 'agent-3', 'proxy-1', 'proxy-2', 'proxy-3', 'containerd-1', 'containerd-2', 'containerd-3'];
    for (const victim of victims) {
      const [old] = processesOf(cluster, victim);
      expect(old, `${victim} is running`).toBeTruthy();
      killProcess(old as number);
      await until(`${victim} to come back`, () => processesOf(cluster, victim).some((pid) => pid !== old), 15_000);
      await until(`all nodes ready after ${victim}`, async () => (await cluster.nodes()).every((node) => node.state === 'ready'), 30_000);
      // It is not enough that it runs: it must do its work again.
      await until(`exec after ${victim}`, async () => (await cluster.exec('voting_redis.1', ['redis-cli', 'ping'])).stdout === 'PONG\n', 20_000);
    }
    await Promise.all(loads.map((load) => load.stop()));
    expect(loads.flatMap((load) => load.failures())).toEqual([]);
    expect(Math.min(...loads.map((load) => load.sent()))).toBeGreaterThan(200);
    const after = await cluster.pids();
    expect(after).toEqual(before);
    expect((await cluster.pods('voting')).every((pod) => pod.restarts === 0)).toBe(true);
    const votes = await count();
    await vote('node-2', 'b');
    await until('a vote after all that', async () => (await count()).b === votes.b + 1);
  }, 240_000);

  test('a killed host: its pods run elsewhere within 5 s, the survivor serves on, and nothing runs twice when it is back', async () => {
    const pods = await cluster.pods('voting');
    const victim = pods.find((pod) => pod.service === 'voting_vote')?.node as string;
    const bound = new Set(['voting_db']);
    const moving = pods.filter((pod) => pod.node === victim && !bound.has(pod.service));
    expect(moving.length).toBeGreaterThan(0);
    const others = (await cluster.nodes()).filter((node) => node.name !== victim).map((node) => node.name);
    const urls = await Promise.all(others.map((node) => url(node, 8080)));

    const index = Number(victim.slice('node-'.length));
    const all = processesOf(cluster, `host-${index}`);
    expect(all.length).toBeGreaterThan(3);
    const supervisor = processesOf(cluster, 'supervisor')[0] as number;
    // A host that loses its power is not started again by the machine it lost it with.
    process.kill(supervisor, 'SIGSTOP');
    let began = 0;
    let withdrawn = 0;
    try {
      began = performance.now();
      for (const pid of all) killProcess(pid);
      await until('the dead endpoint to be withdrawn', async () => (await cluster.services()).find((service) => service.id === 'voting_vote')?.ready === 1 || (await cluster.pods('voting_vote')).every((pod) => pod.node !== victim), 10_000, 20);
      withdrawn = performance.now() - began;
      const load = startLoad(urls, { keepAlive: false, concurrency: 2 });
      await until('the pods to run elsewhere', async () => {
        const now = await cluster.pods('voting');
        return moving.every((lost) => now.some((pod) => pod.service === lost.service && pod.slot === lost.slot && pod.node !== victim && pod.state === 'running'));
      }, 15_000, 20);
      const took = performance.now() - began;
      console.log(`host killed: endpoint withdrawn after ${Math.round(withdrawn)} ms, pods running elsewhere after ${Math.round(took)} ms`);
      expect(took).toBeLessThan(5_000);
      await cluster.ready('voting', 30_000);
      await load.stop();
      expect(load.failures()).toEqual([]);
      expect(load.sent()).toBeGreaterThan(20);
    } finally {
      process.kill(supervisor, 'SIGCONT');
    }
    await cluster.start(['--split']);
    await until('the host to be back', async () => (await cluster.nodes()).find((node) => node.name === victim)?.state === 'ready', 30_000);
    await cluster.ready('voting', 30_000);
    await until('the old pods to be gone', () => {
      const running = processesOf(cluster, `pods-${index}`).length;
      return cluster.pods('voting').then((now) => running <= now.filter((pod) => pod.node === victim).length);
    }, 30_000);
    const names = (await cluster.pods('voting')).map((pod) => pod.name);
    expect(new Set(names).size).toBe(names.length);
  }, 120_000);

  test('down leaves nothing but the data, and up again still has the votes', async () => {
    const before = await count();
    await cluster.stop();
    expect(processesOf(cluster, 'all')).toEqual([]);
    const text = (command: string, args: string[]) => execFileSync(command, args).toString();
    expect(text('ip', ['netns', 'list'])).not.toContain(cluster.name);
    expect(text('ip', ['-o', 'link'])).not.toContain(clusterNames(cluster.name).bridge);
    expect(readFileSync('/proc/self/mountinfo', 'utf8')).not.toContain(cluster.name);
    expect(existsSync(`/run/tsorch/${cluster.name}`)).toBe(false);
    expect(existsSync(`/sys/fs/bpf/tsorch/${cluster.name}`)).toBe(false);
    expect(existsSync(join(cluster.stateDir))).toBe(true);
    await cluster.start(['--split']);
    await cluster.ready('voting', 60_000);
    await until('the votes', async () => {
      const now = await count();
      return now.a === before.a && now.b === before.b;
    }, 20_000);
    await vote('node-1', 'a');
    await until('a new vote', async () => (await count()).a === before.a + 1, 15_000);
  }, 240_000);
});
