/** IPv4 blocks as numbers. */

export interface Cidr {
  /** The network's address as an unsigned number; host bits are cleared. */
  readonly base: number;
  readonly prefix: number;
  /** Addresses in the block, the first and the last included. */
  readonly size: number;
}

/** Null for anything but `a.b.c.d/prefix`. */
export function parseCidr(text: string): Cidr | null {
  const [address = '', length, ...rest] = text.split('/');
  const value = parseIp(address);
  if (value === null || length === undefined || rest.length > 0 || !/^\d{1,2}$/.test(length)) return null;
  const prefix = Number(length);
  if (prefix > 32) return null;
  const size = 2 ** (32 - prefix);
  return { base: value - (value % size), prefix, size };
}

export function parseIp(text: string): number | null {
  const parts = text.split('.');
  if (parts.length !== 4) return null;
  let value = 0;
  for (const part of parts) {
    if (!/^\d{1,3}$/.test(part) || Number(part) > 255) return null;
    value = value * 256 + Number(part);
  }
  return value;
}

export function formatIp(value: number): string {
  return [24, 16, 8, 0].map((shift) => Math.floor(value / 2 ** shift) % 256).join('.');
}

export function formatCidr({ base, prefix }: Pick<Cidr, 'base' | 'prefix'>): string {
  return `${formatIp(base)}/${prefix}`;
}

/** Whether two blocks have an address in common. Text that is no block has none. */
export function overlaps(a: string, b: string): boolean {
  const [one, other] = [parseCidr(a), parseCidr(b)];
  return one !== null && other !== null && one.base < other.base + other.size && other.base < one.base + one.size;
}

/** The lower and the upper half of a block; null when it is too small to be halved. */
export function halves(text: string): readonly [string, string] | null {
  const block = parseCidr(text);
  if (block === null || block.prefix > 29) return null;
  const prefix = block.prefix + 1;
  return [formatCidr({ base: block.base, prefix }), formatCidr({ base: block.base + block.size / 2, prefix })];
}
