/** A subnet for every node, cut from the cluster's block of pod addresses. */
import { formatCidr, parseCidr } from './cidr.ts';
import type { Allocated } from './result.ts';

/**
 * The lowest part of `podCidr` with prefix `nodePrefix` that overlaps none of `used` (`a.b.c.d/n`, any prefix; what cannot be
 * read is skipped). Nodes keep their subnet for ever, so a removed node's is free once its record is.
 */
export function allocateSubnet(podCidr: string, nodePrefix: number, used: Iterable<string>): Allocated<string> {
  const block = parseCidr(podCidr);
  if (block === null || nodePrefix < block.prefix || nodePrefix > 30) return { exhausted: `${podCidr} has no subnets of /${nodePrefix}` };
  const size = 2 ** (32 - nodePrefix);
  const count = block.size / size;
  const taken = new Set<number>();
  for (const text of used) {
    const other = parseCidr(text);
    if (other === null) continue;
    const first = Math.max(0, Math.floor((other.base - block.base) / size));
    const last = Math.min(count - 1, Math.floor((other.base + other.size - 1 - block.base) / size));
    for (let index = first; index <= last; index++) taken.add(index);
  }
  for (let index = 0; index < count; index++) {
    if (!taken.has(index)) return { ok: formatCidr({ base: block.base + index * size, prefix: nodePrefix }) };
  }
  return { exhausted: `all ${count} subnets of ${podCidr} belong to nodes; remove nodes that are gone for good` };
}
