import { execFileSync } from 'node:child_process';
import { afterAll, beforeAll, beforeEach, afterEach, describe, expect, it } from 'vitest';
import { Batch, NetlinkError, NetlinkSocket } from '../../../../lib/linux/netlink.ts';
import { inNetns } from '../../../../lib/linux/netns.ts';
import { addLink, addVeth, addVxlan, deleteLink, deleteLinkGroup, disableLinkLocalIpv6, getLink, listLinks, setLink, setReversePathFilter } from '../../../../lib/linux/link.ts';
import { addAddress, deleteAddress, listAddresses } from '../../../../lib/linux/link-address.ts';
import { deleteRoute, listRoutes, lookUpRoutes, replaceRoute, routeType } from '../../../../lib/linux/route.ts';
import { addRule, deleteRule, listRules } from '../../../../lib/linux/rule.ts';
import { deleteForwarding, deleteNeighbour, listForwarding, listNeighbours, replaceForwarding, replaceNeighbour } from '../../../../lib/linux/neighbour.ts';
import { scope } from '../../../../lib/linux/rtnetlink.ts';
import { readSysctl } from '../../../../lib/linux/sysctl.ts';
import { removeScratchDir, scratchDir, scratchNetns } from './scratch.ts';

let dir: string;
let space: ReturnType<typeof scratchNetns>;
let socket: NetlinkSocket;
const device = 500;

beforeAll(() => {
  dir = scratchDir('rt');
});
afterAll(() => removeScratchDir(dir));
beforeEach(() => {
  space = scratchNetns(dir, 'ns');
  socket = inNetns(space.fd, () => new NetlinkSocket());
  // A pair looped back stands for an underlay device: unlike `dummy`, veth is in every kernel that runs containers.
  const batch = addVeth(new Batch(), { name: 'd0', index: device }, { name: 'd1', index: device + 1 }, { mtu: 1500 });
  for (const index of [1, device, device + 1]) setLink(batch, index, { up: true });
  socket.exec(addAddress(batch, { device, address: '10.0.0.1', prefixLength: 24, scope: scope.global }));
});
afterEach(() => {
  socket.close();
  space[Symbol.dispose]();
});

/** What iproute2 says, as the judge. */
const ip = (...args: string[]) => JSON.parse(execFileSync('nsenter', [`--net=${space.path}`, 'ip', '-j', '-d', ...args], { encoding: 'utf8' }) || '[]') as Record<string, unknown>[];

describe('links', () => {
  it('are made, changed, listed and deleted', () => {
    using other = scratchNetns(dir, 'other');
    socket.exec(addVeth(new Batch(), { name: 'v0', index: 1000, mac: 'ee:ee:ee:ee:ee:ee' }, { name: 'eth0', index: 2 }, { mtu: 1400, netns: other.fd, group: 7 }));
    expect(getLink(socket, 'v0')).toMatchObject({ index: 1000, name: 'v0', up: false, mtu: 1400, mac: 'ee:ee:ee:ee:ee:ee', kind: 'veth', group: 7, peer: 2, peerElsewhere: true, vxlan: null });
    expect(inNetns(other.fd, () => { using s = new NetlinkSocket(); return getLink(s, 'eth0'); })).toMatchObject({ index: 2, mtu: 1400, peer: 1000 });
    expect(listLinks(socket).map((l) => l.name)).toEqual(expect.arrayContaining(['lo', 'd0', 'v0']));
    expect(listLinks(socket, 'veth').map((l) => l.name).toSorted()).toEqual(['d0', 'd1', 'v0']);
    socket.exec(addLink(new Batch(), 'b0', 'bridge'));
    expect(listLinks(socket, 'bridge').map((l) => l.name)).toEqual(['b0']);
    socket.exec(setLink(new Batch(), device, { master: getLink(socket, 'b0')?.index ?? 0 }));
    expect(getLink(socket, 'd0')?.master).toBe(getLink(socket, 'b0')?.index);

    const batch = new Batch();
    setReversePathFilter(batch, 1000, 1);
    disableLinkLocalIpv6(batch, 1000);
    setLink(batch, 1000, { up: true, mtu: 1300 });
    socket.exec(batch);
    expect(ip('link', 'show', 'dev', 'v0')[0]).toMatchObject({ mtu: 1300, group: '7', inet6_addr_gen_mode: 'none' });
    expect(inNetns(space.fd, () => readSysctl('net/ipv4/conf/v0/rp_filter'))).toBe('1');
    expect(getLink(socket, 'v0')?.up).toBe(true);

    socket.exec(deleteLinkGroup(new Batch(), 7));
    expect(getLink(socket, 'v0')).toBeUndefined();
    socket.exec(deleteLink(new Batch(), device));
    expect(() => socket.exec(deleteLink(new Batch(), device))).toThrow(expect.objectContaining({ code: 'ENODEV' }));
  });

  it('refuse names and indexes that are taken', () => {
    expect(() => socket.exec(addVeth(new Batch(), { name: 'd0', index: 0 }, { name: 'p0', index: 0 }, { mtu: 1500 }))).toThrow(expect.objectContaining({ code: 'EEXIST' }));
    expect(() => socket.exec(addVeth(new Batch(), { name: 'v0', index: device }, { name: 'p0', index: 0 }, { mtu: 1500 }))).toThrow(expect.objectContaining({ code: 'EEXIST' }));
  });

  it('make a VXLAN device as told', () => {
    const settings = { id: 4711, local: '10.0.0.1', device, port: 4789, learning: false };
    socket.exec(addVxlan(new Batch(), 'x0', settings, { mac: '02:00:0a:20:01:00', mtu: 1450 }));
    expect(getLink(socket, 'x0')).toMatchObject({ kind: 'vxlan', mac: '02:00:0a:20:01:00', mtu: 1450, vxlan: settings });
    expect(ip('link', 'show', 'dev', 'x0')[0]).toMatchObject({ linkinfo: { info_data: { id: 4711, local: '10.0.0.1', port: 4789, learning: false, link: 'd0' } } });
  });
});

