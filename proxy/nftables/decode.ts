/** Reading back what the kernel holds. */
import type { NftElement } from '../../lib/linux/nfnetlink.ts';
import { formatIp4 } from '../rules/address.ts';

/** Elements of `vip-slots`: each virtual address and its endpoints. */
export function decodeVipSlots(elements: readonly NftElement[]): ReadonlyMap<string, readonly string[]> {
  const found = new Map<string, Set<string>>();
  for (const { key, data } of elements) {
    if (!(data instanceof Uint8Array)) continue;
    const vip = formatIp4(Buffer.from(key).readUInt32BE());
    const endpoint = formatIp4(Buffer.from(data).readUInt32BE());
    found.set(vip, (found.get(vip) ?? new Set()).add(endpoint));
  }
  return new Map([...found].map(([vip, endpoints]) => [vip, [...endpoints]]));
}
