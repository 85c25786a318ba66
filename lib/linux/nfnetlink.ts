/**
 * nf_tables over nfnetlink: a transaction carries any number of changes, and the kernel makes all of them or none, between
 * one packet and the next. No libnftables: that one reads whole tables for every change, and aborts the process on rules it
 * does not know.
 */
import { Batch, NetlinkSocket, attributeList, attributeText, attributes, netlinkFlag, netlinkProtocol } from './netlink.ts';
import { dataAttribute, listElement, verdictCode } from './nft-attributes.ts';
import type { NftExpression, NftVerdict } from './nft-expressions.ts';

const familyIp4 = 2;
const subsystem = 10;
const control = { batchBegin: 0x10, batchEnd: 0x11 } as const;
const message = {
  newTable: 0, getTable: 1, delTable: 2, newChain: 3, getChain: 4, delChain: 5, newRule: 6, delRule: 8, newSet: 9,
  newElement: 12, getElement: 13, delElement: 14,
} as const;
const tableAttribute = { name: 1 } as const;
const chainAttribute = { table: 1, name: 3, hook: 4, policy: 5, type: 7 } as const;
const hookAttribute = { number: 1, priority: 2 } as const;
const ruleAttribute = { table: 1, chain: 2, expressions: 4 } as const;
const expressionAttribute = { name: 1, data: 2 } as const;
const setAttribute = { table: 1, name: 2, flags: 3, keyType: 4, keyLength: 5, dataType: 6, dataLength: 7, id: 10 } as const;
const elementsAttribute = { table: 1, set: 2, elements: 3 } as const;
const elementAttribute = { key: 1, data: 2, flags: 3 } as const;

export const nftHook = { prerouting: 0, input: 1, forward: 2, output: 3, postrouting: 4 } as const;
export const nftSetFlag = { interval: 4, map: 8 } as const;
const intervalEnd = 1;
/** Data type of maps to verdicts. */
export const nftVerdictType = 0xffffff00;
const policyAccept = 1;

/** An attribute holds at most 64 KiB: this many elements of any size we use fit. */
const elementsPerMessage = 512;

export interface NftSet {
  readonly name: string;
  /** Flags of nftSetFlag. */
  readonly flags: number;
  /** nft's number for the type, only for tools that list; concatenations are six bits each. */
  readonly keyType: number;
  readonly keyLength: number;
  readonly dataType?: number;
  readonly dataLength?: number;
}

export interface NftElement {
  readonly key: Uint8Array;
  readonly data?: Uint8Array | NftVerdict;
  /** The first key behind an interval. */
  readonly end?: boolean;
}

/** Changes to one table of family `ip`, in order. The table is made when it is not there. */
export class NftTransaction {
  readonly table: string;
  readonly #batch = new Batch(1 << 16);
  #setId = 0;

  constructor(table: string) {
    this.table = table;
    this.#batch.message(control.batchBegin, 0, false).u8(0).u8(0).u16be(subsystem);
    // The one acknowledgement asked for comes when the whole transaction is through; failures are told in any case.
    this.#begin(message.newTable, netlinkFlag.create, true).string(tableAttribute.name, table);
  }

  /** Removes the table with all that is in it. */
  deleteTable(): this {
    this.#begin(message.delTable).string(tableAttribute.name, this.table);
    return this;
  }

  /** Begins anew with an empty table. */
  replaceTable(): this {
    this.deleteTable().#begin(message.newTable, netlinkFlag.create).string(tableAttribute.name, this.table);
    return this;
  }

  addChain(name: string): this {
    this.#begin(message.newChain, netlinkFlag.create).string(chainAttribute.table, this.table).string(chainAttribute.name, name);
    return this;
  }

  /** A chain that packets enter by themselves; what reaches its end is accepted. */
  addBaseChain(name: string, base: { readonly type: 'filter' | 'nat'; readonly hook: number; readonly priority: number }): this {
    this.addChain(name);
    this.#batch
      .nest(chainAttribute.hook, (b) => b.attributeU32be(hookAttribute.number, base.hook).attributeU32be(hookAttribute.priority, base.priority))
      .attributeU32be(chainAttribute.policy, policyAccept)
      .string(chainAttribute.type, base.type);
    return this;
  }

  deleteChain(name: string): this {
    this.#begin(message.delChain).string(chainAttribute.table, this.table).string(chainAttribute.name, name);
    return this;
  }

  /** Removes all rules of a chain. */
  flushChain(chain: string): this {
    this.#begin(message.delRule).string(ruleAttribute.table, this.table).string(ruleAttribute.chain, chain);
    return this;
  }

  /** Appends a rule. */
  addRule(chain: string, expressions: readonly NftExpression[]): this {
    this.#begin(message.newRule, netlinkFlag.create | netlinkFlag.append)
      .string(ruleAttribute.table, this.table)
      .string(ruleAttribute.chain, chain)
      .nest(ruleAttribute.expressions, (list) => {
        for (const { name, write } of expressions) {
          list.nest(listElement, (expression) => expression.string(expressionAttribute.name, name).nest(expressionAttribute.data, write));
        }
      });
    return this;
  }

