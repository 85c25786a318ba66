/**
 * The part of the ruleset that never changes while a proxy runs: what the table, pods and nodes change is elements of
 * these sets and the small chains that balance (services.ts).
 *
 * ```
 *  in ─► prerouting ─► routing ─┬─► forward ─► postrouting ─► out      dnat: VIPs, published ports
 *        (nat)                  │   (filter)   (nat)                   forward: isolation
 *                               └─► input ─► this host                 postrouting: masquerade
 *  this host ─► output (nat, filter) ─► postrouting ─► out
 * ```
 *
 * Who may talk: pods that share a network, by `signatures` (address → set of networks) and `talk` (set of networks, local
 * pod). It is symmetric and looks at addresses alone, so the sender's address must be true: `fib saddr . iif oif`.
 * Only the host of the destination decides, except that a pod nobody knows is stopped where it is.
 */
import { daddr, dport, isIn, l4proto, mark, notIn, originalDaddr, rule, saddr } from './rule.ts';
import type { BaseChain, Match, PlainChain, SetDeclaration, SetElement } from './rule.ts';

export const tableName = 'tsorch';

export const sets: readonly SetDeclaration[] = [
  { name: 'own', key: ['ipv4_addr'], interval: true, comment: 'the pods of this host' },
  { name: 'podnets', key: ['ipv4_addr'], interval: true, comment: 'the pods of every host' },
  { name: 'nodes', key: ['ipv4_addr'], comment: 'addresses of the other hosts' },
  { name: 'known', key: ['ipv4_addr'], comment: 'the pods of this host that the table lists' },
  { name: 'signatures', key: ['ipv4_addr'], data: ['mark'], comment: 'every pod and its set of networks' },
  { name: 'talk', key: ['mark', 'ipv4_addr'], comment: 'which sets of networks reach which local pod' },
  { name: 'sealed', key: ['ipv4_addr'], comment: 'pods of this host on internal networks only' },
  { name: 'hairpin', key: ['ipv4_addr', 'ipv4_addr'], comment: 'local pods that reach themselves' },
  { name: 'unpublished', key: ['ipv4_addr'], interval: true, comment: 'addresses of this host on which nothing is published' },
  { name: 'vips', key: ['ipv4_addr'], comment: 'every virtual address, served or not' },
  { name: 'vip-balancers', key: ['ipv4_addr'], data: 'verdict', comment: 'virtual addresses that are balanced exactly' },
  { name: 'vip-slots', key: ['ipv4_addr', 'mark'], data: ['ipv4_addr'], comment: 'their endpoints' },
  { name: 'ports', key: ['inet_proto', 'inet_service'], data: 'verdict', comment: 'published on every address' },
  { name: 'ports-at', key: ['ipv4_addr', 'inet_proto', 'inet_service'], data: 'verdict', comment: 'published on one address' },
  { name: 'port-slots', key: ['ipv4_addr', 'inet_proto', 'inet_service', 'mark'], data: ['ipv4_addr', 'inet_service'], comment: 'their endpoints' },
];

const setsByName = new Map(sets.map((set) => [set.name, set]));

export function setNamed(name: string): SetDeclaration {
  const found = setsByName.get(name);
  if (!found) throw new RangeError(`no set ${name}`);
  return found;
}

/**
 * With connect-time translation nftables sees virtual addresses only from pings and from processes that no hook covers.
 * These go to one of as many slots at random: one rule for all services, so that a service costs elements and no rules
 * (the kernel checks all rules anew whenever one is added). Six are even for one, two, three and six endpoints.
 */
export const spreadSlots = 6;

const established: Match = { match: 'ct state', states: ['established', 'related'] };
const fromElsewhere: Match = { match: 'fib saddr . iif oif', exists: false };
const comesBack: Match = { match: 'fib saddr . iif oif', exists: true };
const translated: Match = { match: 'ct status dnat' };
/** Translated by a published port, not by a virtual address: whoever reaches the port may use it. */
const published: readonly [Match, Match] = [translated, notIn('vips', originalDaddr)];

export interface RulesetOptions {
  /** Where pods ask for names. Not a place for published ports. */
  readonly dnsAddress: string;
}

/**
 * Port 53 of the name server's address is taken. From 127.0.0.1 packets cannot leave the host, translated or not: what the
 * host itself asks of it is translated when it connects (ebpf).
 */
export function fixedElements({ dnsAddress }: RulesetOptions): readonly SetElement[] {
  return [{ set: 'unpublished', key: '127.0.0.0/8' }, { set: 'unpublished', key: `${dnsAddress}/32` }];
}

