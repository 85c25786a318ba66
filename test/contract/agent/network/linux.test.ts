/** The real network only: what packets do, on hosts of a lab. */
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { vethName } from '../../../../agent/network/names.ts';
import type { Peer } from '../../../../agent/network/port.ts';
import { Endpoint, ping, transfer } from './traffic.ts';
import { Lab } from './lab.ts';
import type { LabHost } from './lab.ts';

const run = (netns: string, ...command: string[]) => execFileSync('nsenter', [`--net=${netns}`, ...command], { encoding: 'utf8' });

describe('between hosts', () => {
  let lab: Lab;
  let h1: LabHost;
  let h2: LabHost;
  let far: LabHost;
  let endpoints: Endpoint[] = [];

  beforeAll(() => {
    lab = new Lab('hosts');
    h1 = lab.addHost('h1', '10.99.0.1', '10.32.1.0/24');
    h2 = lab.addHost('h2', '10.99.0.2', '10.32.2.0/24');
    far = lab.addHost('h3', '10.99.1.3', '10.32.3.0/24');
  });
  afterAll(() => lab.close());
  afterEach(async () => {
    for (const endpoint of endpoints) endpoint[Symbol.dispose]();
    endpoints = [];
    for (const host of lab.hosts) await host.network.teardown();
  });

  /** A pod on a host with a socket in it. */
  async function pod(host: LabHost, id: string): Promise<Endpoint & { pin: string }> {
    const ip = host.config.subnet.replace('0/24', String(10 + endpoints.length));
    const { netns } = await host.network.attach({ id, ip });
    const endpoint = await Endpoint.open(netns, ip);
    endpoints.push(endpoint);
    return Object.assign(endpoint, { pin: netns });
  }

  async function prepareAll(underlay: 'auto' | 'vxlan' | 'route', hosts: readonly LabHost[]): Promise<Peer[]> {
    const peers = await Promise.all(hosts.map((h) => h.prepare({ underlay })));
    for (const host of hosts) await host.network.setPeers(peers.filter((p) => p.id !== host.name));
    return peers;
  }

  const routesVia = (host: LabHost) => (JSON.parse(run(host.netns, 'ip', '-j', 'route', 'show', 'proto', '116')) as { dst: string; dev?: string }[])
    .filter((r) => r.dst.endsWith('.0/24')).map((r) => `${r.dst} ${r.dev}`);

  it('pods of one host meet, and the host meets them', async () => {
    await h1.prepare();
    const [a, b] = [await pod(h1, 'a'), await pod(h1, 'b')];
    await ping(a, b);
    const host = await Endpoint.open(h1.netns, '169.254.1.1');
    endpoints.push(host);
    await ping(a, host);
    await ping(host, b);
    expect(await transfer(a.pin, b.pin, b.address, 4_000_000)).toBe(4_000_000);
    // What one has sent the other has received, headers on top.
    const [from, to] = await Promise.all([h1.network.traffic('a'), h1.network.traffic('b')]);
    expect([from?.sent, to?.received].map((bytes) => Math.round((bytes ?? 0) / 1e6))).toEqual([4, 4]);
    expect(to?.sent).toBeLessThan(1_000_000);
  });

  it('`auto` routes plainly on the link and tunnels beyond the router', async () => {
    await prepareAll('auto', [h1, h2, far]);
    expect(routesVia(h1)).toEqual(['10.32.2.0/24 eth0', '10.32.3.0/24 tsorch0']);
    expect(routesVia(far)).toEqual(['10.32.1.0/24 tsorch0', '10.32.2.0/24 tsorch0']);
    const [a, b, c] = [await pod(h1, 'a'), await pod(h2, 'b'), await pod(far, 'c')];
    await ping(a, b);
    await ping(a, c);
    await ping(c, b);
    expect(await transfer(a.pin, b.pin, b.address, 4_000_000)).toBe(4_000_000);
    expect(await transfer(a.pin, c.pin, c.address, 4_000_000)).toBe(4_000_000);
  });

  it('hosts meet remote pods through the tunnel with an address that leads back', async () => {
    await prepareAll('vxlan', [h1, far]);
    const c = await pod(far, 'c');
    const host = await Endpoint.open(h1.netns, '0.0.0.0');
    endpoints.push(host);
    await host.send(c, 'hello');
    expect((await c.receive('hello')).from).toBe('10.32.1.0');
  });

  it.each(['auto', 'vxlan', 'route'] as const)('`%s` carries packets as large as pods may send, unfragmented', async (underlay) => {
    await prepareAll(underlay, [h1, h2]);
    const [a, b] = [await pod(h1, 'a'), await pod(h2, 'b')];
    expect(routesVia(h1)).toEqual([`10.32.2.0/24 ${underlay === 'vxlan' ? 'tsorch0' : 'eth0'}`]);
    // IPv4 and UDP headers take 28.
    const most = (underlay === 'route' ? 1500 : 1450) - 28;
    await ping(a, b, most);
    expect(b.received.at(-1)?.length).toBe(most);
    await expect(a.send(b, 'too large', most + 1)).rejects.toMatchObject({ code: 'EMSGSIZE' });
  });

  it('drops what a pod sends with another’s address', async () => {
    await prepareAll('auto', [h1, h2]);
    const [liar, victim, b, c] = [await pod(h1, 'liar'), await pod(h1, 'victim'), await pod(h1, 'b'), await pod(h2, 'c')];
    run(liar.pin, 'ip', 'addr', 'add', `${victim.address}/32`, 'dev', 'eth0');
    const forged = await Endpoint.open(liar.pin, victim.address);
    endpoints.push(forged);
    for (const target of [b, c]) {
      for (let i = 0; i < 20; i++) await forged.send(target, 'forged');
      await liar.send(target, 'honest');
      await target.receive('honest');
      await ping(victim, target);
      expect(target.received.filter((r) => r.text === 'forged')).toEqual([]);
    }
  });

  it('addresses that nobody has are refused at once, not sent to the world', async () => {
    await prepareAll('auto', [h1]);
    const a = await pod(h1, 'a');
    for (const target of ['10.32.1.99', '10.33.0.1']) {
      expect(() => run(h1.netns, 'ip', 'route', 'get', target, 'from', a.address, 'iif', vethName('a'))).toThrow(/No route to host/);
    }
    expect(run(h1.netns, 'ip', 'route', 'get', '192.0.2.1', 'from', a.address, 'iif', vethName('a'))).toContain('dev eth0');
  });

  it('follows peers as they come, change and go', async () => {
    const peers = await prepareAll('auto', [h1, h2, far]);
    const [p2, p3] = peers.slice(1) as [Peer, Peer];
    const [a, b, c] = [await pod(h1, 'a'), await pod(h2, 'b'), await pod(far, 'c')];
    await ping(a, b);

    await h1.network.setPeers([p3]);
    expect(routesVia(h1)).toEqual(['10.32.3.0/24 tsorch0']);
    await ping(a, c);
    await h1.network.setPeers([]);
    expect(routesVia(h1)).toEqual([]);
    expect(run(h1.netns, 'bridge', 'fdb', 'show', 'dev', 'tsorch0')).toBe('');
    expect(run(h1.netns, 'ip', 'neigh', 'show', 'dev', 'tsorch0')).toBe('');

    // The same subnet and MAC at a wrong address, then at the right one again.
    await h1.network.setPeers([p2, { ...p3, address: '10.99.1.77' }]);
    expect(run(h1.netns, 'bridge', 'fdb', 'show', 'dev', 'tsorch0')).toContain('dst 10.99.1.77');
    await h1.network.setPeers([p2, p3]);
    await ping(a, c);
    await ping(a, b);

    // Somebody deletes and adds things behind our back.
    run(h1.netns, 'ip', 'route', 'del', '10.32.3.0/24');
    run(h1.netns, 'ip', 'neigh', 'flush', 'dev', 'tsorch0', 'nud', 'permanent');
    run(h1.netns, 'ip', 'route', 'add', '10.32.77.0/24', 'via', '10.99.0.2', 'proto', '116');
    await h1.network.setPeers([p2, p3]);
    expect(routesVia(h1)).toEqual(['10.32.2.0/24 eth0', '10.32.3.0/24 tsorch0']);
    await ping(a, c);
  });

  it('tells of a peer out of reach and sets the others', async () => {
    const [p2] = await prepareAll('route', [h2]) as [Peer];
    await h1.prepare({ underlay: 'route' });
    const lost = { id: 'x', address: '10.99.1.3', subnet: '10.32.3.0/24', vtepMac: '0e:74:0a:20:03:00' };
    await expect(h1.network.setPeers([lost, p2])).rejects.toMatchObject({ code: 'unavailable', message: expect.stringContaining('10.99.1.3'), hint: expect.stringContaining('vxlan') });
    expect(routesVia(h1)).toEqual(['10.32.2.0/24 eth0']);
  });

  it('changes the underlay under running pods', async () => {
    await prepareAll('vxlan', [h1, h2]);
    const [a, b] = [await pod(h1, 'a'), await pod(h2, 'b')];
    await ping(a, b);
    const peers = await Promise.all([h1.prepare({ underlay: 'auto' }), h2.prepare({ underlay: 'vxlan' })]);
    await h1.network.setPeers(peers.slice(1));
    // One way plain, the other through the tunnel.
    await ping(a, b);
    await prepareAll('auto', [h1, h2]);
    expect(routesVia(h1)).toEqual(['10.32.2.0/24 eth0']);
    await ping(a, b);
  });

  it('packets flow while the agent is dead, and it finds everything again', async () => {
    const peers = await prepareAll('vxlan', [h1, h2]);
    const [a, b] = [await pod(h1, 'a'), await pod(h2, 'b')];
    const before = lab.snapshot(h1);
    await h1.network.kill();
    await ping(a, b);
    await h1.restart();
    await h1.prepare();
    await ping(a, b);
    expect(lab.snapshot(h1)).toEqual(before);
    await h1.network.setPeers(peers.slice(1));
    expect(await h1.network.attach({ id: 'a', ip: a.address })).toEqual({ netns: a.pin });
    expect(lab.snapshot(h1)).toEqual(before);
    await ping(a, b);
  });
});

