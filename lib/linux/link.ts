/** Network devices. Functions that take a Batch append to it; the others ask the kernel at once. */
import { constants } from 'node:os';
import { ipv4Bytes, ipv4Text, macBytes, macText } from './address.ts';
import { Batch, NetlinkError, attributeText, attributes, netlinkFlag } from './netlink.ts';
import type { NetlinkMessage, NetlinkSocket } from './netlink.ts';
import { family, rtm } from './rtnetlink.ts';

const ifla = { address: 1, name: 3, mtu: 4, link: 5, master: 10, state: 16, linkInfo: 18, stats64: 23, afSpec: 26, group: 27, netnsFd: 28, extMask: 29, linkNetnsId: 37 } as const;
/** Leaves the counters out of answers: they are most of their size. */
const skipStatistics = 8;
const info = { kind: 1, data: 2 } as const;
const vethPeer = 1;
const vxlanAttribute = { id: 1, link: 3, local: 4, learning: 7, port: 15 } as const;
const inetConf = { attribute: 1, rpFilter: 8 } as const;
const inet6AddressMode = { attribute: 8, none: 1 } as const;
const linkUp = 1;
/** IF_OPER_UNKNOWN (devices that never tell) and IF_OPER_UP. */
const workingStates = [0, 6];

export interface VxlanSettings {
  readonly id: number;
  /** Underlay address packets leave from. */
  readonly local: string;
  /** Index of the underlay device. */
  readonly device: number;
  readonly port: number;
  readonly learning: boolean;
}

export interface Link {
  readonly index: number;
  readonly name: string;
  /** Somebody wants it up. */
  readonly up: boolean;
  /** It carries packets. Follows a little after both ends of a veth are up; what is sent before is lost. */
  readonly working: boolean;
  readonly mtu: number;
  /** Empty for devices without one. */
  readonly mac: string;
  /** `veth`, `vxlan`, `dummy`, …; empty for plain devices. */
  readonly kind: string;
  readonly group: number;
  /** Index of the veth's other end or of the device below; in another namespace when `peerElsewhere`. */
  readonly peer: number | null;
  readonly peerElsewhere: boolean;
  readonly master: number | null;
  readonly vxlan: VxlanSettings | null;
}

export interface VethEnd {
  readonly name: string;
  /** Chosen by the caller, or 0 for the kernel's choice. */
  readonly index: number;
  readonly mac?: string;
}

/** A veth pair, both ends down. With `netns` the peer is born in that namespace. EEXIST when a name or an index is taken. */
export function addVeth(batch: Batch, host: VethEnd, peer: VethEnd, options: { readonly mtu: number; readonly netns?: number; readonly group?: number }): Batch {
  const end = (b: Batch, e: VethEnd) => {
    b.string(ifla.name, e.name).attributeU32(ifla.mtu, options.mtu);
    if (e.mac) b.attribute(ifla.address, macBytes(e.mac));
  };
  newLink(batch, host.index);
  end(batch, host);
  if (options.group) batch.attributeU32(ifla.group, options.group);
  return linkInfo(batch, 'veth', (data) => data.nest(vethPeer, (b) => {
    // The peer must be made down: the kernel refuses to raise it before the pair is whole.
    ifinfo(b, peer.index);
    end(b, peer);
    if (options.netns !== undefined) b.attributeU32(ifla.netnsFd, options.netns);
  }));
}

export function addVxlan(batch: Batch, name: string, settings: VxlanSettings, options: { readonly mac: string; readonly mtu: number; readonly index?: number }): Batch {
  newLink(batch, options.index ?? 0).string(ifla.name, name).attributeU32(ifla.mtu, options.mtu).attribute(ifla.address, macBytes(options.mac));
  return linkInfo(batch, 'vxlan', (data) => data
    .attributeU32(vxlanAttribute.id, settings.id)
    .attributeU32(vxlanAttribute.link, settings.device)
    .attribute(vxlanAttribute.local, ipv4Bytes(settings.local))
    .attributeU8(vxlanAttribute.learning, settings.learning ? 1 : 0)
    .attributeU16be(vxlanAttribute.port, settings.port));
}

/** A device of a kind that needs no more said: `dummy`, `bridge`, `ifb`. */
export function addLink(batch: Batch, name: string, kind: string): Batch {
  return linkInfo(newLink(batch, 0).string(ifla.name, name), kind, (data) => data);
}

export interface LinkChange {
  readonly up?: boolean;
  readonly name?: string;
  readonly mtu?: number;
  readonly mac?: string;
  readonly group?: number;
  /** 0 releases it. */
  readonly master?: number;
  /** Moves it to the namespace of this descriptor. */
  readonly netns?: number;
}

export function setLink(batch: Batch, index: number, change: LinkChange): Batch {
  ifinfo(batch.message(rtm.newLink), index, change.up ? linkUp : 0, change.up === undefined ? 0 : linkUp);
  if (change.name !== undefined) batch.string(ifla.name, change.name);
  if (change.mtu !== undefined) batch.attributeU32(ifla.mtu, change.mtu);
  if (change.mac !== undefined) batch.attribute(ifla.address, macBytes(change.mac));
  if (change.group !== undefined) batch.attributeU32(ifla.group, change.group);
  if (change.master !== undefined) batch.attributeU32(ifla.master, change.master);
  if (change.netns !== undefined) batch.attributeU32(ifla.netnsFd, change.netns);
  return batch;
}

