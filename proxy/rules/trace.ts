/**
 * Walks one packet through the rules, as the kernel would walk the first packet of a connection. For tests and for
 * explaining why something cannot be reached.
 */
import { parseIp4, parsePrefix, prefixHas } from './address.ts';
import { printRule } from './print.ts';
import type { BaseChain, HookName, Match, Operand, PacketField, Rule, SetElement } from './rule.ts';
import { baseChains, fixedElements, plainChains, setNamed } from './ruleset.ts';
import type { RulesetOptions } from './ruleset.ts';
import type { RuleState } from './state.ts';

export interface Packet {
  readonly from: string;
  readonly to: string;
  readonly protocol: 'tcp' | 'udp' | 'icmp';
  /** Destination port; absent for icmp. */
  readonly port?: number;
  /** `true` for an answer or a later packet of a connection that conntrack knows. */
  readonly established?: boolean;
}

export interface TraceHost extends RulesetOptions {
  /** Addresses that are this host's own. */
  readonly local: readonly string[];
  /** Whether a packet from this address may come in by the interface it came in by (rp_filter's question). Default: yes. */
  readonly sourceIsTrue?: (address: string) => boolean;
  /** What `numgen` gives. Default: always 0. */
  readonly counter?: (modulus: number) => number;
}

export interface Trace {
  /** `delivered` to this host itself, `forwarded` on, or what a rule did with it. */
  readonly verdict: 'delivered' | 'forwarded' | 'sent' | 'dropped' | 'reset' | 'prohibited';
  /** As it leaves: translated. */
  readonly to: string;
  readonly port: number | undefined;
  readonly masqueraded: boolean;
  /** Every rule that matched. */
  readonly path: readonly string[];
}

/** A packet that came in from a network (`start: 'outside'`, pods included) or that this host itself sends. */
export function trace(state: RuleState, packet: Packet, host: TraceHost, start: 'outside' | 'here' = 'outside'): Trace {
  return new Walk(state, packet, host).run(start);
}

type Outcome = 'accept' | 'dropped' | 'reset' | 'prohibited' | 'return' | 'masquerade';

class Walk {
  readonly #sets = new Map<string, Map<string, string>>();
  readonly #chains: ReadonlyMap<string, readonly Rule[]>;
  readonly #bases: readonly BaseChain[];
  readonly #packet: Packet;
  readonly #host: TraceHost;
  readonly #path: string[] = [];
  #to: string;
  #port: number | undefined;
  #dnat = false;
  #mark = '0';
  /** A packet of this host has no interface it came in by. */
  #cameIn = true;

  constructor(state: RuleState, packet: Packet, host: TraceHost) {
    this.#packet = packet;
    this.#host = host;
    this.#to = packet.to;
    this.#port = packet.port;
    this.#bases = baseChains(host);
    this.#chains = new Map([...plainChains.map((chain) => [chain.name, chain.rules] as const), ...state.chains()]);
    for (const element of [...fixedElements(host), ...state.elements()]) this.#put(element);
  }

  run(start: 'outside' | 'here'): Trace {
    this.#cameIn = start === 'outside';
    const hooks: HookName[] = start === 'here' ? ['output'] : ['prerouting'];
    for (const hook of hooks) {
      const stopped = this.#hook(hook);
      if (stopped) return this.#end(stopped);
    }
    const mine = this.#host.local.includes(this.#to);
    if (start === 'outside') {
      const stopped = this.#hook(mine ? 'input' : 'forward');
      if (stopped) return this.#end(stopped);
      if (mine) return this.#end('delivered');
    }
    const masqueraded = this.#translateSource();
    return this.#end(start === 'outside' ? 'forwarded' : 'sent', masqueraded);
  }

  #end(verdict: Trace['verdict'], masqueraded = false): Trace {
    return { verdict, to: this.#to, port: this.#port, masqueraded, path: this.#path };
  }

  /** All base chains of a hook; undefined when the packet goes on. */
  #hook(hook: HookName): 'dropped' | 'reset' | 'prohibited' | undefined {
    for (const chain of this.#bases.filter((base) => base.hook === hook).sort((a, b) => a.priority - b.priority)) {
      // Address translation is decided by a connection's first packet alone.
      if (chain.type === 'nat' && this.#packet.established) continue;
      const outcome = this.#walk(chain.name, chain.rules);
      if (outcome === 'dropped' || outcome === 'reset' || outcome === 'prohibited') return outcome;
    }
    return undefined;
  }