describe('addresses', () => {
  it('are added twice without harm, listed and deleted', () => {
    const address = { device, address: '169.254.1.1', prefixLength: 32, scope: scope.link };
    socket.exec(addAddress(new Batch(), address));
    socket.exec(addAddress(new Batch(), address));
    expect(listAddresses(socket, device)).toEqual(expect.arrayContaining([address]));
    expect(listAddresses(socket).length).toBeGreaterThan(listAddresses(socket, device).length);
    socket.exec(deleteAddress(new Batch(), address));
    expect(() => socket.exec(deleteAddress(new Batch(), address))).toThrow(expect.objectContaining({ code: 'EADDRNOTAVAIL' }));
  });
});

describe('routes', () => {
  it('are replaced, selected and deleted', () => {
    const batch = new Batch();
    replaceRoute(batch, { destination: '10.32.1.0/24', gateway: '10.0.0.2', protocol: 99 });
    replaceRoute(batch, { destination: '10.32.2.0/24', gateway: '10.32.2.0', device, onlink: true, source: '10.0.0.1', protocol: 99 });
    replaceRoute(batch, { destination: '10.32.3.7/32', device, protocol: 98 });
    replaceRoute(batch, { destination: '10.32.0.0/12', type: routeType.unreachable, protocol: 99, metric: 5 });
    replaceRoute(batch, { destination: '0.0.0.0/0', gateway: '10.0.0.3', table: 1000, protocol: 99 });
    socket.exec(batch);
    socket.exec(replaceRoute(new Batch(), { destination: '10.32.1.0/24', gateway: '10.0.0.4', protocol: 99 }));
    expect(listRoutes(socket, { protocol: 99 })).toEqual([
      { destination: '10.32.0.0/12', type: routeType.unreachable, protocol: 99, table: 254, metric: 5, onlink: false },
      { destination: '10.32.1.0/24', gateway: '10.0.0.4', device, type: 1, protocol: 99, table: 254, onlink: false },
      { destination: '10.32.2.0/24', gateway: '10.32.2.0', device, source: '10.0.0.1', type: 1, protocol: 99, table: 254, onlink: true },
    ]);
    expect(listRoutes(socket, { device }).map((r) => r.destination)).toEqual(expect.arrayContaining(['10.32.3.7/32', '10.0.0.0/24']));
    expect(listRoutes(socket, { table: 1000 })).toMatchObject([{ destination: '0.0.0.0/0', gateway: '10.0.0.3', table: 1000 }]);
    expect(listRoutes(socket, { table: 4242 })).toEqual([]);
    socket.exec(deleteRoute(new Batch(), { destination: '10.32.3.7/32' }));
    expect(() => socket.exec(deleteRoute(new Batch(), { destination: '10.32.3.7/32' }))).toThrow(expect.objectContaining({ code: 'ESRCH' }));
  });

  it('are looked up as the kernel would take them', () => {
    socket.exec(replaceRoute(new Batch(), { destination: '10.9.0.0/16', gateway: '10.0.0.9' }));
    const [near, none, far] = lookUpRoutes(socket, ['10.0.0.77', '192.0.2.1', '10.9.1.1']);
    expect(near).toMatchObject({ device });
    expect(near?.gateway).toBeUndefined();
    expect(none).toBeUndefined();
    expect(far).toMatchObject({ gateway: '10.0.0.9', device });
  });

  it('carry the kernel’s own words when refused', () => {
    const batch = replaceRoute(new Batch(), { destination: '10.1.0.0/16', gateway: '10.0.0.9' });
    replaceRoute(batch, { destination: '10.2.0.0/16', gateway: '192.0.2.1' });
    replaceRoute(batch, { destination: '10.3.0.0/16', gateway: '10.0.0.9' });
    const { errors } = socket.submit(batch);
    expect(errors).toHaveLength(1);
    expect(errors[0]).toBeInstanceOf(NetlinkError);
    expect(errors[0]).toMatchObject({ index: 1, code: 'ENETUNREACH', detail: 'Nexthop has invalid gateway' });
    expect(listRoutes(socket, { protocol: 4 }).map((r) => r.destination)).toEqual(['10.1.0.0/16', '10.3.0.0/16']);
  });

  it('go by thousands in one batch', () => {
    const batch = new Batch();
    for (let i = 0; i < 5000; i++) replaceRoute(batch, { destination: `11.${i >> 8}.${i & 255}.0/24`, gateway: '10.0.0.2', protocol: 97 });
    socket.exec(batch);
    expect(listRoutes(socket, { protocol: 97 })).toHaveLength(5000);
  });
});

