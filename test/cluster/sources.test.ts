/** Pods of a host's own manifests: with no master at all, and beside one. */
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { busyboxImage, dockerArchive } from '../contract/agent/runtime/busybox.ts';
import { Cluster } from './lib/cluster.ts';
import { get } from './lib/load.ts';
import { LoneHost } from './lib/lone-host.ts';
import { killProcess, processesOf } from './lib/processes.ts';
import { until } from './lib/tsorch.ts';

const image = 'sources-test:1';

/** Serves its text on every connection, as an inetd would. */
const serve = (text: string) => `["sh", "-c", "while true; do printf 'HTTP/1.0 200 OK\\r\\n\\r\\n${text}' | nc -l -p 80; done"]`;

const web = (text: string, more = '') => `
services:
  web:
    image: ${image}
    command: ${serve(text)}
    stop_grace_period: 1s
    ports: ["8080:80"]
${more}`;

const ask = async (host: LoneHost, port = 8080) => (await get(`http://${host.address}:${port}/`, undefined, 2000)).body;
const says = (host: LoneHost, text: string, port = 8080) => until(`${text} on port ${port}`, async () => (await ask(host, port)) === text, 20_000).catch((error: unknown) => {
  throw new Error(`${String(error)}\n${host.log()}`);
});

describe('a host without a master', () => {
  let host: LoneHost;
  beforeAll(async () => {
    host = await LoneHost.make('t-lone');
    // The image lies beside the manifests: there is no registry either.
    writeFileSync(join(host.manifests, 'busybox.tar'), await dockerArchive(await busyboxImage(), [image]));
    await host.put('web.yml', web('one'));
    await host.start();
  });
  afterAll(() => host?.destroy());

  test('what lies in the directory runs, and answers on its published port', async () => {
    const [pod] = await host.running(['web_web']);
    expect(pod).toMatchObject({ slot: 1, ip: expect.stringMatching(/^10\.31\./) });
    await says(host, 'one');
  });

  test('pods of one stack know each other by name; those of another stack do not', async () => {
    await host.put('web.yml', web('one', `
  client:
    image: ${image}
    command: ["sleep", "1000"]
    stop_grace_period: 0s
`));
    await host.put('other.yml', `
services:
  client: { image: ${image}, command: ["sleep", "1000"], stop_grace_period: 0s }
`);
    const pods = await host.running(['other_client', 'web_client', 'web_web']);
    const inside = async (service: string, script: string) => {
      const pod = pods.find((each) => each.service === service);
      const [pid] = (await host.processes()).get(pod?.id ?? '') ?? [];
      return execFileSync('nsenter', ['-t', String(pid), '-m', '-n', '-u', 'sh', '-c', script], { encoding: 'utf8', timeout: 10_000 });
    };
    await until('the name leads to the service', async () => (await inside('web_client', 'nc -w 2 web 80 < /dev/null || true')).includes('one'), 15_000);
    const ip = pods.find(({ service }) => service === 'web_web')?.ip ?? '';
    expect(await inside('web_client', `nc -w 2 ${ip} 80 < /dev/null || true`)).toContain('one');
    expect(await inside('other_client', `nc -w 2 ${ip} 80 < /dev/null 2>/dev/null || true; nc -w 2 web 80 < /dev/null 2>/dev/null || echo no such name`)).toBe('no such name\n');
    rmSync(join(host.manifests, 'other.yml'));
    await host.put('web.yml', web('one'));
    await host.running(['web_web']);
  });

  test('killed and started again it finds its pods as they were', async () => {
    const before = await host.processes();
    expect(before.size).toBe(1);
    await host.kill();
    await says(host, 'one');
    await host.start();
    await host.put('second.yml', web('second').replace('8080:80', '8081:80'));
    await host.running(['second_web', 'web_web']);
    const after = await host.processes();
    for (const [pod, pids] of before) expect(after.get(pod)?.filter((pid) => pids.includes(pid))).toContain(Math.min(...pids));
    await says(host, 'second', 8081);
  });

  test('a changed file replaces its pod and leaves the others; a broken one changes nothing', async () => {
    const [second, before] = await host.running(['second_web', 'web_web']);
    await host.put('web.yml', web('two'));
    await says(host, 'two');
    const [same, after] = await host.running(['second_web', 'web_web']);
    expect(same?.id).toBe(second?.id);
    expect(after?.id).not.toBe(before?.id);
    await host.put('web.yml', web('three').replace('ports:', 'prots:'));
    await until('the mistake is told', () => /web\.yml:\d+:\d+: error: services\.web\.prots/.test(host.log()));
    expect((await host.pods()).map(({ id }) => id)).toEqual([second?.id, after?.id]);
    expect(await ask(host)).toBe('two');
  });

  test('a removed file ends its pods', async () => {
    rmSync(join(host.manifests, 'second.yml'));
    await host.running(['web_web']);
    await expect(ask(host, 8081)).rejects.toThrow(/ECONNREFUSED|hang up|reset/);
    expect((await host.processes()).size).toBe(1);
  });

  test('a URL is another source; when it is out of reach its pods stay', async () => {
    let answer = web('from afar').replace('8080:80', '8082:80');
    const server = createServer((request, response) => {
      if (request.headers['x-token'] !== 'please') response.writeHead(403).end();
      else response.end(answer);
    });
    const gateway = host.address.replace(/\d+$/, '1');
    await new Promise<void>((resolve) => { server.listen(0, gateway, resolve); });
    const { port } = server.address() as { port: number };
    try {
      await host.kill();
      await host.start(['--manifests', host.manifests, '--manifest-interval', '500ms', '--manifest-url', `http://${gateway}:${port}/far.yml`, '--manifest-header', 'X-Token: please']);
      await host.running(['far_web', 'web_web']);
      await says(host, 'from afar', 8082);
      answer = 'services: {web: {}}';
      await until('the mistake is told', () => /far\.yml:1:\d+: error:/.test(host.log()));
    } finally {
      server.closeAllConnections();
      await new Promise((resolve) => { server.close(resolve); });
    }
    await until('that it is out of reach is told', () => /far\.yml: cannot reach/.test(host.log()));
    await host.running(['far_web', 'web_web']);
    expect(await ask(host, 8082)).toBe('from afar');
  });
});