export function baseChains({ dnsAddress }: RulesetOptions): readonly BaseChain[] {
  const toNameServer: Match = { match: 'equals', field: 'ip daddr', type: 'ipv4_addr', text: dnsAddress, not: false };
  const translate = [
    rule({ do: 'vmap', key: [daddr], map: 'vip-balancers' }),
    rule({ do: 'dnat', key: [daddr, { from: 'numgen', kind: 'random', modulus: spreadSlots }], map: 'vip-slots', port: false }),
    rule({ do: 'vmap', key: [daddr, l4proto, dport], map: 'ports-at' }),
    rule({ match: 'fib daddr type local' }, notIn('unpublished', daddr), { do: 'vmap', key: [l4proto, dport], map: 'ports' }),
  ];
  return [
    { name: 'prerouting', type: 'nat', hook: 'prerouting', priority: -100, rules: translate },
    { name: 'output', type: 'nat', hook: 'output', priority: -100, rules: translate },
    {
      name: 'postrouting', type: 'nat', hook: 'postrouting', priority: 100, rules: [
        // A pod that reaches itself through a service would drop packets from its own address.
        rule(translated, isIn('hairpin', saddr, daddr), { do: 'masquerade' }),
        // The answer of a pod on another host must come back through this one. Clients of pods on this host keep their address.
        rule(translated, isIn('podnets', daddr), notIn('own', daddr), notIn('podnets', saddr), { do: 'masquerade' }),
        // A pod that uses a published port comes as this host, or isolation over there would see the pod.
        rule(...published, isIn('podnets', daddr), notIn('own', daddr), { do: 'masquerade' }),
        rule(isIn('own', saddr), notIn('podnets', daddr), { do: 'masquerade' }),
      ],
    },
    {
      name: 'forward', type: 'filter', hook: 'forward', priority: 0, rules: [
        rule(established, { do: 'accept' }),
        rule(isIn('podnets', saddr), fromElsewhere, { do: 'drop' }),
        rule(isIn('nodes', saddr), fromElsewhere, { do: 'drop' }),
        rule(isIn('vips', daddr), { do: 'goto', chain: 'refuse' }),
        rule(isIn('own', saddr), { do: 'jump', chain: 'from-pod' }),
        rule(isIn('own', daddr), { do: 'goto', chain: 'to-pod' }),
      ],
    },
    {
      name: 'input', type: 'filter', hook: 'input', priority: 0, rules: [
        rule(notIn('podnets', saddr), { do: 'accept' }),
        rule(established, { do: 'accept' }),
        rule(fromElsewhere, { do: 'drop' }),
        rule(toNameServer, { match: 'equals', field: 'th dport', type: 'inet_service', text: '53', not: false }, { do: 'accept' }),
        rule(isIn('own', saddr), { do: 'jump', chain: 'from-pod' }),
      ],
    },
    {
      name: 'local', type: 'filter', hook: 'output', priority: 0, rules: [
        rule(isIn('vips', daddr), { do: 'goto', chain: 'refuse' }),
      ],
    },
  ];
}

export const plainChains: readonly PlainChain[] = [
  {
    name: 'from-pod', rules: [
      rule(isIn('sealed', saddr), notIn('podnets', daddr), { do: 'goto', chain: 'refuse' }),
      rule(isIn('known', saddr), { do: 'return' }),
      rule({ do: 'goto', chain: 'refuse' }),
    ],
  },
  {
    name: 'to-pod', rules: [
      rule(isIn('podnets', saddr), { do: 'jump', chain: 'pod-to-pod' }),
      rule(...published, { do: 'accept' }),
      rule(isIn('nodes', saddr), comesBack, { do: 'accept' }),
      rule({ do: 'goto', chain: 'refuse' }),
    ],
  },
  {
    // The mark carries the signature from one rule to the next, and nothing out of here. Both maps hold data and no
    // verdicts: a pod more is an element more, where verdicts would have the kernel check every rule and element again.
    name: 'pod-to-pod', rules: [
      rule({ do: 'meta mark set 0' }),
      rule({ do: 'meta mark set', key: [saddr], map: 'signatures' }),
      rule(isIn('talk', mark, daddr), { do: 'goto', chain: 'pass' }),
      rule({ do: 'meta mark set 0' }),
    ],
  },
  {
    name: 'pass', rules: [
      rule({ do: 'meta mark set 0' }),
      rule({ do: 'accept' }),
    ],
  },
  {
    // At once and in words, so that a client fails now and not after a timeout.
    name: 'refuse', rules: [
      rule({ match: 'equals', field: 'meta l4proto', type: 'inet_proto', text: 'tcp', not: false }, { do: 'reject with tcp reset' }),
      rule({ do: 'reject with icmp admin-prohibited' }),
    ],
  },
];
