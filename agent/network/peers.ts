/**
 * Routes to the other nodes' pods. A peer on the same link is a plain gateway; the others are reached through VXLAN, which takes
 * three entries: forwarding (peer's MAC → its underlay address), neighbour (peer's `.0` → its MAC) and route (subnet → `.0`).
 *
 * `desiredPeers` and `planPeers` are pure; `readPeers` and `writeChange` are how plans meet the kernel.
 */
import { deleteForwarding, deleteNeighbour, listForwarding, listNeighbours, replaceForwarding, replaceNeighbour } from '../../lib/linux/neighbour.ts';
import { deleteRoute, listRoutes, replaceRoute, routeType } from '../../lib/linux/route.ts';
import type { Batch, NetlinkSocket } from '../../lib/linux/netlink.ts';
import { hostAddress, routeProtocol } from './names.ts';
import type { Peer } from './port.ts';

export interface Devices {
  /** Indexes. */
  readonly tunnel: number;
  readonly underlay: number;
}

export interface PeerRoute {
  readonly gateway: string;
  readonly device: number;
  /** The gateway is no address of the device's network: through the tunnel. */
  readonly onlink: boolean;
}

export interface PeerState {
  /** By subnet. */
  readonly routes: ReadonlyMap<string, PeerRoute>;
  /** MAC by address, on the tunnel. */
  readonly neighbours: ReadonlyMap<string, string>;
  /** Underlay address by MAC, on the tunnel. */
  readonly forwarding: ReadonlyMap<string, string>;
}

export type Change =
  | { readonly kind: 'forward'; readonly mac: string; readonly address: string }
  | { readonly kind: 'neighbour'; readonly address: string; readonly mac: string }
  | { readonly kind: 'route'; readonly subnet: string; readonly to: PeerRoute }
  | { readonly kind: 'unroute'; readonly subnet: string }
  | { readonly kind: 'unneighbour'; readonly address: string }
  | { readonly kind: 'unforward'; readonly mac: string; readonly address: string };

/** What the kernel shall hold. `near` tells which peers are routed to plainly. */
export function desiredPeers(peers: readonly Peer[], devices: Devices, near: (peer: Peer) => boolean): PeerState {
  const routes = new Map<string, PeerRoute>();
  const neighbours = new Map<string, string>();
  const forwarding = new Map<string, string>();
  for (const peer of peers) {
    if (near(peer)) {
      routes.set(peer.subnet, { gateway: peer.address, device: devices.underlay, onlink: false });
      continue;
    }
    const inner = hostAddress(peer.subnet);
    routes.set(peer.subnet, { gateway: inner, device: devices.tunnel, onlink: true });
    neighbours.set(inner, peer.vtepMac.toLowerCase());
    forwarding.set(peer.vtepMac.toLowerCase(), peer.address);
  }
  return { routes, neighbours, forwarding };
}

/** What leads from one to the other. Entries come before the routes that need them and go after. */
export function planPeers(now: PeerState, wanted: PeerState): Change[] {
  const changes: Change[] = [];
  for (const [mac, address] of wanted.forwarding) if (now.forwarding.get(mac) !== address) changes.push({ kind: 'forward', mac, address });
  for (const [address, mac] of wanted.neighbours) if (now.neighbours.get(address) !== mac) changes.push({ kind: 'neighbour', address, mac });
  for (const [subnet, to] of wanted.routes) if (!sameRoute(now.routes.get(subnet), to)) changes.push({ kind: 'route', subnet, to });
  for (const subnet of now.routes.keys()) if (!wanted.routes.has(subnet)) changes.push({ kind: 'unroute', subnet });
  for (const address of now.neighbours.keys()) if (!wanted.neighbours.has(address)) changes.push({ kind: 'unneighbour', address });
  for (const [mac, address] of now.forwarding) if (!wanted.forwarding.has(mac)) changes.push({ kind: 'unforward', mac, address });
  return changes;
}

/** One line for logs and tests. */
export function describeChange(change: Change): string {
  switch (change.kind) {
    case 'forward': return `+ fdb ${change.mac} dst ${change.address}`;
    case 'neighbour': return `+ neigh ${change.address} lladdr ${change.mac}`;
    case 'route': return `+ route ${change.subnet} via ${change.to.gateway}${change.to.onlink ? ' onlink' : ''}`;
    case 'unroute': return `- route ${change.subnet}`;
    case 'unneighbour': return `- neigh ${change.address}`;
    case 'unforward': return `- fdb ${change.mac} dst ${change.address}`;
  }
}

export function readPeers(socket: NetlinkSocket, devices: Devices): PeerState {
  const routes = new Map<string, PeerRoute>();
  for (const route of listRoutes(socket, { protocol: routeProtocol })) {
    // Routes to pods here have no gateway, the one that catches the rest no device.
    if (route.type !== routeType.unicast || route.gateway === undefined || route.device === undefined) continue;
    routes.set(route.destination, { gateway: route.gateway, device: route.device, onlink: route.onlink === true });
  }
  return {
    routes,
    neighbours: new Map(listNeighbours(socket, devices.tunnel).filter((n) => n.permanent).map((n) => [n.address, n.mac])),
    forwarding: new Map(listForwarding(socket, devices.tunnel).map((f) => [f.mac, f.address])),
  };
}

/** Removals of what has gone by itself (with its device) fail with ESRCH or ENOENT. */
export function writeChange(batch: Batch, change: Change, { tunnel }: Devices): Batch {
  switch (change.kind) {
    case 'forward': return replaceForwarding(batch, { device: tunnel, mac: change.mac, address: change.address });
    case 'neighbour': return replaceNeighbour(batch, { device: tunnel, address: change.address, mac: change.mac });
    case 'route': return replaceRoute(batch, { destination: change.subnet, ...change.to, protocol: routeProtocol });
    case 'unroute': return deleteRoute(batch, { destination: change.subnet, protocol: routeProtocol });
    case 'unneighbour': return deleteNeighbour(batch, { device: tunnel, address: change.address });
    case 'unforward': return deleteForwarding(batch, { device: tunnel, mac: change.mac, address: change.address });
  }
}

function sameRoute(a: PeerRoute | undefined, b: PeerRoute): boolean {
  return a !== undefined && a.gateway === b.gateway && a.device === b.device && a.onlink === b.onlink;
}
