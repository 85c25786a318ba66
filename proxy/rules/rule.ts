/**
 * Packet rules as data. They print (print.ts), can be walked by a packet (trace.ts) and are encoded for the kernel
 * (proxy/nftables/encode.ts); all three read these same values.
 */

export type FieldType = 'ipv4_addr' | 'inet_proto' | 'inet_service' | 'mark';

export interface SetDeclaration {
  readonly name: string;
  readonly key: readonly FieldType[];
  /** Present for maps: what a key maps to. */
  readonly data?: readonly FieldType[] | 'verdict';
  /** Keys are prefixes (`10.32.1.0/24`); only for a single-field key. */
  readonly interval?: boolean;
  readonly comment: string;
}

/** A key's or value's fields, joined by ` . `: `10.48.0.3 . 2`, `tcp . 8080`; verdicts are `goto chain`. */
export interface SetElement {
  readonly set: string;
  readonly key: string;
  readonly data?: string;
}

export type PacketField = 'ip saddr' | 'ip daddr' | 'ct original ip daddr' | 'meta l4proto' | 'meta mark' | 'th dport';

export type Operand =
  | { readonly from: 'packet'; readonly field: PacketField }
  | { readonly from: 'constant'; readonly type: FieldType; readonly text: string }
  /** `inc`: exact round robin over 0 … modulus-1 by an atomic counter that belongs to the rule. */
  | { readonly from: 'numgen'; readonly kind: 'inc' | 'random'; readonly modulus: number };

export type Match =
  | { readonly match: 'in'; readonly key: readonly Operand[]; readonly set: string; readonly not: boolean }
  | { readonly match: 'equals'; readonly field: PacketField; readonly type: FieldType; readonly text: string; readonly not: boolean }
  | { readonly match: 'ct state'; readonly states: readonly CtState[] }
  | { readonly match: 'ct status dnat' }
  /** The destination is an address of this host. */
  | { readonly match: 'fib daddr type local' }
  /** Whether the way back to the source leads through the interface the packet came in by. */
  | { readonly match: 'fib saddr . iif oif'; readonly exists: boolean };

export type CtState = 'new' | 'established' | 'related';

export type Statement =
  | { readonly do: 'accept' | 'drop' | 'return' | 'masquerade' | 'reject with tcp reset' | 'reject with icmp admin-prohibited' }
  | { readonly do: 'jump' | 'goto'; readonly chain: string }
  /** Sets the packet's mark and goes on with the next rule. */
  | { readonly do: 'meta mark set 0' }
  | { readonly do: 'meta mark set'; readonly key: readonly Operand[]; readonly map: string }
  /** Does what the map says for the key; goes on with the next rule when it says nothing. */
  | { readonly do: 'vmap'; readonly key: readonly Operand[]; readonly map: string }
  /** The map's value is an address, or an address and a port when `port` is true. */
  | { readonly do: 'dnat'; readonly key: readonly Operand[]; readonly map: string; readonly port: boolean };

export interface Rule {
  readonly when: readonly Match[];
  readonly then: Statement;
}

export type HookName = 'prerouting' | 'input' | 'forward' | 'output' | 'postrouting';

export interface BaseChain {
  readonly name: string;
  readonly type: 'nat' | 'filter';
  readonly hook: HookName;
  readonly priority: number;
  readonly rules: readonly Rule[];
}

export interface PlainChain {
  readonly name: string;
  readonly rules: readonly Rule[];
}

// Short spellings for writing rules by hand.

export const saddr: Operand = { from: 'packet', field: 'ip saddr' };
export const daddr: Operand = { from: 'packet', field: 'ip daddr' };
export const originalDaddr: Operand = { from: 'packet', field: 'ct original ip daddr' };
export const l4proto: Operand = { from: 'packet', field: 'meta l4proto' };
export const mark: Operand = { from: 'packet', field: 'meta mark' };
export const dport: Operand = { from: 'packet', field: 'th dport' };

export function isIn(set: string, ...key: readonly Operand[]): Match {
  return { match: 'in', key, set, not: false };
}

export function notIn(set: string, ...key: readonly Operand[]): Match {
  return { match: 'in', key, set, not: true };
}

export function rule(...parts: readonly [...Match[], Statement]): Rule {
  return { when: parts.slice(0, -1) as Match[], then: parts.at(-1) as Statement };
}
