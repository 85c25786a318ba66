/**
 * DNS messages (RFC 1035, EDNS of RFC 6891), as much as a name server for pods needs. Reading accepts any bytes from
 * anybody: it never loops and never reads beyond the end.
 */
export const dnsType = { a: 1, ptr: 12, aaaa: 28, opt: 41, any: 255 } as const;
export const dnsClass = { internet: 1, any: 255 } as const;
export const rcode = { noError: 0, formatError: 1, serverFailure: 2, nameError: 3, notImplemented: 4, refused: 5 } as const;
export type Rcode = (typeof rcode)[keyof typeof rcode];

const headerSize = 12;
const flag = { response: 0x8000, authoritative: 0x0400, truncated: 0x0200, recursionDesired: 0x0100, recursionAvailable: 0x0080 } as const;
const maxName = 255;
const maxLabel = 63;
const plainUdpSize = 512;
/** What we say we can take, and the most we send over UDP: passes any network without fragments. */
const ednsSize = 1232;

export interface Question {
  /** Labels in lower case joined by dots, without the last dot; a dot or backslash within a label is escaped by a backslash. */
  readonly name: string;
  /** As asked: answers repeat it letter by letter. */
  readonly labels: readonly Uint8Array[];
  readonly type: number;
  readonly class: number;
}

export interface Query {
  readonly id: number;
  readonly opcode: number;
  readonly recursionDesired: boolean;
  readonly question: Question;
  /** How large an answer over UDP may be. */
  readonly udpSize: number;
  readonly edns: boolean;
}

/** `ignored`: an answer, or too short to answer. `malformed`: to be answered so. */
export type ParsedQuery =
  | { readonly kind: 'query'; readonly query: Query }
  | { readonly kind: 'malformed'; readonly id: number; readonly opcode: number }
  | { readonly kind: 'ignored' };

export interface AddressRecord {
  readonly type: 'a';
  /** Four bytes. */
  readonly address: Uint8Array;
  /** Seconds. */
  readonly ttl: number;
}

export interface PointerRecord {
  readonly type: 'ptr';
  readonly name: string;
  readonly ttl: number;
}

export type DnsRecord = AddressRecord | PointerRecord;

export function parseQuery(bytes: Buffer): ParsedQuery {
  if (bytes.length < headerSize) return { kind: 'ignored' };
  const flags = bytes.readUInt16BE(2);
  if (flags & flag.response) return { kind: 'ignored' };
  const id = bytes.readUInt16BE(0);
  const opcode = (flags >> 11) & 15;
  const malformed = { kind: 'malformed', id, opcode } as const;
  if (bytes.readUInt16BE(4) !== 1) return malformed;
  const question = readQuestion(bytes);
  if (!question) return malformed;
  const records = bytes.readUInt16BE(6) + bytes.readUInt16BE(8) + bytes.readUInt16BE(10);
  const edns = findEdns(bytes, question.end, records);
  if (edns === 'malformed') return malformed;
  return {
    kind: 'query',
    query: {
      id, opcode,
      recursionDesired: (flags & flag.recursionDesired) !== 0,
      question: question.question,
      udpSize: Math.min(Math.max(edns ?? plainUdpSize, plainUdpSize), ednsSize),
      edns: edns !== undefined,
    },
  };
}

/** The question of a query or an answer. */
export function readQuestion(bytes: Buffer): { readonly question: Question; readonly end: number } | undefined {
  const name = readName(bytes, headerSize);
  if (!name || name.end + 4 > bytes.length) return undefined;
  const question = { name: nameText(name.labels), labels: name.labels, type: bytes.readUInt16BE(name.end), class: bytes.readUInt16BE(name.end + 2) };
  return { question, end: name.end + 4 };
}

/** The EDNS size, when there is one. */
function findEdns(bytes: Buffer, offset: number, records: number): number | undefined | 'malformed' {
  let at = offset;
  let size: number | undefined;
  for (let i = 0; i < records; i++) {
    const name = readName(bytes, at);
    if (!name || name.end + 10 > bytes.length) return 'malformed';
    if (bytes.readUInt16BE(name.end) === dnsType.opt) size = bytes.readUInt16BE(name.end + 2);
    at = name.end + 10 + bytes.readUInt16BE(name.end + 8);
    if (at > bytes.length) return 'malformed';
  }
  return size;
}

