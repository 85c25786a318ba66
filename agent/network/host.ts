/** The host's own part: forwarding, the gateway's address, the VXLAN device, and the route that catches what nobody has. */
import { addVxlan, deleteLink, disableLinkLocalIpv6, getLink, listLinks, setLink, setReversePathFilter } from '../../lib/linux/link.ts';
import type { Link, VxlanSettings } from '../../lib/linux/link.ts';
import { addAddress, deleteAddress, listAddresses } from '../../lib/linux/link-address.ts';
import { Batch } from '../../lib/linux/netlink.ts';
import type { NetlinkSocket } from '../../lib/linux/netlink.ts';
import { deleteRoute, listRoutes, replaceRoute, routeType } from '../../lib/linux/route.ts';
import { scope } from '../../lib/linux/rtnetlink.ts';
import { writeSysctl } from '../../lib/linux/sysctl.ts';
import { TsorchError } from '../../model/errors.ts';
import { catchAllMetric, hostAddress, routeProtocol, tunnelId, tunnelMac, tunnelName, tunnelOverhead, tunnelPort } from './names.ts';
import { gatewayAddress } from './port.ts';
import type { HostNetworkConfig } from './port.ts';

/** In every network namespace, the first device. */
const loopback = 1;
const gateway = { device: loopback, address: gatewayAddress, prefixLength: 32, scope: scope.link };

/** The device that has the host's underlay address. Throws `invalid` when none has. */
export function findUnderlay(socket: NetlinkSocket, address: string): Link {
  const addresses = listAddresses(socket);
  const device = addresses.find((a) => a.address === address)?.device;
  const link = device === undefined ? undefined : listLinks(socket).find((l) => l.index === device);
  if (link) return link;
  const some = addresses.filter((a) => a.device !== loopback).map((a) => a.address);
  throw new TsorchError('invalid', `no network device of this host has the address ${address}`, {
    hint: some.length > 0 ? `choose one of ${some.join(', ')}` : 'give a device an address first',
  });
}

/** What fits into one packet of a pod. With plain routes only, as much as the underlay carries. */
export function podMtu(underlay: Link, mode: HostNetworkConfig['underlay']): number {
  return mode === 'route' ? underlay.mtu : underlay.mtu - tunnelOverhead;
}

const ethernetMtu = 1500;

/** For pods of this host alone: no larger than what leads out of it. */
export function localMtu(socket: NetlinkSocket): number {
  const device = listRoutes(socket, {}).find((route) => route.destination === '0.0.0.0/0')?.device;
  const mtu = device === undefined ? undefined : listLinks(socket).find((link) => link.index === device)?.mtu;
  return Math.min(ethernetMtu, mtu ?? ethernetMtu);
}

/** Makes the VXLAN device as configured and keeps one that is; returns it. */
export function ensureTunnel(socket: NetlinkSocket, config: HostNetworkConfig, underlay: Link): Link {
  const settings = { id: tunnelId, local: config.address, device: underlay.index, port: tunnelPort, learning: false };
  const mac = tunnelMac(config.subnet);
  const mtu = underlay.mtu - tunnelOverhead;
  let link = getLink(socket, tunnelName);
  if (link && !sameTunnel(link.vxlan, settings)) {
    // Most of these cannot be changed on a device that exists.
    socket.exec(deleteLink(new Batch(), link.index));
    link = undefined;
  }
  if (!link) {
    socket.exec(addVxlan(new Batch(), tunnelName, settings, { mac, mtu }));
    link = getLink(socket, tunnelName);
  }
  if (!link) throw new TsorchError('unavailable', `the device ${tunnelName} vanished while it was being made`);

  const batch = new Batch();
  // A peer may send by the tunnel what goes back by a plain route, while the two learn of one another.
  setReversePathFilter(batch, link.index, 0);
  disableLinkLocalIpv6(batch, link.index);
  // A MAC that is set, even to what it was, costs the device all its neighbours.
  setLink(batch, link.index, { up: true, mtu, ...(link.mac !== mac && { mac }) });
  const own = { device: link.index, address: hostAddress(config.subnet), prefixLength: 32, scope: scope.global };
  for (const address of listAddresses(socket, link.index)) if (address.address !== own.address) deleteAddress(batch, address);
  addAddress(batch, own);
  socket.exec(batch);
  return { ...link, mac, mtu, up: true };
}

/**
 * Forwarding on, the gateway's address in place, and packets to addresses of these ranges that nobody has refused here instead of sent
 * to the world. With `only` no other range is refused any more.
 */
export function ensureRouting(socket: NetlinkSocket, ranges: readonly string[], { only }: { readonly only: boolean }): void {
  writeSysctl('net/ipv4/ip_forward', 1);
  const batch = new Batch();
  setLink(batch, loopback, { up: true });
  addAddress(batch, gateway);
  const refuse = { type: routeType.unreachable, protocol: routeProtocol, metric: catchAllMetric };
  for (const route of only ? listRoutes(socket, { protocol: routeProtocol }) : []) {
    if (route.type === routeType.unreachable && !ranges.includes(route.destination)) deleteRoute(batch, { ...refuse, destination: route.destination });
  }
  for (const destination of ranges) replaceRoute(batch, { ...refuse, destination });
  socket.exec(batch, 'ESRCH');
}

/** Takes all of that away except `ip_forward`, which others may have come to need. */
export function removeHost(socket: NetlinkSocket): void {
  const batch = new Batch();
  for (const route of listRoutes(socket, { protocol: routeProtocol })) deleteRoute(batch, route);
  deleteAddress(batch, gateway);
  const tunnel = getLink(socket, tunnelName);
  if (tunnel) deleteLink(batch, tunnel.index);
  socket.exec(batch, 'ESRCH', 'EADDRNOTAVAIL', 'ENODEV');
}

function sameTunnel(a: VxlanSettings | null, b: VxlanSettings): boolean {
  return a !== null && a.id === b.id && a.local === b.local && a.device === b.device && a.port === b.port && a.learning === b.learning;
}
