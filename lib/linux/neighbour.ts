/** Who is behind which address: the neighbour table (IPv4 → MAC) and the forwarding table of VXLAN devices (MAC → tunnel end). */
import { ipv4Bytes, ipv4Text, macBytes, macText } from './address.ts';
import { Batch, attributes, netlinkFlag } from './netlink.ts';
import type { NetlinkSocket } from './netlink.ts';
import { family, rtm } from './rtnetlink.ts';

const nda = { destination: 1, mac: 2, device: 8 } as const;
export const neighbourState = { reachable: 0x02, stale: 0x04, noArp: 0x40, permanent: 0x80 } as const;
/** The entry is the device's own, not the bridge's above it. */
const selfFlag = 0x02;

export interface Neighbour {
  /** Index of the device. */
  readonly device: number;
  readonly address: string;
  /** Empty while unresolved. */
  readonly mac: string;
  readonly permanent: boolean;
}

/** In a VXLAN device: frames to `mac` go to the tunnel end at `address`. */
export interface ForwardingEntry {
  readonly device: number;
  readonly mac: string;
  readonly address: string;
  readonly permanent: boolean;
}

/** A permanent neighbour: nobody is asked and nothing expires. Replaces what is there. */
export function replaceNeighbour(batch: Batch, { device, address, mac }: Omit<Neighbour, 'permanent'>): Batch {
  return ndmsg(batch.message(rtm.newNeighbour, netlinkFlag.create | netlinkFlag.replace), family.inet, device, neighbourState.permanent)
    .attribute(nda.destination, ipv4Bytes(address)).attribute(nda.mac, macBytes(mac));
}

/** ENOENT when it is not there. */
export function deleteNeighbour(batch: Batch, { device, address }: Pick<Neighbour, 'device' | 'address'>): Batch {
  return ndmsg(batch.message(rtm.deleteNeighbour), family.inet, device, 0).attribute(nda.destination, ipv4Bytes(address));
}

/** Of one device. Entries that are permanent or resolved. */
export function listNeighbours(socket: NetlinkSocket, device: number): Neighbour[] {
  return dump(socket, family.inet, device);
}

/** A permanent entry; replaces the tunnel end of a MAC that is there. */
export function replaceForwarding(batch: Batch, { device, mac, address }: Omit<ForwardingEntry, 'permanent'>): Batch {
  return ndmsg(batch.message(rtm.newNeighbour, netlinkFlag.create | netlinkFlag.replace), family.bridge, device, neighbourState.permanent, selfFlag)
    .attribute(nda.mac, macBytes(mac)).attribute(nda.destination, ipv4Bytes(address));
}

/** ENOENT when it is not there. */
export function deleteForwarding(batch: Batch, { device, mac, address }: Omit<ForwardingEntry, 'permanent'>): Batch {
  return ndmsg(batch.message(rtm.deleteNeighbour), family.bridge, device, 0, selfFlag).attribute(nda.mac, macBytes(mac)).attribute(nda.destination, ipv4Bytes(address));
}

/** The forwarding table of one VXLAN device. */
export function listForwarding(socket: NetlinkSocket, device: number): ForwardingEntry[] {
  return dump(socket, family.bridge, device);
}

function dump(socket: NetlinkSocket, af: number, device: number): Neighbour[] {
  const request = ndmsg(new Batch(64).message(rtm.getNeighbour, netlinkFlag.dump), af, 0, 0).attributeU32(nda.device, device);
  const found: Neighbour[] = [];
  for (const { data } of socket.dump(request)) {
    const values = attributes(data, 12);
    const address = values.get(nda.destination);
    const mac = values.get(nda.mac);
    if (data.readInt32LE(4) !== device || address?.length !== 4) continue;
    found.push({ device, address: ipv4Text(address), mac: mac ? macText(mac) : '', permanent: (data.readUInt16LE(8) & neighbourState.permanent) !== 0 });
  }
  return found;
}

/** struct ndmsg */
function ndmsg(batch: Batch, af: number, device: number, state: number, flags = 0): Batch {
  return batch.u8(af).u8(0).u16(0).u32(device).u16(state).u8(flags).u8(0);
}