describe('one host', () => {
  let lab: Lab;
  let host: LabHost;
  beforeEach(() => {
    lab = new Lab('one');
    host = lab.addHost('h1', '10.99.0.1', '10.32.1.0/24');
  });
  afterEach(() => lab.close());

  const reach = async (ip: string, netns: string) => {
    using inside = await Endpoint.open(netns, ip);
    using outside = await Endpoint.open(host.netns, '169.254.1.1');
    await ping(outside, inside);
  };

  it('teardown leaves what was there before, and nothing else', async () => {
    const before = lab.snapshot(host);
    await host.prepare();
    await host.network.setPeers([
      { id: 'n2', address: '10.99.0.2', subnet: '10.32.2.0/24', vtepMac: '0e:74:0a:20:02:00' },
      { id: 'n3', address: '10.99.1.3', subnet: '10.32.3.0/24', vtepMac: '0e:74:0a:20:03:00' },
    ]);
    for (let i = 0; i < 20; i++) await host.network.attach({ id: `p${i}`, ip: `10.32.1.${10 + i}` });
    expect(lab.snapshot(host)).not.toEqual(before);
    // By an agent that has never prepared anything, as `leave` is.
    await host.restart();
    await host.network.teardown();
    expect(lab.snapshot(host)).toEqual(before);
    expect(fs.existsSync(host.config.netnsDir)).toBe(false);
    expect(fs.readFileSync('/proc/self/mountinfo', 'utf8')).not.toContain(host.config.netnsDir);
  });

  it('a device of ours made otherwise is made anew', async () => {
    run(host.netns, 'ip', 'link', 'add', 'tsorch0', 'type', 'vxlan', 'id', '5', 'dev', 'eth0', 'dstport', '4790');
    const { vtepMac } = await host.prepare();
    const [link] = JSON.parse(run(host.netns, 'ip', '-j', '-d', 'link', 'show', 'dev', 'tsorch0')) as [{ address: string; mtu: number; flags: string[]; linkinfo: { info_data: unknown } }];
    expect(link).toMatchObject({ address: vtepMac, mtu: 1450, linkinfo: { info_data: { id: 29811, local: '10.99.0.1', link: 'eth0', port: 4789, learning: false } } });
    expect(link.flags).toContain('UP');
    // A node that joins another cluster has another subnet.
    await host.prepare({ subnet: '10.32.9.0/24' });
    const addresses = (JSON.parse(run(host.netns, 'ip', '-j', '-4', 'addr', 'show', 'dev', 'tsorch0')) as [{ addr_info: { local: string }[] }])[0].addr_info;
    expect(addresses.map((a) => a.local)).toEqual(['10.32.9.0']);
  });

  it('says which addresses there are when the one given is none of them', async () => {
    await expect(host.prepare({ address: '10.99.0.9' })).rejects.toMatchObject({ code: 'invalid', message: expect.stringContaining('10.99.0.9'), hint: expect.stringContaining('10.99.0.1') });
  });

  const damages: Record<string, (netns: string, pin: string) => void> = {
    'the file without a namespace': (_, pin) => {
      run('/proc/self/ns/net', 'umount', pin);
    },
    'a namespace without a device': (netns) => run(netns, 'ip', 'link', 'del', vethName('a')),
    'devices without anything': (_, pin) => {
      run(pin, 'ip', 'addr', 'flush', 'dev', 'eth0');
      run(pin, 'ip', 'link', 'set', 'eth0', 'down');
      run(pin, 'ip', 'link', 'set', 'lo', 'down');
    },
    'no route on the host': (netns) => run(netns, 'ip', 'route', 'del', '10.32.1.7/32'),
    'no neighbour on the host': (netns) => run(netns, 'ip', 'neigh', 'del', '10.32.1.7', 'dev', vethName('a')),
    'no default route in the pod': (_, pin) => run(pin, 'ip', 'route', 'del', 'default'),
    'another address': (netns, pin) => {
      run(pin, 'ip', 'addr', 'add', '10.32.1.99/32', 'dev', 'eth0');
      run(netns, 'ip', 'route', 'add', '10.32.1.99/32', 'dev', vethName('a'), 'proto', '116');
    },
    'a device down': (netns) => run(netns, 'ip', 'link', 'set', vethName('a'), 'down'),
    'another device in the place of eth0': (_, pin) => {
      run(pin, 'ip', 'link', 'del', 'eth0');
      run(pin, 'ip', 'link', 'add', 'eth0', 'type', 'bridge');
    },
    'the index taken by another': (netns) => {
      const index = (JSON.parse(run(netns, 'ip', '-j', 'link', 'show', 'dev', vethName('a'))) as [{ ifindex: number }])[0].ifindex;
      run(netns, 'ip', 'link', 'del', vethName('a'));
      run(netns, 'ip', 'link', 'add', 'foreign', 'index', String(index), 'type', 'bridge');
    },
  };

  it.each(Object.keys(damages))('mends a pod that was left with: %s', async (damage) => {
    await host.prepare();
    const pin = path.join(host.config.netnsDir, 'a');
    await host.network.attach({ id: 'a', ip: '10.32.1.7' });
    const inside = () => (run(pin, 'ip', '-4', 'addr') + run(pin, 'ip', 'route') + run(pin, 'ip', 'neigh', 'show', 'nud', 'permanent')).replaceAll(/@if\d+/g, '');
    const healthy = inside();
    (damages[damage] as (netns: string, pin: string) => void)(host.netns, pin);
    await host.restart();
    await host.prepare();
    await host.network.attach({ id: 'a', ip: '10.32.1.7' });
    await reach('10.32.1.7', pin);
    // What the kernel says of a link's state follows a little after it works.
    await expect.poll(inside, { timeout: 5000 }).toBe(healthy);
    expect(await host.network.list()).toEqual([{ id: 'a', ip: '10.32.1.7' }]);
    expect(run(host.netns, 'ip', 'route', 'show', 'proto', '116', 'scope', 'link')).toBe(`10.32.1.7 dev ${vethName('a')} \n`);
  });

  it('an unpinned pod that a process keeps alive is out of reach, and does not stand in the way', async () => {
    await host.prepare();
    const { netns } = await host.network.attach({ id: 'a', ip: '10.32.1.7' });
    // A socket in it keeps the namespace, as a process would.
    using lingering = await Endpoint.open(netns, '10.32.1.7');
    using outside = await Endpoint.open(host.netns, '169.254.1.1');
    await ping(outside, lingering);
    await host.network.detach('a');
    expect(run(host.netns, 'ip', 'route', 'show', '10.32.1.7')).toBe('');
    await host.network.attach({ id: 'b', ip: '10.32.1.7' });
    await host.network.attach({ id: 'a', ip: '10.32.1.8' });
    await reach('10.32.1.7', path.join(host.config.netnsDir, 'b'));
    await reach('10.32.1.8', path.join(host.config.netnsDir, 'a'));
    expect(lingering.received).toHaveLength(1);
  });

  it('finds its way from wherever it was killed', async () => {
    const pods = Array.from({ length: 6 }, (_, i) => ({ id: `p${i}`, ip: `10.32.1.${10 + i}` }));
    await host.prepare();
    const empty = lab.snapshot(host);
    for (let round = 0; round < 12; round++) {
      await host.network.churn(pods);
      // Spread over the length of an attach and a detach; where it hits is chance.
      const end = performance.now() + round * 1.7;
      while (performance.now() < end) await new Promise(setImmediate);
      await host.restart();
      await host.prepare();
      const left = await host.network.list();
      expect(left.every((p) => pods.some((q) => q.id === p.id))).toBe(true);
      for (const pod of pods) await reach(pod.ip, (await host.network.attach(pod)).netns);
      for (const pod of pods) await host.network.detach(pod.id);
      expect(await host.network.list()).toEqual([]);
    }
    await host.restart();
    await host.prepare();
    expect(lab.snapshot(host)).toEqual(empty);
  });
});
