/** The maps of lb.bpf.c, and their keys and values as bytes. */
import { bpfMapType, bpfNoPrealloc } from '../../lib/linux/bpf.ts';
import type { BpfMapDefinition } from '../../lib/linux/bpf.ts';
import { formatIp4, ip4Bytes, parseIp4 } from '../rules/address.ts';
import type { Backend } from '../rules/fragment.ts';

export const maps = {
  balancers: { name: 'balancers', type: bpfMapType.hash, keySize: 8, valueSize: 16, maxEntries: 65536, flags: bpfNoPrealloc },
  backends: { name: 'backends', type: bpfMapType.array, keySize: 4, valueSize: 8, maxEntries: 262144, flags: 0 },
  counters: { name: 'counters', type: bpfMapType.array, keySize: 4, valueSize: 8, maxEntries: 65536, flags: 0 },
  reverse_tcp: { name: 'reverse_tcp', type: bpfMapType.lruHash, keySize: 16, valueSize: 8, maxEntries: 32768, flags: 0 },
  reverse_udp: { name: 'reverse_udp', type: bpfMapType.lruHash, keySize: 16, valueSize: 8, maxEntries: 32768, flags: 0 },
  settings: { name: 'settings', type: bpfMapType.array, keySize: 4, valueSize: 8, maxEntries: 1, flags: 0 },
} as const satisfies Readonly<Record<string, BpfMapDefinition>>;

export type MapName = keyof typeof maps;
export const mapNames = Object.keys(maps) as readonly MapName[];

/** To be raised when bytes change their meaning and the definitions above do not show it. */
export const layoutVersion = 1;

const protocolNumber = { tcp: 6, udp: 17 } as const;

/** `10.48.0.3` or `127.0.0.1:8080/tcp`. */
export function encodeBalancerKey(text: string): Buffer {
  const key = Buffer.alloc(8);
  const [, ip, port, protocol] = /^([\d.]+)(?::(\d+)\/(tcp|udp))?$/.exec(text) ?? [];
  const address = parseIp4(ip ?? '');
  if (address === undefined) throw new RangeError(`no balancer key: ${text}`);
  key.set(ip4Bytes(address), 0);
  if (port !== undefined) {
    key.writeUInt16BE(Number(port), 4);
    key[6] = protocolNumber[protocol as 'tcp' | 'udp'];
  }
  return key;
}

export function decodeBalancerKey(key: Buffer): string {
  const ip = formatIp4(key.readUInt32BE(0));
  const protocol = key[6];
  return protocol === 0 ? ip : `${ip}:${key.readUInt16BE(4)}/${protocol === protocolNumber.udp ? 'udp' : 'tcp'}`;
}

export interface BalancerValue {
  readonly counter: number;
  readonly base: number;
  readonly count: number;
}

export function writeBalancerValue(into: Buffer, offset: number, { counter, base, count }: BalancerValue): void {
  into.writeUInt32LE(counter, offset);
  into.writeUInt32LE(base, offset + 4);
  into.writeUInt32LE(count, offset + 8);
  into.writeUInt32LE(0, offset + 12);
}

export function decodeBalancerValue(value: Buffer): BalancerValue {
  return { counter: value.readUInt32LE(0), base: value.readUInt32LE(4), count: value.readUInt32LE(8) };
}

export function writeBackend(into: Buffer, offset: number, { ip, port }: Backend): void {
  into.writeUInt32BE(ip, offset);
  into.writeUInt16BE(port, offset + 4);
  into.writeUInt16LE(0, offset + 6);
}

export function decodeBackend(value: Buffer): Backend {
  return { ip: value.readUInt32BE(0), port: value.readUInt16BE(4) };
}
