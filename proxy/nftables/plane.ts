/**
 * The host's nftables table: replaced as a whole once, then changed by what changed. Rules outlive the process, and a
 * replacement is one transaction, so there is no moment without them.
 */
import { Conntrack, udp } from '../../lib/linux/conntrack.ts';
import { NftSocket, NftTransaction, nftHook } from '../../lib/linux/nfnetlink.ts';
import type { NftElement } from '../../lib/linux/nfnetlink.ts';
import { ip4Bytes, parseIp4 } from '../rules/address.ts';
import type { SetElement } from '../rules/rule.ts';
import { baseChains, fixedElements, plainChains, setNamed, sets, tableName } from '../rules/ruleset.ts';
import type { RulesetOptions } from '../rules/ruleset.ts';
import type { RuleChanges, RuleState } from '../rules/state.ts';
import { encodeElement, encodeRule, encodeSet } from './encode.ts';

export class NftablesPlane implements Disposable {
  readonly #options: RulesetOptions;
  readonly #nft = new NftSocket();
  readonly #conntrack = new Conntrack();

  constructor(options: RulesetOptions) {
    this.#options = options;
  }

  [Symbol.dispose](): void {
    this.#nft[Symbol.dispose]();
    this.#conntrack[Symbol.dispose]();
  }

  /** Makes the table hold exactly the state, whatever was there. */
  replace(state: RuleState): void {
    const transaction = new NftTransaction(tableName).replaceTable();
    for (const set of sets) transaction.addSet(encodeSet(set));
    const bases = baseChains(this.#options);
    const plain = [...plainChains.map((chain) => [chain.name, chain.rules] as const), ...state.chains()];
    // Names first: rules and elements refer to them in any order.
    for (const { name, type, hook, priority } of bases) transaction.addBaseChain(name, { type, hook: nftHook[hook], priority });
    for (const [name] of plain) transaction.addChain(name);
    addElements(transaction, [...fixedElements(this.#options), ...state.elements()]);
    for (const { name, rules } of bases) for (const rule of rules) transaction.addRule(name, encodeRule(rule));
    for (const [name, rules] of plain) for (const rule of rules) transaction.addRule(name, encodeRule(rule));
    this.#nft.commit(transaction);
  }

  apply({ elements, chains }: RuleChanges): void {
    if (elements.length === 0 && chains.length === 0) return;
    const transaction = new NftTransaction(tableName);
    for (const { name, rules, existed } of chains) if (rules && !existed) transaction.addChain(name);
    for (const [set, changed] of bySet(elements.filter(({ before }) => before !== undefined))) transaction.deleteElements(set, encodeAll(set, changed));
    const added = elements.flatMap(({ set, key, after }) => (after === undefined ? [] : [after === '' ? { set, key } : { set, key, data: after }]));
    addElements(transaction, added);
    for (const { name, rules, existed } of chains) {
      if (existed) transaction.flushChain(name);
      for (const rule of rules ?? []) transaction.addRule(name, encodeRule(rule));
    }
    for (const { name, rules } of chains) if (!rules) transaction.deleteChain(name);
    this.#nft.commit(transaction);
  }

  /**
   * Makes UDP flows to these endpoints, and untranslated ones to these ports, find their way anew: they have no end by which
   * they would notice. The kernel looks through all of its connections for it: 10 ms where that table is large.
   */
  forgetFlows(endpoints: readonly string[], newUdpPorts: readonly number[]): number {
    const gone = endpoints.flatMap((address) => {
      const ip = parseIp4(address);
      return ip === undefined ? [] : [ip4Bytes(ip)];
    });
    let count = this.#conntrack.forgetTranslatedTo(gone, udp);
    for (const port of newUdpPorts) count += this.#conntrack.forgetUntranslated(port, udp);
    return count;
  }

  /** Whether somebody removed the table, with `nft flush ruleset` for instance. */
  get isMissing(): boolean {
    return !this.#nft.hasTable(tableName);
  }

  /** Removes the table. Succeeds when there is none. */
  teardown(): void {
    if (this.#nft.hasTable(tableName)) this.#nft.commit(new NftTransaction(tableName).deleteTable());
  }

  /** What a set holds by the kernel's word. */
  elements(set: string): readonly NftElement[] {
    return this.#nft.elements(tableName, set);
  }

  chains(): readonly string[] {
    return this.#nft.chains(tableName);
  }
}

function addElements(transaction: NftTransaction, elements: Iterable<SetElement>): void {
  for (const [set, list] of bySet(elements)) transaction.addElements(set, encodeAll(set, list));
}

function encodeAll(set: string, elements: readonly SetElement[]): readonly NftElement[] {
  const declaration = setNamed(set);
  return elements.flatMap((element) => encodeElement(declaration, element));
}

function bySet<T extends { readonly set: string }>(elements: Iterable<T>): ReadonlyMap<string, readonly T[]> {
  const found = new Map<string, T[]>();
  for (const element of elements) {
    const list = found.get(element.set);
    if (list) list.push(element);
    else found.set(element.set, [element]);
  }
  return found;
}
