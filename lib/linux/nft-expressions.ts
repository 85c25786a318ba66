/**
 * What rules are made of. An expression loads something into registers, compares them, or ends the rule. Registers are
 * words of four bytes, `register(0)` to `register(15)`; longer values take consecutive ones.
 */
import type { Batch } from './netlink.ts';
import { dataAttribute, verdictCode } from './nft-attributes.ts';

export interface NftExpression {
  readonly name: string;
  readonly write: (batch: Batch) => void;
}

export interface NftVerdict {
  readonly verdict: keyof typeof verdictCode;
  /** With `jump` and `goto`. */
  readonly chain?: string;
}

const verdictRegister = 0;
const familyIp4 = 2;

export function register(word: number): number {
  return 8 + word;
}

/** Where in a packet, and how long in bytes. */
export const nftPayload = {
  ipSource: { base: 1, offset: 12, length: 4 },
  ipDestination: { base: 1, offset: 16, length: 4 },
  /** Of TCP and UDP alike. */
  destinationPort: { base: 2, offset: 2, length: 2 },
} as const;

export function payload(into: number, { base, offset, length }: { readonly base: number; readonly offset: number; readonly length: number }): NftExpression {
  return { name: 'payload', write: (b) => void b.attributeU32be(1, into).attributeU32be(2, base).attributeU32be(3, offset).attributeU32be(4, length) };
}

/** One byte: 6 for TCP, 17 for UDP. */
export function metaL4Protocol(into: number): NftExpression {
  return { name: 'meta', write: (b) => void b.attributeU32be(1, into).attributeU32be(2, 16) };
}

/** The packet's mark, a word in the machine's order. */
export function metaMark(into: number): NftExpression {
  return { name: 'meta', write: (b) => void b.attributeU32be(1, into).attributeU32be(2, 3) };
}

export function setMark(from: number): NftExpression {
  return { name: 'meta', write: (b) => void b.attributeU32be(3, from).attributeU32be(2, 3) };
}

export const ctStateBit = { established: 2, related: 4, new: 8 } as const;
export const ctStatusBit = { sourceNat: 0x10, destinationNat: 0x20 } as const;

/** A mask of ctStateBit, in the machine's order. */
export function ctState(into: number): NftExpression {
  return { name: 'ct', write: (b) => void b.attributeU32be(1, into).attributeU32be(2, 0) };
}

/** A mask of ctStatusBit and others, in the machine's order. */
export function ctStatus(into: number): NftExpression {
  return { name: 'ct', write: (b) => void b.attributeU32be(1, into).attributeU32be(2, 2) };
}

/** Where the connection's first packet wanted to go, before translation. */
export function ctOriginalDestination(into: number): NftExpression {
  return { name: 'ct', write: (b) => void b.attributeU32be(1, into).attributeU32be(2, 20).attributeU8(3, 0) };
}

export const routeTypeLocal = 2;

/** The kind of route to the destination, a word in the machine's order: routeTypeLocal for this host's own addresses. */
export function fibDestinationType(into: number): NftExpression {
  return { name: 'fib', write: (b) => void b.attributeU32be(1, into).attributeU32be(2, 3).attributeU32be(3, 2) };
}

/** The interface towards the source, when it is the one the packet came in by; 0 otherwise. Only where packets come in. */
export function fibReversePath(into: number): NftExpression {
  return { name: 'fib', write: (b) => void b.attributeU32be(1, into).attributeU32be(2, 1).attributeU32be(3, 1 | 8) };
}

export function compare(from: number, value: Uint8Array, not = false): NftExpression {
  return { name: 'cmp', write: (b) => void b.attributeU32be(1, from).attributeU32be(2, not ? 1 : 0).nest(3, (d) => d.attribute(dataAttribute.value, value)) };
}

/** Keeps the bits of a word that `mask` (four bytes as in the register) has. */
export function mask(word: number, bits: Uint8Array): NftExpression {
  return {
    name: 'bitwise',
    write: (b) => void b.attributeU32be(1, word).attributeU32be(2, word).attributeU32be(3, 4)
      .nest(4, (d) => d.attribute(dataAttribute.value, bits)).nest(5, (d) => d.attribute(dataAttribute.value, Buffer.alloc(4))),
  };
}

/** Goes on only when the set has the key (or, with `not`, has it not). */
export function lookup(set: string, key: number, not = false): NftExpression {
  return {
    name: 'lookup',
    write: (b) => {
      b.string(1, set).attributeU32be(2, key);
      if (not) b.attributeU32be(5, 1);
    },
  };
}

/** Goes on with the key's value, only when the map has the key. */
export function lookupInto(map: string, key: number, into: number): NftExpression {
  return { name: 'lookup', write: (b) => void b.string(1, map).attributeU32be(2, key).attributeU32be(3, into) };
}

/** Does what the map says for the key; the next rule when it has none. */
export function lookupVerdict(map: string, key: number): NftExpression {
  return lookupInto(map, key, verdictRegister);
}

export function immediate(into: number, value: Uint8Array): NftExpression {
  return { name: 'immediate', write: (b) => void b.attributeU32be(1, into).nest(2, (d) => d.attribute(dataAttribute.value, value)) };
}

export function verdict({ verdict: code, chain }: NftVerdict): NftExpression {
  return {
    name: 'immediate',
    write: (b) => void b.attributeU32be(1, verdictRegister).nest(2, (d) => d.nest(dataAttribute.verdict, (v) => {
      v.attributeU32be(1, verdictCode[code]);
      if (chain !== undefined) v.string(2, chain);
    })),
  };
}

/** 0 … modulus-1, in turn by an atomic counter of the rule's own or at random; a word in the machine's order. */
export function numgen(into: number, modulus: number, kind: 'inc' | 'random'): NftExpression {
  return { name: 'numgen', write: (b) => void b.attributeU32be(1, into).attributeU32be(2, modulus).attributeU32be(3, kind === 'inc' ? 0 : 1).attributeU32be(4, 0) };
}

/** Sends the connection elsewhere: to the address, and port when given, in those registers. */
export function dnat(address: number, port?: number): NftExpression {
  return {
    name: 'nat',
    write: (b) => {
      b.attributeU32be(1, 1).attributeU32be(2, familyIp4).attributeU32be(3, address).attributeU32be(4, address);
      if (port !== undefined) b.attributeU32be(5, port).attributeU32be(6, port);
    },
  };
}

/** Makes the connection come from this host, by its address on the way out. */
export function masquerade(): NftExpression {
  return { name: 'masq', write: () => {} };
}

export const icmpAdminProhibited = 13;

export function rejectIcmp(code: number): NftExpression {
  return { name: 'reject', write: (b) => void b.attributeU32be(1, 0).attributeU8(2, code) };
}

/** For TCP only. */
export function rejectReset(): NftExpression {
  return { name: 'reject', write: (b) => void b.attributeU32be(1, 1).attributeU8(2, 0) };
}
