/** IPv4 addresses of network devices. */
import { ipv4Bytes, ipv4Text } from './address.ts';
import { Batch, attributes, netlinkFlag } from './netlink.ts';
import type { NetlinkSocket } from './netlink.ts';
import { family, rtm, scope } from './rtnetlink.ts';

const ifa = { address: 1, local: 2 } as const;

export interface LinkAddress {
  /** Index of the device. */
  readonly device: number;
  readonly address: string;
  readonly prefixLength: number;
  readonly scope: number;
}

/** Adds it; succeeds when it is there. */
export function addAddress(batch: Batch, { device, address, prefixLength, scope: reach }: LinkAddress): Batch {
  const bytes = ipv4Bytes(address);
  return ifaddr(batch.message(rtm.newAddress, netlinkFlag.create | netlinkFlag.replace), device, prefixLength, reach)
    .attribute(ifa.local, bytes).attribute(ifa.address, bytes);
}

/** EADDRNOTAVAIL when it is not there. */
export function deleteAddress(batch: Batch, { device, address, prefixLength }: Omit<LinkAddress, 'scope'>): Batch {
  return ifaddr(batch.message(rtm.deleteAddress), device, prefixLength, 0).attribute(ifa.local, ipv4Bytes(address));
}

/** All addresses, or those of one device. */
export function listAddresses(socket: NetlinkSocket, device = 0): LinkAddress[] {
  const found: LinkAddress[] = [];
  for (const { data } of socket.dump(ifaddr(new Batch(64).message(rtm.getAddress, netlinkFlag.dump), device, 0, scope.global))) {
    const values = attributes(data, 8);
    // On point-to-point devices ADDRESS is the other side; LOCAL is always ours.
    const address = values.get(ifa.local) ?? values.get(ifa.address);
    const index = data.readUInt32LE(4);
    if (address?.length !== 4 || (device !== 0 && index !== device)) continue;
    found.push({ device: index, address: ipv4Text(address), prefixLength: data.readUInt8(1), scope: data.readUInt8(3) });
  }
  return found;
}

/** struct ifaddrmsg */
function ifaddr(batch: Batch, device: number, prefixLength: number, reach: number): Batch {
  return batch.u8(family.inet).u8(prefixLength).u8(0).u8(reach).u32(device);
}