  #translateSource(): boolean {
    if (this.#packet.established) return false;
    return this.#bases.filter((base) => base.hook === 'postrouting').some((chain) => this.#walk(chain.name, chain.rules) === 'masquerade');
  }

  #walk(chain: string, rules: readonly Rule[]): Outcome {
    for (const rule of rules) {
      if (!rule.when.every((match) => this.#matches(match))) continue;
      const outcome = this.#do(chain, rule);
      if (outcome !== undefined) return outcome;
    }
    return 'return';
  }

  /** undefined: go on with the next rule. */
  #do(chain: string, rule: Rule): Outcome | undefined {
    const note = () => this.#path.push(`${chain}: ${printRule(rule)}`);
    const { then } = rule;
    switch (then.do) {
      case 'accept': note(); return 'accept';
      case 'return': note(); return 'return';
      case 'drop': note(); return 'dropped';
      case 'masquerade': note(); return 'masquerade';
      case 'reject with tcp reset': note(); return 'reset';
      case 'reject with icmp admin-prohibited': note(); return 'prohibited';
      case 'jump': {
        note();
        const outcome = this.#walk(then.chain, this.#chain(then.chain));
        return outcome === 'return' ? undefined : outcome;
      }
      case 'goto': note(); return this.#walk(then.chain, this.#chain(then.chain));
      case 'meta mark set 0':
        this.#mark = '0';
        return undefined;
      case 'meta mark set': {
        const value = this.#lookup(then.map, this.#key(then.key));
        if (value === undefined) return undefined;
        note();
        this.#mark = value;
        return undefined;
      }
      case 'vmap': {
        const verdict = this.#lookup(then.map, this.#key(then.key));
        if (verdict === undefined) return undefined;
        note();
        const target = verdict.replace('goto ', '');
        return this.#walk(target, this.#chain(target));
      }
      case 'dnat': {
        const value = this.#lookup(then.map, this.#key(then.key));
        if (value === undefined) return undefined;
        note();
        const [ip, port] = value.split(' . ');
        this.#to = ip as string;
        if (port !== undefined) this.#port = Number(port);
        this.#dnat = true;
        return 'accept';
      }
    }
  }

  #matches(match: Match): boolean {
    switch (match.match) {
      case 'in': {
        const key = this.#key(match.key);
        return key !== undefined && (this.#lookup(match.set, key) !== undefined) !== match.not;
      }
      case 'equals': return (this.#field(match.field) === match.text) !== match.not;
      case 'ct state': return match.states.includes(this.#packet.established ? 'established' : 'new');
      case 'ct status dnat': return this.#dnat;
      case 'fib daddr type local': return this.#host.local.includes(this.#to);
      case 'fib saddr . iif oif': return (this.#cameIn && (this.#host.sourceIsTrue?.(this.#packet.from) ?? true)) === match.exists;
    }
  }

  #key(operands: readonly Operand[]): string | undefined {
    const parts = operands.map((operand) => this.#operand(operand));
    return parts.includes(undefined) ? undefined : parts.join(' . ');
  }

  #operand(operand: Operand): string | undefined {
    switch (operand.from) {
      case 'packet': return this.#field(operand.field);
      case 'constant': return operand.text;
      case 'numgen': return String((this.#host.counter?.(operand.modulus) ?? 0) % operand.modulus);
    }
  }

  #field(field: PacketField): string | undefined {
    switch (field) {
      case 'ip saddr': return this.#packet.from;
      case 'ip daddr': return this.#to;
      case 'ct original ip daddr': return this.#packet.to;
      case 'meta l4proto': return this.#packet.protocol;
      case 'meta mark': return this.#mark;
      case 'th dport': return this.#port === undefined ? undefined : String(this.#port);
    }
  }

  #lookup(set: string, key: string | undefined): string | undefined {
    if (key === undefined) return undefined;
    const elements = this.#sets.get(set);
    if (!setNamed(set).interval) return elements?.get(key);
    const address = parseIp4(key) ?? -1;
    for (const [prefix, data] of elements ?? []) {
      const range = parsePrefix(prefix);
      if (range && prefixHas(range, address)) return data;
    }
    return undefined;
  }

  #put({ set, key, data }: SetElement): void {
    const elements = this.#sets.get(set);
    if (elements) elements.set(key, data ?? '');
    else this.#sets.set(set, new Map([[key, data ?? '']]));
  }

  #chain(name: string): readonly Rule[] {
    const rules = this.#chains.get(name);
    if (!rules) throw new RangeError(`no chain ${name}`);
    return rules;
  }
}