describe('a host of a cluster', () => {
  let cluster: Cluster;
  let manifests: string;
  const put = (name: string, content: string) => {
    writeFileSync(join(manifests, `.${name}`), content);
    renameSync(join(manifests, `.${name}`), join(manifests, name));
  };
  const edge = (text: string) => `
services:
  web:
    image: ${image}
    command: ["sh", "-c", "echo ${text} begins; while true; do printf 'HTTP/1.0 200 OK\\r\\n\\r\\n${text}' | nc -l -p 80; done"]
    stop_grace_period: 0s
    ports: ["8080:80"]
`;
  const page = async () => (await get(`http://${await address}:8080/`, undefined, 2000)).body;
  let address: Promise<string>;
  const pod = async () => (await cluster.pods('edge')).find(({ origin }) => origin === join(manifests, 'edge.yml'));

  beforeAll(async () => {
    const dir = mkdtempSync(join(tmpdir(), 'tsorch-t-src-'));
    manifests = join(dir, 'node-1');
    mkdirSync(manifests);
    writeFileSync(join(manifests, 'busybox.tar'), await dockerArchive(await busyboxImage(), [image]));
    put('edge.yml', edge('first'));
    writeFileSync(join(dir, 'cluster.yml'), 'hosts:\n  node-1: { labels: { type: edge }, manifests: ./node-1 }\n');
    cluster = await Cluster.own('t-src', ['-f', join(dir, 'cluster.yml')]);
    address = cluster.address('node-1');
  }, 200_000);
  afterAll(async () => {
    await cluster?.destroy();
    rmSync(join(manifests, '..'), { recursive: true, force: true });
  }, 120_000);

  test('its own pods are seen, logged and reached like others, and only its file ends them', async () => {
    await until('the pod to be seen', async () => (await pod())?.ready, 30_000);
    expect(await pod()).toMatchObject({ name: 'edge_web.1', node: 'node-1', state: 'running', ip: expect.stringMatching(/^10\.31\./) });
    expect(await cluster.ok(['ps'])).toContain(`from ${join(manifests, 'edge.yml')}`);
    expect(await cluster.ok(['logs', 'edge_web'])).toContain('first begins');
    expect((await cluster.exec('edge_web.1', ['cat', '/variant'])).stdout).toBe('plain');
    for (const command of [['rm', 'edge'], ['restart', 'edge_web'], ['scale', 'edge_web=2']]) {
      expect(await cluster.tsorch(command)).toMatchObject({ code: 4, stderr: expect.stringContaining(`edge.yml on node-1: change or remove that file`) });
    }
    expect(await page()).toBe('first');
  });

  test('a stack of the cluster stands beside it, and a leader that knows nothing of it does not end it', async () => {
    const stack = join(manifests, '..', 'shop.yml');
    writeFileSync(stack, `name: shop\nservices:\n  client: { image: ${image}, command: ["sleep", "1000"], stop_grace_period: 0s }\n`);
    const before = (await pod())?.id;
    await cluster.ok(['apply', '-f', stack, '--wait']);
    await cluster.ok(['rm', 'shop']);
    await until('the stack to be gone', async () => (await cluster.pods()).every(({ stack: of }) => of !== 'shop'));
    expect((await pod())?.id).toBe(before);
    expect(await page()).toBe('first');
  });

  test('without its master it goes on, and changes are followed', async () => {
    const supervisors = processesOf(cluster, 'supervisor');
    for (const pid of [...supervisors, ...processesOf(cluster, 'master')]) killProcess(pid);
    expect(await page()).toBe('first');
    put('edge.yml', edge('second'));
    await until('the change', async () => (await page()) === 'second', 20_000);
    // The cluster is made whole again, and knows of it.
    await cluster.start(['-f', join(manifests, '..', 'cluster.yml')]);
    await until('the new pod to be seen', async () => (await pod())?.ready, 30_000);
    expect(await cluster.ok(['logs', 'edge_web'])).toContain('second begins');
    put('edge.yml', edge('third').replace('image:', 'imagee:'));
    await until('the mistake to be an event', async () => /edge\.yml:4:5: error: services\.web\.imagee/.test(await cluster.ok(['events'])), 15_000);
    expect(await page()).toBe('second');
    rmSync(join(manifests, 'edge.yml'));
    await until('the pod to be gone', async () => (await cluster.pods()).length === 0, 20_000);
  }, 120_000);
});
