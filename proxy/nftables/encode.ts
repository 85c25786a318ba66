/** Rules, sets and elements from data to what the kernel reads. */
import type { NftElement, NftSet } from '../../lib/linux/nfnetlink.ts';
import { nftSetFlag, nftVerdictType } from '../../lib/linux/nfnetlink.ts';
import {
  compare, ctOriginalDestination, ctState, ctStateBit, ctStatus, ctStatusBit, dnat, fibDestinationType, fibReversePath, icmpAdminProhibited, immediate, lookup,
  lookupInto, lookupVerdict, mask, masquerade, metaL4Protocol, metaMark, nftPayload, numgen, payload, register, rejectIcmp, rejectReset, routeTypeLocal, setMark, verdict,
} from '../../lib/linux/nft-expressions.ts';
import type { NftExpression } from '../../lib/linux/nft-expressions.ts';
import { ip4Bytes, parseIp4, parsePrefix } from '../rules/address.ts';
import type { FieldType, Match, Operand, PacketField, Rule, SetDeclaration, SetElement, Statement } from '../rules/rule.ts';

/** nft's numbers, so that `nft list` shows the sets as they are meant. */
const typeNumber: Readonly<Record<FieldType, number>> = { ipv4_addr: 7, inet_proto: 12, inet_service: 13, mark: 19 };
const typeBits = 6;
const wordSize = 4;
const protocolNumber: Readonly<Record<string, number>> = { icmp: 1, tcp: 6, udp: 17 };

/** Keys are built from word 0 on; values of maps go where no key reaches. */
const keyWord = 0;
const valueWord = 8;

export function encodeSet({ name, key, data, interval }: SetDeclaration): NftSet {
  const set = { name, keyType: concatenated(key), keyLength: key.length * wordSize };
  if (data === undefined) return { ...set, flags: interval ? nftSetFlag.interval : 0 };
  if (data === 'verdict') return { ...set, flags: nftSetFlag.map, dataType: nftVerdictType, dataLength: 0 };
  return { ...set, flags: nftSetFlag.map, dataType: concatenated(data), dataLength: data.length * wordSize };
}

function concatenated(types: readonly FieldType[]): number {
  return types.reduce((sum, type) => (sum << typeBits) | typeNumber[type], 0);
}

/** One element; two for an interval: where it begins and the first behind it. */
export function encodeElement(set: SetDeclaration, { key, data }: SetElement): readonly NftElement[] {
  if (set.interval) {
    const range = parsePrefix(key);
    if (!range) throw new RangeError(`no prefix: ${key}`);
    const start = { key: ip4Bytes(range.first) };
    return range.last === 0xffffffff ? [start] : [start, { key: ip4Bytes(range.last + 1), end: true }];
  }
  const encoded = encodeFields(set.key, key);
  if (set.data === undefined || data === undefined) return [{ key: encoded }];
  if (set.data === 'verdict') return [{ key: encoded, data: { verdict: 'goto', chain: data.slice('goto '.length) } }];
  return [{ key: encoded, data: encodeFields(set.data, data) }];
}

function encodeFields(types: readonly FieldType[], text: string): Uint8Array {
  const bytes = Buffer.alloc(types.length * wordSize);
  const fields = text.split(' . ');
  if (fields.length !== types.length) throw new RangeError(`${types.join(' . ')} expected: ${text}`);
  for (const [i, type] of types.entries()) bytes.set(encodeField(type, fields[i] as string), i * wordSize);
  return bytes;
}

/** As long as the field is in packets: 4, 1, 2 or 4 bytes. */
function encodeField(type: FieldType, text: string): Uint8Array {
  switch (type) {
    case 'ipv4_addr': {
      const address = parseIp4(text);
      if (address === undefined) throw new RangeError(`no address: ${text}`);
      return ip4Bytes(address);
    }
    case 'inet_proto': {
      const number = protocolNumber[text];
      if (number === undefined) throw new RangeError(`no protocol: ${text}`);
      return Uint8Array.of(number);
    }
    case 'inet_service': return Uint8Array.of(Number(text) >> 8, Number(text) & 255);
    case 'mark': return word(Number(text));
  }
}

/** In the machine's order. */
function word(value: number): Buffer {
  const bytes = Buffer.alloc(wordSize);
  bytes.writeUInt32LE(value);
  return bytes;
}

export function encodeRule({ when, then }: Rule): readonly NftExpression[] {
  return [...when.flatMap(encodeMatch), ...encodeStatement(then)];
}

function encodeMatch(match: Match): readonly NftExpression[] {
  const at = register(keyWord);
  switch (match.match) {
    case 'in': return [...loadKey(match.key), lookup(match.set, at, match.not)];
    case 'equals': return [loadField(match.field, at), compare(at, encodeField(match.type, match.text), match.not)];
    case 'ct state': return [ctState(at), mask(at, word(match.states.reduce((bits, state) => bits | ctStateBit[state], 0))), compare(at, word(0), true)];
    case 'ct status dnat': return [ctStatus(at), mask(at, word(ctStatusBit.destinationNat)), compare(at, word(0), true)];
    case 'fib daddr type local': return [fibDestinationType(at), compare(at, word(routeTypeLocal))];
    case 'fib saddr . iif oif': return [fibReversePath(at), compare(at, word(0), match.exists)];
  }
}

function encodeStatement(statement: Statement): readonly NftExpression[] {
  const key = register(keyWord);
  switch (statement.do) {
    case 'accept':
    case 'drop':
    case 'return': return [verdict({ verdict: statement.do })];
    case 'jump':
    case 'goto': return [verdict({ verdict: statement.do, chain: statement.chain })];
    case 'meta mark set 0': return [immediate(key, word(0)), setMark(key)];
    case 'meta mark set': return [...loadKey(statement.key), lookupInto(statement.map, key, register(valueWord)), setMark(register(valueWord))];
    case 'vmap': return [...loadKey(statement.key), lookupVerdict(statement.map, key)];
    case 'dnat': {
      const value = register(valueWord);
      return [...loadKey(statement.key), lookupInto(statement.map, key, value), dnat(value, statement.port ? register(valueWord + 1) : undefined)];
    }
    case 'masquerade': return [masquerade()];
    case 'reject with tcp reset': return [rejectReset()];
    case 'reject with icmp admin-prohibited': return [rejectIcmp(icmpAdminProhibited)];
  }
}

function loadKey(operands: readonly Operand[]): readonly NftExpression[] {
  return operands.flatMap((operand, i) => load(operand, keyWord + i));
}

/** Every operand fills one word. */
function load(operand: Operand, into: number): readonly NftExpression[] {
  const at = register(into);
  switch (operand.from) {
    case 'packet': return [loadField(operand.field, at)];
    case 'constant': {
      const bytes = Buffer.alloc(wordSize);
      bytes.set(encodeField(operand.type, operand.text));
      return [immediate(at, bytes)];
    }
    case 'numgen': return [numgen(at, operand.modulus, operand.kind)];
  }
}

function loadField(field: PacketField, at: number): NftExpression {
  switch (field) {
    case 'ip saddr': return payload(at, nftPayload.ipSource);
    case 'ip daddr': return payload(at, nftPayload.ipDestination);
    case 'ct original ip daddr': return ctOriginalDestination(at);
    case 'meta l4proto': return metaL4Protocol(at);
    case 'meta mark': return metaMark(at);
    case 'th dport': return payload(at, nftPayload.destinationPort);
  }
}
