/** The name server as pods see it: real datagrams and connections from their namespaces. */
import type { ChildProcess } from 'node:child_process';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { Cluster, app, pods, stranger, vip } from './cluster.ts';
import { service } from '../../unit/proxy/fixture.ts';
import { end, firstLine, gateway } from './world.ts';

let cluster: Cluster | undefined;
let upstream: ChildProcess;
const heard: string[] = [];

beforeAll(async () => {
  cluster = await Cluster.start('ebpf');
  upstream = cluster.world.start('out', undefined, 'upstream.ts', '192.168.50.9');
  await firstLine(upstream);
  upstream.stdout?.on('data', (data: Buffer) => heard.push(...data.toString().trim().split('\n')));
});
afterAll(async () => cluster?.[Symbol.asyncDispose]());

async function resolve(from: string, kind: 'udp' | 'tcp', name: string, type = 1): Promise<unknown> {
  if (!cluster) throw new Error('no cluster');
  return JSON.parse(await firstLine(cluster.world.start(from, 'h1', 'resolve.ts', kind, gateway, name, String(type)))) as unknown;
}

test.each(['udp', 'tcp'] as const)('names of the cluster by %s', async (kind) => {
  expect(await resolve('client', kind, 'web')).toMatchObject({ rcode: 0, addresses: [vip.web] });
  expect(await resolve('client', kind, 'tasks.web')).toMatchObject({ rcode: 0, addresses: expect.arrayContaining([pods.web1.ip, pods.web2.ip, pods.web3.ip]) as unknown });
  expect(await resolve('client', kind, 'web', 28)).toMatchObject({ rcode: 0, addresses: [] });
  expect(await resolve('alien', kind, 'app_web')).toMatchObject({ rcode: 3 });
  expect(await resolve(stranger.name, kind, 'web')).toMatchObject({ rcode: 2 });
  expect(await resolve('sealed', kind, 'sealed')).toMatchObject({ rcode: 0, addresses: [vip.sealed] });
});

test.each(['udp', 'tcp'] as const)('other names are asked outside by %s, for those who may go there', async (kind) => {
  expect(await resolve('client', kind, `${kind}.example.org`)).toMatchObject({ rcode: 0, addresses: ['203.0.113.9'], ttls: [60] });
  expect(await resolve('sealed', kind, `sealed-${kind}.example.org`)).toMatchObject({ rcode: 3 });
  expect(heard).toContain(`${kind}.example.org`);
  expect(heard).not.toContain(`sealed-${kind}.example.org`);
});

test('what belongs to others of the cluster is not asked outside', async () => {
  expect(await resolve('client', 'udp', 'alien.blog')).toMatchObject({ rcode: 0, addresses: ['203.0.113.9'] });
  await cluster?.publish({ ...app, services: new Map(app.services).set('blog_alien', service('blog_alien', { pods: [pods.alien], networks: [{ network: 'blog_default', vip: '10.48.0.9', aliases: [] }] })) });
  heard.length = 0;
  expect(await resolve('client', 'udp', 'alien.blog')).toMatchObject({ rcode: 3 });
  expect(await resolve('alien', 'udp', 'alien.blog')).toMatchObject({ rcode: 0, addresses: ['10.48.0.9'] });
  expect(heard).toEqual([]);
});

test('a name server that fails or says nothing is a failure in time', async () => {
  expect(await resolve('client', 'udp', 'broken.test')).toMatchObject({ rcode: 2 });
  expect(await resolve('client', 'udp', 'silent.test')).toMatchObject({ rcode: 2 });
  await end(upstream, 'SIGKILL');
  expect(await resolve('client', 'udp', 'example.org')).toMatchObject({ rcode: 2 });
  expect(await resolve('client', 'tcp', 'example.org')).toMatchObject({ rcode: 2 });
  // The cluster's own names do not need it.
  expect(await resolve('client', 'udp', 'web')).toMatchObject({ rcode: 0, addresses: [vip.web] });
});
