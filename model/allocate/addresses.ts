/**
 * Addresses from a block: of pods from their node's subnet, of services from the service block. The first address (the node's
 * own on the overlay) and the last (broadcast) are never given.
 *
 * A cursor goes round the block, so an address that was just freed comes up again only after all others: connections and DNS
 * answers that still know it reach nobody rather than somebody else.
 */
import { formatIp, parseCidr, parseIp, type Cidr } from './cidr.ts';
import type { Allocated } from './result.ts';

export class AddressPool {
  readonly #cidr: string;
  readonly #block: Cidr | null;
  readonly #used: Set<number>;
  /** Offset in the block of the address given last. */
  #cursor: number;

  /** Starts behind the highest address in use, or behind `after`, the one given last, if that is known. */
  constructor(cidr: string, used: Iterable<string>, after?: string) {
    this.#cidr = cidr;
    this.#block = parseCidr(cidr);
    this.#used = new Set();
    for (const ip of used) this.reserve(ip);
    const last = after === undefined ? null : this.#offset(after);
    this.#cursor = last ?? Math.max(0, ...this.#used);
  }

  /** How many can be given at once. */
  get capacity(): number {
    return Math.max(0, (this.#block?.size ?? 0) - 2);
  }

  get free(): number {
    return this.capacity - this.#used.size;
  }

  next(): Allocated<string> {
    const block = this.#block;
    if (block === null || this.free <= 0) return { exhausted: `no address is left in ${this.#cidr}: ${this.#used.size} of ${this.capacity} are in use` };
    let offset = this.#cursor;
    do offset = offset >= this.capacity ? 1 : offset + 1;
    while (this.#used.has(offset));
    this.#cursor = offset;
    this.#used.add(offset);
    return { ok: formatIp(block.base + offset) };
  }

  /** Marks an address as used; one outside of the block is not this pool's business. */
  reserve(ip: string): void {
    const offset = this.#offset(ip);
    if (offset !== null) this.#used.add(offset);
  }

  release(ip: string): void {
    const offset = this.#offset(ip);
    if (offset !== null) this.#used.delete(offset);
  }

  has(ip: string): boolean {
    const offset = this.#offset(ip);
    return offset !== null && this.#used.has(offset);
  }

  #offset(ip: string): number | null {
    const value = parseIp(ip);
    if (this.#block === null || value === null) return null;
    const offset = value - this.#block.base;
    return offset >= 1 && offset <= this.capacity ? offset : null;
  }
}

/** One VIP per network of a service. What it has stays; networks it left give theirs back. */
export function allocateVips(
  networks: readonly string[],
  existing: readonly { readonly network: string; readonly ip: string }[],
  pool: AddressPool,
): Allocated<readonly { readonly network: string; readonly ip: string }[]> {
  const vips: { readonly network: string; readonly ip: string }[] = [];
  for (const vip of existing) {
    if (networks.includes(vip.network)) pool.reserve(vip.ip);
  }
  for (const network of networks) {
    const known = existing.find((vip) => vip.network === network);
    if (known) {
      vips.push(known);
      continue;
    }
    const given = pool.next();
    if ('exhausted' in given) return given;
    vips.push({ network, ip: given.ok });
  }
  for (const vip of existing) if (!networks.includes(vip.network)) pool.release(vip.ip);
  return { ok: vips };
}
