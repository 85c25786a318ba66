/** A proxy that dies, is away, comes back, loses its master, is taken down: what connections notice of it. */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { Cluster, app, pods, vip, withWeb } from './cluster.ts';
import type { ClientResult } from './world.ts';
import { end, firstLine, gateway, sh } from './world.ts';

let cluster: Cluster | undefined;
beforeAll(async () => { cluster = await Cluster.start('ebpf'); });
afterAll(async () => cluster?.[Symbol.asyncDispose]());

function running(): Cluster {
  if (!cluster) throw new Error('no cluster');
  return cluster;
}

/** Connections one after another, inside by the virtual address and outside by the published port, for as long as `during` takes and a while longer. */
async function underLoad(during: () => Promise<void>): Promise<readonly ClientResult[]> {
  const { world } = running();
  const loads = [
    world.start('client', 'h1', 'client.ts', 'tcp', vip.web, '7001', '6000', '2'),
    world.start('out', undefined, 'client.ts', 'tcp', '192.168.50.1', '8080', '6000', '2'),
  ];
  const results = loads.map(async (load) => JSON.parse(await firstLine(load)) as ClientResult);
  await during();
  const stillRunning = loads.filter((load) => load.exitCode === null).length;
  expect(stillRunning, 'the load must outlast what happens to the proxy').toBe(2);
  return Promise.all(results);
}

function total(result: ClientResult): number {
  return Object.values(result.answers).reduce((sum, count) => sum + count, 0);
}

test('kill -9 and a new start under load: no connection fails, the count goes on', async () => {
  const { masters } = running();
  const results = await underLoad(async () => {
    await running().killProxy(1);
    masters[0].forget();
    running().startProxy(1);
    await masters[0].acknowledged();
  });
  for (const result of results) {
    expect(result.errors).toEqual({});
    expect(total(result)).toBe(6000);
  }
  // By eBPF the counter is the kernel's: exact across the restart.
  expect(results[0]?.answers).toEqual({ web1: 2000, web2: 2000, web3: 2000 });
});

test('endpoints that come and go under load: no connection fails', async () => {
  const results = await underLoad(async () => {
    for (let i = 0; i < 20; i++) await running().publish(withWeb(i % 2 === 0 ? [pods.web1, pods.web2] : [pods.web1, pods.web2, pods.web3]));
  });
  for (const result of results) expect(result.errors).toEqual({});
});

test('an established connection goes on when its endpoint leaves the table', async () => {
  const { world } = running();
  await running().publish(withWeb([pods.web3]));
  for (const [from, cover, address, port] of [['client', 'h1', vip.web, '7001'], ['out', undefined, '192.168.50.1', '8080']] as const) {
    await running().publish(withWeb([pods.web3]));
    const child = world.start(from, cover, 'holder.ts', address, port);
    expect(await firstLine(child)).toBe('open');
    await running().publish(withWeb([pods.web1]));
    const rest = firstLine(child);
    child.kill('SIGUSR2');
    expect(await rest).toBe('still open');
    await end(child, 'SIGKILL');
  }
  await running().publish(app);
});

test('a udp flow to an endpoint that leaves finds another', async () => {
  const { world } = running();
  await running().publish(withWeb([pods.web3]));
  const child = world.start('out', undefined, 'flow.ts', '192.168.50.1', '8080');
  expect(await firstLine(child)).toBe('web3');
  await running().publish(withWeb([pods.web1]));
  const next = firstLine(child);
  child.kill('SIGUSR2');
  expect(await next).toBe('web1');
  await end(child, 'SIGKILL');
  await running().publish(app);
});

test('a udp flow to a port nobody was behind finds the first endpoint', async () => {
  const { world } = running();
  await running().publish(withWeb([]));
  const child = world.start('out', undefined, 'flow.ts', '192.168.50.1', '8080');
  expect(await firstLine(child)).toBe('nobody');
  await running().publish(withWeb([pods.web1]));
  const next = firstLine(child);
  child.kill('SIGUSR2');
  expect(await next).toBe('web1');
  await end(child, 'SIGKILL');
  await running().publish(app);
});

test('without a master it starts from what it saved: rules, programs and names', async () => {
  const { world, masters } = running();
  const saved = join(world.directory, 'h1', 'table.json');
  await running().killProxy(1, 'SIGTERM');
  expect(JSON.parse(readFileSync(saved, 'utf8'))).toMatchObject({ full: true, services: { app_web: { name: 'web' } } });
  masters[0].stop();
  // As after a boot: the kernel has nothing.
  sh(`ip netns exec ${world.netns('h1')} nft delete table ip tsorch`);
  sh(`rm -r ${world.bpfDir('h1')}`);
  expect((await world.ask('client', 'h1', 'tcp', vip.web, 7001, 1)).answers).toEqual({});
  const proxy = running().startProxy(1);
  expect(await firstLine(proxy)).toMatch(/^applied [1-9]/);
  expect((await world.ask('client', 'h1', 'tcp', vip.web, 7001, 30)).answers).toEqual({ web1: 10, web2: 10, web3: 10 });
  expect((await world.ask('out', undefined, 'tcp', '192.168.50.1', 8080, 30)).answers).toEqual({ web1: 10, web2: 10, web3: 10 });
  expect(await world.ask('alien', 'h1', 'tcp', vip.web, 7001, 1)).toMatchObject({ errors: { ECONNREFUSED: 1 } });
  expect(JSON.parse(await firstLine(world.start('client', 'h1', 'resolve.ts', 'udp', gateway, 'web')))).toMatchObject({ rcode: 0, addresses: [vip.web] });
});

test('the master comes back: the proxy follows it again', async () => {
  const { world, masters } = running();
  masters[0].forget();
  await masters[0].start();
  await masters[0].acknowledged();
  await running().publish(withWeb([pods.web2]));
  expect((await world.ask('client', 'h1', 'tcp', vip.web, 7001, 10)).answers).toEqual({ web2: 10 });
  await running().publish(app);
});

test('rules that somebody removed come back with the next change', async () => {
  const { world } = running();
  sh(`ip netns exec ${world.netns('h1')} nft flush ruleset`);
  await running().publish(withWeb([pods.web1, pods.web2]));
  expect(await world.ask('alien', 'h1', 'tcp', pods.web1.ip, 7001, 1)).toMatchObject({ errors: { ECONNREFUSED: 1 } });
  expect((await world.ask('out', undefined, 'tcp', '192.168.50.1', 8080, 10)).answers).toEqual({ web1: 5, web2: 5 });
  await running().publish(app);
});

test('teardown leaves nothing, twice', async () => {
  const { world } = running();
  await running().killProxy(1, 'SIGTERM');
  for (let i = 0; i < 2; i++) {
    expect(await firstLine(world.start('h1', undefined, 'teardown.ts', world.bpfDir('h1')))).toBe('done');
    expect(sh(`ip netns exec ${world.netns('h1')} nft list tables`).trim()).toBe('');
    expect(existsSync(world.bpfDir('h1'))).toBe(false);
  }
  // No program is left on the cgroup either.
  expect((await world.ask('client', 'h1', 'tcp', vip.web, 7001, 1)).answers).toEqual({});
  expect((await world.ask('alien', 'h1', 'tcp', pods.web1.ip, 7001, 1)).answers).toEqual({ web1: 1 });
});