describe('rules', () => {
  it('are added, listed and deleted', () => {
    const rule = { priority: 100, table: 1000, mark: 0x10, markMask: 0xf0, source: '10.32.0.0/16', destination: '10.33.1.0/24', inputDevice: 'd0', outputDevice: 'd0', suppressPrefixLength: 0, protocol: 116 };
    socket.exec(addRule(new Batch(), rule));
    expect(() => socket.exec(addRule(new Batch(), rule))).toThrow(expect.objectContaining({ code: 'EEXIST' }));
    expect(listRules(socket)).toEqual(expect.arrayContaining([rule, expect.objectContaining({ priority: 32766, table: 254 })]));
    expect(ip('rule', 'show', 'priority', '100')[0]).toMatchObject({ src: '10.32.0.0', fwmark: '0x10', fwmask: '0xf0', table: '1000' });
    socket.exec(deleteRule(new Batch(), rule));
    expect(() => socket.exec(deleteRule(new Batch(), rule))).toThrow(expect.objectContaining({ code: 'ENOENT' }));
  });
});

describe('neighbours and forwarding', () => {
  it('are replaced, listed and deleted', () => {
    socket.exec(replaceNeighbour(new Batch(), { device, address: '10.0.0.2', mac: '02:00:00:00:00:01' }));
    socket.exec(replaceNeighbour(new Batch(), { device, address: '10.0.0.2', mac: '02:00:00:00:00:02' }));
    expect(listNeighbours(socket, device)).toEqual([{ device, address: '10.0.0.2', mac: '02:00:00:00:00:02', permanent: true }]);
    socket.exec(deleteNeighbour(new Batch(), { device, address: '10.0.0.2' }));
    expect(listNeighbours(socket, device)).toEqual([]);
    expect(() => socket.exec(deleteNeighbour(new Batch(), { device, address: '10.0.0.2' }))).toThrow(expect.objectContaining({ code: 'ENOENT' }));
  });

  it('direct a VXLAN device', () => {
    socket.exec(addVxlan(new Batch(), 'x0', { id: 1, local: '10.0.0.1', device, port: 4789, learning: false }, { mac: '02:00:0a:20:01:00', mtu: 1450 }));
    const tunnel = getLink(socket, 'x0')?.index ?? 0;
    const entry = { device: tunnel, mac: '02:00:0a:20:02:00', address: '10.0.0.2' };
    socket.exec(replaceForwarding(new Batch(), { ...entry, address: '10.0.0.9' }));
    socket.exec(replaceForwarding(new Batch(), entry));
    expect(listForwarding(socket, tunnel)).toEqual([{ ...entry, permanent: true }]);
    expect(listForwarding(socket, device)).toEqual([]);
    socket.exec(deleteForwarding(new Batch(), entry));
    expect(listForwarding(socket, tunnel)).toEqual([]);
    expect(() => socket.exec(deleteForwarding(new Batch(), entry))).toThrow(expect.objectContaining({ code: 'ENOENT' }));
  });
});
