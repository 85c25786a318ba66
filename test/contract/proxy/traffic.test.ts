/** Real packets between real sockets on two hosts, with virtual addresses served by eBPF and by nftables. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Cluster, app, pods, stranger, vip, withWeb } from './cluster.ts';
import type { ClientResult, World } from './world.ts';
import { gateway, sh } from './world.ts';

const even = { web1: 100, web2: 100, web3: 100 };
/** nftables chooses for a flow, and a source port that is used again is the same flow. */
function nearlyEven({ answers, errors }: ClientResult): boolean {
  return Object.keys(errors).length === 0 && ['web1', 'web2', 'web3'].every((name) => Math.abs((answers[name] ?? 0) - 100) <= 5);
}
const nodeAddress = '192.168.50.1';
const refused: Partial<ClientResult> = { answers: {}, errors: { ECONNREFUSED: 1 } };

describe.each(['ebpf', 'nftables'] as const)('virtual addresses by %s', (mode) => {
  let cluster: Cluster | undefined;
  let world: World;

  beforeAll(async () => {
    cluster = await Cluster.start(mode);
    world = cluster.world;
  });
  afterAll(async () => cluster?.[Symbol.asyncDispose]());

  test('300 connections, 3 endpoints on 2 hosts: 100 each', async () => {
    const result = await world.ask('client', 'h1', 'tcp', vip.web, 7001, 300, 3);
    expect(result).toMatchObject({ answers: even, errors: {}, clients: [pods.client.ip], peers: [`${vip.web}:7001`] });
  });

  test('on any port', async () => {
    expect((await world.ask('client', 'h1', 'tcp', vip.web, 7002, 30)).answers).toEqual({ web1: 10, web2: 10, web3: 10 });
  });

  test('datagrams, and answers come from where the question went', async () => {
    const result = await world.ask('client', 'h1', 'udp', vip.web, 7001, 300, 3);
    expect(result.peers).toEqual([`${vip.web}:7001`]);
    if (mode === 'ebpf') expect(result).toMatchObject({ answers: even, errors: {} });
    else expect(result).toSatisfy(nearlyEven);
  });

  test('a port nobody listens on is refused by the endpoint', async () => {
    expect(await world.ask('client', 'h1', 'tcp', vip.web, 7999, 1)).toMatchObject(refused);
  });

  test('no endpoints: refused at once', async () => {
    expect(await world.ask('client', 'h1', 'tcp', vip.idle, 7001, 1)).toMatchObject(refused);
  });

  test('a process that no hook covers is served all the same', async () => {
    const result = await world.ask('client', undefined, 'tcp', vip.web, 7001, 60);
    expect(result).toMatchObject({ errors: {}, clients: [pods.client.ip] });
    expect(Object.keys(result.answers).sort()).toEqual(['web1', 'web2', 'web3']);
  });

  test('a pod that reaches itself', async () => {
    for (const covered of ['h1', undefined]) {
      const result = await world.ask('web1', covered, 'tcp', vip.web, 7001, 60);
      expect(result.errors).toEqual({});
      expect(result.answers['web1']).toBeGreaterThan(0);
    }
  });

  test('ping', () => {
    expect(sh(`ip netns exec ${world.netns('client')} busybox ping -c 1 -W 2 ${vip.web}`)).toContain('1 packets received');
  });

  test('published on every address, to all endpoints; clients of local pods keep their address', async () => {
    const result = await world.ask('out', undefined, 'tcp', nodeAddress, 8080, 300, 3);
    expect(result).toMatchObject({ answers: even, errors: {} });
    expect([...result.clients].sort()).toEqual(['192.168.50.1', '192.168.50.9']);
    expect(await world.ask('out', undefined, 'udp', '192.168.50.2', 8080, 300, 3)).toSatisfy(nearlyEven);
  });

  test('published by host mode: this host’s pods only', async () => {
    expect((await world.ask('out', undefined, 'tcp', nodeAddress, 8081, 60)).answers).toEqual({ web1: 30, web3: 30 });
    expect((await world.ask('out', undefined, 'tcp', '192.168.50.2', 8081, 10)).answers).toEqual({ web2: 10 });
  });

  test('published, asked from the host itself and from its pods', async () => {
    expect(await world.ask('h1', undefined, 'tcp', nodeAddress, 8080, 30)).toMatchObject({ answers: { web1: 10, web2: 10, web3: 10 }, errors: {} });
    expect(await world.ask('h1', 'h1', 'tcp', nodeAddress, 8080, 30)).toMatchObject({ answers: { web1: 10, web2: 10, web3: 10 }, errors: {} });
    // A pod of another network, and one that may not leave the cluster: published is published.
    for (const name of ['alien', 'sealed']) {
      expect(await world.ask(name, 'h1', 'tcp', nodeAddress, 8080, 30)).toMatchObject({ answers: { web1: 10, web2: 10, web3: 10 }, errors: {} });
    }
  });

  test.runIf(mode === 'ebpf')('published on 127.0.0.1 of the host, and not of a pod', async () => {
    expect(await world.ask('h1', 'h1', 'tcp', '127.0.0.1', 8080, 30)).toMatchObject({ answers: { web1: 10, web2: 10, web3: 10 }, errors: {} });
    expect(await world.ask('client', 'h1', 'tcp', '127.0.0.1', 8080, 1)).toMatchObject(refused);
  });

  test('pods without a common network do not reach one another, by whatever address', async () => {
    expect((await world.ask('client', 'h1', 'tcp', pods.web2.ip, 7001, 1)).answers).toEqual({ web2: 1 });
    for (const [from, to] of [['alien', pods.web1.ip], ['alien', pods.web2.ip], ['alien', vip.web], ['client', pods.sealed.ip], ['client', vip.sealed]] as const) {
      expect(await world.ask(from, 'h1', 'tcp', to, 7001, 1), `${from} to ${to}`).toMatchObject(refused);
    }
    expect(await world.ask('alien', undefined, 'tcp', vip.web, 7001, 1)).toMatchObject(refused);
    expect((await world.ask('alien', 'h1', 'udp', pods.web1.ip, 7001, 1)).answers).toEqual({});
  });

  test('a pod nobody knows talks to nobody', async () => {
    for (const to of [pods.web1.ip, pods.web2.ip, vip.web, '192.168.50.9', nodeAddress]) {
      expect(await world.ask(stranger.name, 'h1', 'tcp', to, 7001, 1), to).toMatchObject(refused);
    }
    expect(await world.ask('client', 'h1', 'tcp', stranger.ip, 7001, 1)).toMatchObject(refused);
  });

  test('a pod that says it is another', async () => {
    // Without the kernel's own check, to see ours.
    sh(`ip netns exec ${world.netns('h1')} sh -c 'for f in /proc/sys/net/ipv4/conf/*/rp_filter; do echo 0 > $f; done'`);
    sh(`ip -n ${world.netns('alien')} addr replace ${pods.client.ip}/32 dev lo`);
    try {
      for (const to of [pods.web1.ip, pods.web2.ip]) {
        expect(await world.ask('alien', 'h1', 'tcp', to, 7001, 1, 1, pods.client.ip)).toMatchObject({ answers: {}, errors: { timeout: 1 } });
      }
    } finally {
      sh(`ip -n ${world.netns('alien')} addr del ${pods.client.ip}/32 dev lo`);
      sh(`ip netns exec ${world.netns('h1')} sh -c 'for f in /proc/sys/net/ipv4/conf/*/rp_filter; do echo 1 > $f; done'`);
    }
  });

  test('the world outside: as the host; not for internal networks, and not into pods', async () => {
    expect(await world.ask('client', 'h1', 'tcp', '192.168.50.9', 7001, 1)).toMatchObject({ answers: { out: 1 }, clients: [nodeAddress] });
    expect(await world.ask('sealed', 'h1', 'tcp', '192.168.50.9', 7001, 1)).toMatchObject(refused);
    sh(`ip -n ${world.netns('out')} route replace 10.32.1.0/24 via ${nodeAddress}`);
    expect(await world.ask('out', undefined, 'tcp', pods.web1.ip, 7001, 1)).toMatchObject(refused);
  });

  test('hosts reach pods, their own and others’', async () => {
    expect((await world.ask('h1', undefined, 'tcp', pods.sealed.ip, 7001, 1)).answers).toEqual({ sealed: 1 });
    expect((await world.ask('h2', undefined, 'tcp', pods.web1.ip, 7001, 1)).answers).toEqual({ web1: 1 });
  });

  test('an endpoint that goes gets nothing new; one that comes gets its share', async () => {
    await cluster?.publish(withWeb([pods.web1, pods.web2]));
    expect((await world.ask('client', 'h1', 'tcp', vip.web, 7001, 100)).answers).toEqual({ web1: 50, web2: 50 });
    expect((await world.ask('out', undefined, 'tcp', nodeAddress, 8080, 100)).answers).toEqual({ web1: 50, web2: 50 });
    await cluster?.publish(withWeb([]));
    expect(await world.ask('client', 'h1', 'tcp', vip.web, 7001, 1)).toMatchObject(refused);
    expect(await world.ask('out', undefined, 'tcp', nodeAddress, 8080, 1)).toMatchObject(refused);
    await cluster?.publish(app);
    expect((await world.ask('client', 'h1', 'tcp', vip.web, 7001, 300)).answers).toEqual(even);
    expect((await world.ask('out', undefined, 'tcp', nodeAddress, 8080, 300)).answers).toEqual(even);
  });

  test('other tools can list the rules', () => {
    const listed = sh(`ip netns exec ${world.netns('h1')} nft list table ip tsorch`);
    expect(listed).toContain('hook prerouting');
    expect(listed).toContain('10.48.0.1');
    expect(gateway).toBe('169.254.1.1');
  });
});
