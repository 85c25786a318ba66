/**
 * A pod's namespace and its veth. Every step may find its work done, or half done by an agent that was killed; all of them together
 * lead to the same end.
 *
 * ```
 *  pod: eth0 ip/32, default via 169.254.1.1 ── veth ── host: tsv<digest>, route ip/32, neighbour ip → podMac(ip)
 * ```
 */
import fs from 'node:fs';
import { addVeth, deleteLink, disableLinkLocalIpv6, getLink, setLink, setReversePathFilter } from '../../lib/linux/link.ts';
import { addAddress, deleteAddress, listAddresses } from '../../lib/linux/link-address.ts';
import { hasErrno } from '../../lib/linux/libc.ts';
import { deleteNeighbour, replaceNeighbour } from '../../lib/linux/neighbour.ts';
import { Batch, NetlinkSocket } from '../../lib/linux/netlink.ts';
import { createNetns, inNetns, openNetns, removeNetns } from '../../lib/linux/netns.ts';
import { deleteRoute, listRoutes, replaceRoute } from '../../lib/linux/route.ts';
import { scope } from '../../lib/linux/rtnetlink.ts';
import { TsorchError } from '../../model/errors.ts';
import { pinPath } from './checks.ts';
import { gatewayMac, podLinkGroup, podMac, routeProtocol, vethIndex, vethName } from './names.ts';
import { gatewayAddress } from './port.ts';

export interface PodLinkOptions {
  readonly netnsDir: string;
  readonly mtu: number;
}

/** Index of eth0: a new namespace has nothing but loopback. */
const loopback = 1;
const eth0 = 2;
const indexAttempts = 100;

/**
 * Returns the path of the pin. The host's end may still drop packets: the kernel opens it in the background, see `podLinkWorks`.
 */
export function attachPod(socket: NetlinkSocket, pod: { readonly id: string; readonly ip: string }, options: PodLinkOptions): string {
  const pin = pinPath(options.netnsDir, pod.id);
  const found = openNetns(pin);
  const netns = found ?? createNetns(pin);
  try {
    const existing = found === undefined ? undefined : findVeth(socket, netns, pod.id);
    const device = existing ?? makeVeth(socket, netns, pod, options.mtu);
    writeHostEnd(socket, device, pod.ip, existing !== undefined);
    inNetns(netns, () => writePodEnd(pod.ip, found !== undefined));
    return pin;
  } finally {
    fs.closeSync(netns);
  }
}

/** A namespace with nothing but loopback. */
export function attachLoopback(podId: string, netnsDir: string): string {
  const pin = pinPath(netnsDir, podId);
  const netns = openNetns(pin) ?? createNetns(pin);
  try {
    inNetns(netns, () => {
      using inside = new NetlinkSocket();
      const end = getLink(inside, 'eth0');
      if (end) inside.exec(deleteLink(new Batch(), end.index));
      inside.exec(setLink(new Batch(), loopback, { up: true }));
    });
    return pin;
  } finally {
    fs.closeSync(netns);
  }
}

export function podLinkWorks(socket: NetlinkSocket, podId: string): boolean {
  // Asking for one link, unlike listing all, also has newer kernels open it at once.
  return getLink(socket, vethName(podId))?.working === true;
}

/**
 * Deletes the route, so that nothing reaches the pod any more, and unpins. The kernel takes the namespace and the veth down by itself
 * when the last process in it has ended; deleting the veth here would hold everything up for tens of milliseconds.
 */
export function detachPod(socket: NetlinkSocket, podId: string, netnsDir: string): void {
  const pin = pinPath(netnsDir, podId);
  const link = getLink(socket, vethName(podId));
  if (link) {
    const batch = new Batch();
    for (const route of listRoutes(socket, { protocol: routeProtocol, device: link.index })) deleteRoute(batch, route);
    socket.exec(batch, 'ESRCH');
  }
  removeNetns(pin);
}

