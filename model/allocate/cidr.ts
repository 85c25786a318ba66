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
