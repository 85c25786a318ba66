/** IPv4 and IPv6 addresses and CIDR blocks as numbers, for `node.ip` expressions. */

export interface Block {
  readonly bits: 32 | 128;
  readonly value: bigint;
  /** Length of the prefix in bits; a bare address has all of them. */
  readonly prefix: number;
}

/** An address or CIDR block; null when it is neither. Host bits below the prefix are cleared. */
export function parseBlock(text: string): Block | null {
  const slash = text.indexOf('/');
  const address = parseAddress(slash < 0 ? text : text.slice(0, slash));
  if (address === null) return null;
  if (slash < 0) return { ...address, prefix: address.bits };
  const digits = text.slice(slash + 1);
  if (!/^\d{1,3}$/.test(digits)) return null;
  const prefix = Number(digits);
  if (prefix > address.bits) return null;
  const drop = BigInt(address.bits - prefix);
  return { bits: address.bits, value: (address.value >> drop) << drop, prefix };
}

/** Whether every address of `inner` lies in `outer`. */
export function contains(outer: Block, inner: Block): boolean {
  if (outer.bits !== inner.bits || inner.prefix < outer.prefix) return false;
  const drop = BigInt(outer.bits - outer.prefix);
  return outer.value >> drop === inner.value >> drop;
}

function parseAddress(text: string): { readonly bits: 32 | 128; readonly value: bigint } | null {
  return text.includes(':') ? parseV6(text) : parseV4(text);
}

function parseV4(text: string): { readonly bits: 32; readonly value: bigint } | null {
  const parts = text.split('.');
  if (parts.length !== 4) return null;
  let value = 0n;
  for (const part of parts) {
    if (!/^\d{1,3}$/.test(part) || Number(part) > 255) return null;
    value = (value << 8n) | BigInt(part);
  }
  return { bits: 32, value };
}

function parseV6(text: string): { readonly bits: 128; readonly value: bigint } | null {
  const halves = text.split('::');
  if (halves.length > 2) return null;
  const head = groups(halves[0] ?? '');
  const tail = groups(halves[1] ?? '');
  if (head === null || tail === null) return null;
  const missing = 8 - head.length - tail.length;
  if (halves.length === 2 ? missing < 1 : missing !== 0) return null;
  const all = [...head, ...Array.from({ length: missing }, () => 0), ...tail];
  return { bits: 128, value: all.reduce((sum, group) => (sum << 16n) | BigInt(group), 0n) };
}

function groups(text: string): number[] | null {
  if (text === '') return [];
  const parts = text.split(':');
  return parts.every((part) => /^[0-9a-f]{1,4}$/i.test(part)) ? parts.map((part) => Number.parseInt(part, 16)) : null;
}