/** Ids of the pods whose pins are there, mounted or left half-way. */
export function listPins(netnsDir: string): string[] {
  try {
    return fs.readdirSync(netnsDir).toSorted();
  } catch (error) {
    if (hasErrno(error, 'ENOENT')) return [];
    throw error;
  }
}

/** The host's end, when its other end is this namespace's eth0. Otherwise what there is of both is removed. */
function findVeth(socket: NetlinkSocket, netns: number, podId: string): number | undefined {
  const host = getLink(socket, vethName(podId));
  const matches = inNetns(netns, () => {
    using inside = new NetlinkSocket();
    const end = getLink(inside, 'eth0');
    if (end && host && end.peer === host.index && end.index === eth0) return true;
    if (end) inside.exec(deleteLink(new Batch(), end.index));
    return false;
  });
  return matches ? host?.index : undefined;
}

function makeVeth(socket: NetlinkSocket, netns: number, pod: { readonly id: string; readonly ip: string }, mtu: number): number {
  const name = vethName(pod.id);
  for (let attempt = 0; attempt < indexAttempts; attempt++) {
    const index = vethIndex(pod.id, attempt);
    try {
      socket.exec(addVeth(new Batch(512), { name, index, mac: gatewayMac }, { name: 'eth0', index: eth0, mac: podMac(pod.ip) }, { mtu, netns, group: podLinkGroup }));
      return index;
    } catch (error) {
      if (!hasErrno(error, 'EEXIST', 'EBUSY')) throw error;
      // The name is taken by an earlier namespace of this pod that is not gone yet; or else the index is by anybody.
      const old = getLink(socket, name);
      if (old) socket.exec(deleteLink(new Batch(), old.index), 'ENODEV');
    }
  }
  throw new TsorchError('exhausted', `pod ${pod.id}: no free index for its network device`);
}

function writeHostEnd(socket: NetlinkSocket, device: number, ip: string, existed: boolean): void {
  const batch = new Batch(1024);
  const route = { destination: `${ip}/32`, device, protocol: routeProtocol };
  if (existed) {
    for (const old of listRoutes(socket, { device, protocol: routeProtocol })) {
      if (old.destination === route.destination) continue;
      deleteRoute(batch, old);
      deleteNeighbour(batch, { device, address: old.destination.replace('/32', '') });
    }
  }
  // A pod cannot send with an address that is not routed to it. Set before the device goes up.
  setReversePathFilter(batch, device, 1);
  disableLinkLocalIpv6(batch, device);
  setLink(batch, device, { up: true });
  replaceNeighbour(batch, { device, address: ip, mac: podMac(ip) });
  replaceRoute(batch, route);
  socket.exec(batch, 'ESRCH', 'ENOENT');
}

/** Runs inside the pod's namespace. */
function writePodEnd(ip: string, existed: boolean): void {
  using socket = new NetlinkSocket();
  const batch = new Batch(1024);
  if (existed) {
    for (const old of listAddresses(socket, eth0)) if (old.address !== ip) deleteAddress(batch, old);
    // A MAC that is set, even to what it was, costs the device its neighbours.
    if (getLink(socket, 'eth0')?.mac !== podMac(ip)) setLink(batch, eth0, { mac: podMac(ip) });
  }
  setLink(batch, loopback, { up: true });
  disableLinkLocalIpv6(batch, eth0);
  setLink(batch, eth0, { up: true });
  addAddress(batch, { device: eth0, address: ip, prefixLength: 32, scope: scope.global });
  replaceNeighbour(batch, { device: eth0, address: gatewayAddress, mac: gatewayMac });
  replaceRoute(batch, { destination: `${gatewayAddress}/32`, device: eth0, protocol: routeProtocol });
  replaceRoute(batch, { destination: '0.0.0.0/0', gateway: gatewayAddress, device: eth0, protocol: routeProtocol });
  socket.exec(batch);
}