/** Sets the device's `rp_filter` (1: drop what comes from where its source is not routed to). */
export function setReversePathFilter(batch: Batch, index: number, value: 0 | 1 | 2): Batch {
  return afSpec(batch, index, family.inet, (b) => b.nest(inetConf.attribute, (c) => c.attributeU32(inetConf.rpFilter, value)));
}

/** Keeps the device from giving itself a link-local IPv6 address when it goes up. */
export function disableLinkLocalIpv6(batch: Batch, index: number): Batch {
  return afSpec(batch, index, family.inet6, (b) => b.attributeU8(inet6AddressMode.attribute, inet6AddressMode.none));
}

/** Takes tens of milliseconds, in which the kernel waits for the device's users. */
export function deleteLink(batch: Batch, index: number): Batch {
  return ifinfo(batch.message(rtm.deleteLink), index);
}

/** Deletes all the links of a group (not 0) for hardly more than the price of one. */
export function deleteLinkGroup(batch: Batch, group: number): Batch {
  return ifinfo(batch.message(rtm.deleteLink), 0).attributeU32(ifla.group, group);
}

export function getLink(socket: NetlinkSocket, name: string): Link | undefined {
  const { errors, replies } = socket.submit(ifinfo(new Batch(128).message(rtm.getLink), 0).string(ifla.name, name).attributeU32(ifla.extMask, skipStatistics));
  const error = errors[0];
  if (error instanceof NetlinkError && error.errno !== constants.errno.ENODEV) throw error;
  return replies[0] && readLink(replies[0]);
}

/** Bytes over the device since it was made; undefined when there is none of that name. */
export function linkTraffic(socket: NetlinkSocket, name: string): { readonly received: number; readonly sent: number } | undefined {
  const { errors, replies } = socket.submit(ifinfo(new Batch(128).message(rtm.getLink), 0).string(ifla.name, name));
  const error = errors[0];
  if (error instanceof NetlinkError && error.errno !== constants.errno.ENODEV) throw error;
  const counts = replies[0] && attributes(replies[0].data, 16).get(ifla.stats64);
  // struct rtnl_link_stats64: packets in, packets out, bytes in, bytes out.
  return counts && { received: Number(counts.readBigUInt64LE(16)), sent: Number(counts.readBigUInt64LE(24)) };
}

/** All links, or those of a kind. */
export function listLinks(socket: NetlinkSocket, kind?: string): Link[] {
  const request = ifinfo(new Batch(128).message(rtm.getLink, netlinkFlag.dump), 0).attributeU32(ifla.extMask, skipStatistics);
  if (kind) request.nest(ifla.linkInfo, (b) => b.attribute(info.kind, Buffer.from(`${kind}\0`)));
  const links = socket.dump(request).map(readLink);
  return kind ? links.filter((l) => l.kind === kind) : links;
}

function newLink(batch: Batch, index: number): Batch {
  return ifinfo(batch.message(rtm.newLink, netlinkFlag.create | netlinkFlag.exclusive), index);
}

function linkInfo(batch: Batch, kind: string, fill: (data: Batch) => Batch): Batch {
  return batch.nest(ifla.linkInfo, (b) => b.string(info.kind, kind).nest(info.data, (data) => void fill(data)));
}

function afSpec(batch: Batch, index: number, af: number, fill: (b: Batch) => Batch): Batch {
  return ifinfo(batch.message(rtm.newLink), index).nest(ifla.afSpec, (b) => b.nest(af, (c) => void fill(c)));
}

/** struct ifinfomsg */
function ifinfo(batch: Batch, index: number, flags = 0, change = 0): Batch {
  return batch.u8(family.unspecified).u8(0).u16(0).u32(index).u32(flags).u32(change);
}

function readLink({ data }: NetlinkMessage): Link {
  const found = attributes(data, 16);
  const number = (type: number) => found.get(type)?.readUInt32LE(0);
  const details = found.get(ifla.linkInfo);
  const inner = details ? attributes(details) : new Map<number, Buffer>();
  const kind = attributeText(inner.get(info.kind) ?? Buffer.alloc(0));
  const mac = found.get(ifla.address);
  const up = (data.readUInt32LE(8) & linkUp) !== 0;
  return {
    index: data.readInt32LE(4),
    name: attributeText(found.get(ifla.name) ?? Buffer.alloc(0)),
    up,
    working: up && workingStates.includes(found.get(ifla.state)?.[0] ?? 0),
    mtu: number(ifla.mtu) ?? 0,
    mac: mac?.length === 6 ? macText(mac) : '',
    kind,
    group: number(ifla.group) ?? 0,
    peer: number(ifla.link) ?? null,
    peerElsewhere: found.has(ifla.linkNetnsId),
    master: number(ifla.master) ?? null,
    vxlan: kind === 'vxlan' ? readVxlan(inner.get(info.data) ?? Buffer.alloc(0)) : null,
  };
}

function readVxlan(data: Buffer): VxlanSettings {
  const found = attributes(data);
  const local = found.get(vxlanAttribute.local);
  return {
    id: found.get(vxlanAttribute.id)?.readUInt32LE(0) ?? 0,
    local: local ? ipv4Text(local) : '',
    device: found.get(vxlanAttribute.link)?.readUInt32LE(0) ?? 0,
    port: found.get(vxlanAttribute.port)?.readUInt16BE(0) ?? 0,
    learning: found.get(vxlanAttribute.learning)?.[0] === 1,
  };
}