  addSet(set: NftSet): this {
    this.#begin(message.newSet, netlinkFlag.create)
      .string(setAttribute.table, this.table)
      .string(setAttribute.name, set.name)
      .attributeU32be(setAttribute.flags, set.flags)
      .attributeU32be(setAttribute.keyType, set.keyType)
      .attributeU32be(setAttribute.keyLength, set.keyLength);
    if (set.dataType !== undefined) this.#batch.attributeU32be(setAttribute.dataType, set.dataType);
    if (set.dataLength !== undefined) this.#batch.attributeU32be(setAttribute.dataLength, set.dataLength);
    this.#batch.attributeU32be(setAttribute.id, ++this.#setId);
    return this;
  }

  addElements(set: string, elements: readonly NftElement[]): this {
    return this.#elements(message.newElement, netlinkFlag.create, set, elements);
  }

  /** Fails when one is not there. Only the keys count. */
  deleteElements(set: string, elements: readonly NftElement[]): this {
    return this.#elements(message.delElement, 0, set, elements.map(({ key, end }) => (end ? { key, end } : { key })));
  }

  /** For NftSocket; nothing can be added after it. */
  finish(): Batch {
    return this.#batch.message(control.batchEnd, 0, false).u8(0).u8(0).u16be(subsystem);
  }

  #elements(type: number, flags: number, set: string, elements: readonly NftElement[]): this {
    for (let at = 0; at < elements.length; at += elementsPerMessage) {
      this.#begin(type, flags).string(elementsAttribute.table, this.table).string(elementsAttribute.set, set)
        .nest(elementsAttribute.elements, (list) => {
          for (const element of elements.slice(at, at + elementsPerMessage)) list.nest(listElement, (b) => writeElement(b, element));
        });
    }
    return this;
  }

  #begin(type: number, flags = 0, acknowledged = false): Batch {
    return this.#batch.message((subsystem << 8) | type, flags, acknowledged).u8(familyIp4).u8(0).u16be(0);
  }
}

function writeElement(batch: Batch, { key, data, end }: NftElement): void {
  batch.nest(elementAttribute.key, (b) => b.attribute(dataAttribute.value, key));
  if (end) batch.attributeU32be(elementAttribute.flags, intervalEnd);
  if (data instanceof Uint8Array) batch.nest(elementAttribute.data, (b) => b.attribute(dataAttribute.value, data));
  else if (data) batch.nest(elementAttribute.data, (b) => writeVerdict(b, data));
}

/** Keep one for the life of the process: closing a netfilter socket can take the kernel many milliseconds. */
export class NftSocket implements Disposable {
  readonly #socket = new NetlinkSocket(netlinkProtocol.netfilter);

  [Symbol.dispose](): void {
    this.#socket.close();
  }

  /** All or nothing. Throws the first refusal. */
  commit(transaction: NftTransaction): void {
    this.#socket.exec(transaction.finish());
  }

  hasTable(table: string): boolean {
    const { errors } = this.#socket.submit(request(message.getTable, 0, (b) => b.string(tableAttribute.name, table)));
    const [error] = errors;
    if (error && error.code !== 'ENOENT') throw error;
    return !error;
  }

  /** Names of a table's chains. */
  chains(table: string): readonly string[] {
    return this.#socket.dump(request(message.getChain, netlinkFlag.dump, (b) => b)).flatMap(({ data }) => {
      const found = attributes(data, 4);
      const owner = found.get(chainAttribute.table);
      const name = found.get(chainAttribute.name);
      return owner && name && attributeText(owner) === table ? [attributeText(name)] : [];
    });
  }

  /** What a set holds. ENOENT when there is no such set. */
  elements(table: string, set: string): readonly NftElement[] {
    const dump = this.#socket.dump(request(message.getElement, netlinkFlag.dump, (b) => b.string(elementsAttribute.table, table).string(elementsAttribute.set, set)));
    return dump.flatMap(({ data }) => attributeList(data, 4).filter(({ type }) => type === elementsAttribute.elements).flatMap(({ value }) => attributeList(value).flatMap((element) => readElement(element.value))));
  }
}

function request(type: number, flags: number, fill: (batch: Batch) => Batch): Batch {
  return fill(new Batch().message((subsystem << 8) | type, flags, (flags & netlinkFlag.dump) === 0).u8(familyIp4).u8(0).u16be(0));
}

function readElement(value: Buffer): readonly NftElement[] {
  const found = attributes(value);
  const key = found.get(elementAttribute.key);
  const keyValue = key && attributes(key).get(dataAttribute.value);
  if (!keyValue) return [];
  const flags = found.get(elementAttribute.flags);
  const data = found.get(elementAttribute.data);
  const parts = data && attributes(data);
  const verdict = parts?.get(dataAttribute.verdict);
  return [{
    key: keyValue,
    ...(flags && (flags.readUInt32BE() & intervalEnd) !== 0 ? { end: true } : {}),
    ...(verdict ? { data: readVerdict(verdict) } : parts?.get(dataAttribute.value) ? { data: parts.get(dataAttribute.value) as Buffer } : {}),
  }];
}

function writeVerdict(batch: Batch, verdict: NftVerdict): void {
  batch.nest(dataAttribute.verdict, (b) => {
    b.attributeU32be(1, verdictCode[verdict.verdict]);
    if (verdict.chain !== undefined) b.string(2, verdict.chain);
  });
}

function readVerdict(value: Buffer): NftVerdict {
  const found = attributes(value);
  const code = found.get(1)?.readInt32BE() ?? 0;
  const chain = found.get(2);
  const name = Object.entries(verdictCode).find(([, number]) => number === code)?.[0] as NftVerdict['verdict'] | undefined;
  return { verdict: name ?? 'drop', ...(chain ? { chain: attributeText(chain) } : {}) };
}