/** Follows compression pointers, backwards only, so that it ends. */
function readName(bytes: Buffer, offset: number): { readonly labels: readonly Uint8Array[]; readonly end: number } | undefined {
  const labels: Uint8Array[] = [];
  let at = offset;
  let end: number | undefined;
  let lowest = offset;
  let size = 1;
  for (;;) {
    const length = bytes[at];
    if (length === undefined) return undefined;
    if (length === 0) return { labels, end: end ?? at + 1 };
    if ((length & 0xc0) === 0xc0) {
      const low = bytes[at + 1];
      if (low === undefined) return undefined;
      const target = ((length & 0x3f) << 8) | low;
      end ??= at + 2;
      if (target >= lowest) return undefined;
      lowest = target;
      at = target;
      continue;
    }
    if (length > maxLabel || at + 1 + length > bytes.length) return undefined;
    size += length + 1;
    if (size > maxName) return undefined;
    labels.push(bytes.subarray(at + 1, at + 1 + length));
    at += 1 + length;
  }
}

function nameText(labels: readonly Uint8Array[]): string {
  return labels.map((label) => Buffer.from(label).toString('latin1').toLowerCase().replace(/[.\\]/g, '\\$&')).join('.');
}

/** The labels of a plain name; undefined when it cannot be one. */
export function encodeName(name: string): Buffer | undefined {
  const parts = name === '' ? [] : name.split('.').map((label) => Buffer.from(label, 'latin1'));
  if (parts.some((label) => label.length === 0 || label.length > maxLabel)) return undefined;
  const encoded = joinLabels(parts);
  return encoded.length > maxName ? undefined : encoded;
}

function joinLabels(labels: readonly Uint8Array[]): Buffer {
  return Buffer.concat([...labels.flatMap((label) => [Uint8Array.of(label.length), label]), Uint8Array.of(0)]);
}

/** An answer. Over UDP, records that do not fit are left out and the truncated bit says so; pass Infinity for TCP. */
export function encodeAnswer(query: Query, code: Rcode, records: readonly DnsRecord[], maxSize: number): Buffer {
  const { question } = query;
  const fixed = Buffer.alloc(4);
  fixed.writeUInt16BE(question.type, 0);
  fixed.writeUInt16BE(question.class, 2);
  const head = [joinLabels(question.labels), fixed];
  const edns = query.edns ? encodeEdns() : Buffer.alloc(0);
  let size = headerSize + head.reduce((sum, part) => sum + part.length, 0) + edns.length;
  const answers: Buffer[] = [];
  let truncated = false;
  for (const record of records) {
    const encoded = encodeRecord(record);
    if (!encoded) continue;
    if (size + encoded.length > Math.min(maxSize, 0xffff)) {
      truncated = true;
      break;
    }
    size += encoded.length;
    answers.push(encoded);
  }
  const flags = flag.authoritative | (truncated ? flag.truncated : 0);
  const header = encodeHeader(query.id, query.opcode, flags | (query.recursionDesired ? flag.recursionDesired : 0), code, [1, answers.length, 0, query.edns ? 1 : 0]);
  return Buffer.concat([header, ...head, ...answers, edns]);
}

/** An answer to what could not be read. */
export function encodeMalformed(id: number, opcode: number): Buffer {
  return encodeHeader(id, opcode, 0, rcode.formatError, [0, 0, 0, 0]);
}

function encodeHeader(id: number, opcode: number, flags: number, code: number, counts: readonly number[]): Buffer {
  const header = Buffer.alloc(headerSize);
  header.writeUInt16BE(id, 0);
  header.writeUInt16BE(flag.response | flag.recursionAvailable | (opcode << 11) | flags | code, 2);
  for (const [i, count] of counts.entries()) header.writeUInt16BE(count, 4 + i * 2);
  return header;
}

/** The name is always a pointer to the question. */
function encodeRecord(record: DnsRecord): Buffer | undefined {
  const data = record.type === 'a' ? record.address : encodeName(record.name);
  if (!data) return undefined;
  const head = Buffer.alloc(12);
  head.writeUInt16BE(0xc000 | headerSize, 0);
  head.writeUInt16BE(record.type === 'a' ? dnsType.a : dnsType.ptr, 2);
  head.writeUInt16BE(dnsClass.internet, 4);
  head.writeUInt32BE(record.ttl, 6);
  head.writeUInt16BE(data.length, 10);
  return Buffer.concat([head, data]);
}

function encodeEdns(): Buffer {
  const record = Buffer.alloc(11);
  record.writeUInt16BE(dnsType.opt, 1);
  record.writeUInt16BE(ednsSize, 3);
  return record;
}
