/** IPv4 and MAC addresses between the kernel's bytes and text. Throws RangeError for text that is neither. */

export function ipv4Bytes(text: string): Buffer {
  const parts = text.split('.');
  if (parts.length !== 4 || !parts.every((p) => /^\d{1,3}$/.test(p) && Number(p) < 256)) throw new RangeError(`not an IPv4 address: ${text}`);
  return Buffer.from(parts.map(Number));
}

export function ipv4Text(bytes: Uint8Array): string {
  return bytes.join('.');
}

export function macBytes(text: string): Buffer {
  if (!/^[\da-f]{2}(:[\da-f]{2}){5}$/i.test(text)) throw new RangeError(`not a MAC address: ${text}`);
  return Buffer.from(text.replaceAll(':', ''), 'hex');
}

export function macText(bytes: Iterable<number>): string {
  return Array.from(bytes, (b) => b.toString(16).padStart(2, '0')).join(':');
}

export interface Prefix {
  /** The network's own address, host bits cleared. */
  readonly address: string;
  readonly length: number;
}

/** Reads `10.32.1.0/24`; without a length, /32. */
export function parsePrefix(text: string): Prefix {
  const [address = '', length = '32', ...rest] = text.split('/');
  const bits = /^\d{1,2}$/.test(length) ? Number(length) : 33;
  if (bits > 32 || rest.length > 0) throw new RangeError(`not an IPv4 prefix: ${text}`);
  const value = ipv4Bytes(address).readUInt32BE(0);
  const mask = bits === 0 ? 0 : (-1 << (32 - bits)) >>> 0;
  const network = Buffer.alloc(4);
  network.writeUInt32BE((value & mask) >>> 0);
  return { address: ipv4Text(network), length: bits };
}

export function prefixText(prefix: Prefix): string {
  return `${prefix.address}/${prefix.length}`;
}
