/** IPv4 routes. */
import { constants } from 'node:os';
import { ipv4Bytes, ipv4Text, parsePrefix } from './address.ts';
import { LinuxError, hasErrno } from './libc.ts';
import { Batch, attributes, netlinkFlag } from './netlink.ts';
import type { NetlinkMessage, NetlinkSocket } from './netlink.ts';
import { family, rtm, scope } from './rtnetlink.ts';

const rta = { destination: 1, device: 4, gateway: 5, priority: 6, preferredSource: 7, table: 15 } as const;
const onlinkFlag = 4;
const anyScope = 255;
export const mainTable = 254;
export const routeType = { unicast: 1, local: 2, broadcast: 3, multicast: 5, blackhole: 6, unreachable: 7, prohibit: 8 } as const;

export interface Route {
  /** `10.32.1.0/24`; `0.0.0.0/0` is the default route. */
  readonly destination: string;
  readonly gateway?: string;
  /** Index of the device. */
  readonly device?: number;
  /** Source address of what this host itself sends by this route. */
  readonly source?: string;
  /** The gateway is reachable by the device whatever the other routes say. */
  readonly onlink?: boolean;
  /** Default: the main table. */
  readonly table?: number;
  /** Who made it, a number from 1 to 255. Default 4, an administrator. */
  readonly protocol?: number;
  /** A `routeType`. Default: unicast. */
  readonly type?: number;
  /** Of routes to one destination the lowest wins. Default 0. */
  readonly metric?: number;
}

/** Adds a route, or puts it in the place of the one with the same destination, table and metric. */
export function replaceRoute(batch: Batch, route: Route): Batch {
  const type = route.type ?? routeType.unicast;
  // A route to a neighbour reaches the link, one by a gateway or to nowhere has no bound.
  const reach = type === routeType.unicast && !route.gateway ? scope.link : scope.global;
  return writeRoute(batch.message(rtm.newRoute, netlinkFlag.create | netlinkFlag.replace), route, { protocol: route.protocol ?? 4, type, reach });
}

/** Removes the first that matches all that is given; what is not given may be anything. ESRCH when there is none. */
export function deleteRoute(batch: Batch, route: Route): Batch {
  return writeRoute(batch.message(rtm.deleteRoute), route, { protocol: route.protocol ?? 0, type: route.type ?? 0, reach: anyScope });
}

/** Which routes to list. The kernel selects. */
export interface RouteFilter {
  readonly table?: number;
  readonly protocol?: number;
  readonly device?: number;
}

/** The routes of one table, the main one by default. */
export function listRoutes(socket: NetlinkSocket, filter: RouteFilter = {}): Route[] {
  const table = filter.table ?? mainTable;
  const request = rtmsg(new Batch(64).message(rtm.getRoute, netlinkFlag.dump), 0, { protocol: filter.protocol ?? 0, type: 0, reach: 0, table: 0 });
  request.attributeU32(rta.table, table);
  if (filter.device !== undefined) request.attributeU32(rta.device, filter.device);
  try {
    return socket.dump(request).map(readRoute).filter((r) => r.table === table
      && (filter.protocol === undefined || r.protocol === filter.protocol)
      && (filter.device === undefined || r.device === filter.device));
  } catch (error) {
    // A table without any route does not exist.
    if (hasErrno(error, 'ENOENT')) return [];
    throw error;
  }
}

/** How the kernel would send to each address; undefined where it cannot. In the order asked. */
export function lookUpRoutes(socket: NetlinkSocket, addresses: readonly string[]): (Route | undefined)[] {
  const batch = new Batch(addresses.length * 40 + 16);
  for (const address of addresses) {
    rtmsg(batch.message(rtm.getRoute), 32, { protocol: 0, type: 0, reach: 0, table: 0 }).attribute(rta.destination, ipv4Bytes(address));
  }
  const { replies, errors } = socket.submit(batch);
  for (const error of errors) {
    if (!['ENETUNREACH', 'EHOSTUNREACH', 'EACCES', 'EINVAL'].includes(error.code)) throw error;
  }
  // Refused ones have no reply; the others come in order.
  const refused = new Set(errors.map((e) => e.index));
  const found = replies.map(readRoute);
  if (found.length + refused.size !== addresses.length) throw new LinuxError('route lookup', constants.errno.EPROTO, 'answers missing');
  let next = 0;
  return addresses.map((_, i) => (refused.has(i) ? undefined : found[next++]));
}

function writeRoute(batch: Batch, route: Route, fields: Omit<RtmFields, 'table'>): Batch {
  const { address, length } = parsePrefix(route.destination);
  const table = route.table ?? mainTable;
  rtmsg(batch, length, { ...fields, table: table < 256 ? table : 0 }, route.onlink ? onlinkFlag : 0);
  if (table >= 256) batch.attributeU32(rta.table, table);
  if (length > 0) batch.attribute(rta.destination, ipv4Bytes(address));
  if (route.gateway !== undefined) batch.attribute(rta.gateway, ipv4Bytes(route.gateway));
  if (route.device !== undefined) batch.attributeU32(rta.device, route.device);
  if (route.source !== undefined) batch.attribute(rta.preferredSource, ipv4Bytes(route.source));
  if (route.metric) batch.attributeU32(rta.priority, route.metric);
  return batch;
}

interface RtmFields {
  readonly protocol: number;
  readonly type: number;
  readonly reach: number;
  readonly table: number;
}

/** struct rtmsg */
function rtmsg(batch: Batch, destinationLength: number, { protocol, type, reach, table }: RtmFields, flags = 0): Batch {
  return batch.u8(family.inet).u8(destinationLength).u8(0).u8(0).u8(table).u8(protocol).u8(reach).u8(type).u32(flags);
}

function readRoute({ data }: NetlinkMessage): Route {
  const values = attributes(data, 12);
  const address = (type: number) => {
    const value = values.get(type);
    return value?.length === 4 ? ipv4Text(value) : undefined;
  };
  const gateway = address(rta.gateway);
  const source = address(rta.preferredSource);
  const device = values.get(rta.device)?.readUInt32LE(0);
  const metric = values.get(rta.priority)?.readUInt32LE(0);
  return {
    destination: `${address(rta.destination) ?? '0.0.0.0'}/${data.readUInt8(1)}`,
    ...(gateway !== undefined && { gateway }),
    ...(device !== undefined && { device }),
    ...(source !== undefined && { source }),
    ...(metric && { metric }),
    onlink: (data.readUInt32LE(8) & onlinkFlag) !== 0,
    table: values.get(rta.table)?.readUInt32LE(0) ?? data.readUInt8(4),
    protocol: data.readUInt8(5),
    type: data.readUInt8(7),
  };
}
