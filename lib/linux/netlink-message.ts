/**
 * Writing and reading netlink messages: the same for rtnetlink, nfnetlink and the rest. Headers and lengths are in the
 * machine's order (little endian on every platform we run on); nfnetlink wants its payloads big endian, rtnetlink little.
 */
const headerSize = 16;

export const netlinkFlag = {
  request: 1, multi: 2, ack: 4, echo: 8,
  root: 0x100, match: 0x200, dump: 0x300,
  replace: 0x100, exclusive: 0x200, create: 0x400, append: 0x800,
} as const;

const nestedBit = 0x8000;
const typeMask = 0x3fff;

/** Where a message begins, and whether it is answered also when it succeeds. */
interface Placed {
  readonly offset: number;
  readonly acknowledged: boolean;
}

/**
 * Messages that go out in one `send`. Methods chain; a message ends where the next begins. The buffer grows as needed.
 *
 * ```ts
 * new Batch().message(rtm.newLink, netlinkFlag.create).u8(0).zeros(3)….string(ifla.name, 'veth0')
 * ```
 */
export class Batch {
  #buffer: Buffer;
  #used = 0;
  #placed: Placed[] = [];
  #nests: number[] = [];

  constructor(size = 4096) {
    this.#buffer = Buffer.allocUnsafe(size);
  }

  /** How many messages it holds. */
  get count(): number {
    return this.#placed.length;
  }

  /** Size in bytes so far. */
  get size(): number {
    return this.#used;
  }

  /** How many of the messages ask to be acknowledged. */
  get acknowledgements(): number {
    let n = 0;
    for (const placed of this.#placed) if (placed.acknowledged) n++;
    return n;
  }

  /** Begins a message. REQUEST is always set; ACK unless `acknowledged` is false (the kernel still reports failures then). */
  message(type: number, flags = 0, acknowledged = true): this {
    this.#endMessage();
    this.#placed.push({ offset: this.#used, acknowledged });
    return this.u32(0).u16(type).u16(flags | netlinkFlag.request | (acknowledged ? netlinkFlag.ack : 0)).u32(0).u32(0);
  }

  u8(value: number): this {
    const at = this.#take(1);
    this.#buffer[at] = value;
    return this;
  }

  u16(value: number): this {
    const at = this.#take(2);
    this.#buffer.writeUInt16LE(value, at);
    return this;
  }

  u32(value: number): this {
    const at = this.#take(4);
    this.#buffer.writeUInt32LE(value >>> 0, at);
    return this;
  }

  u16be(value: number): this {
    const at = this.#take(2);
    this.#buffer.writeUInt16BE(value, at);
    return this;
  }

  u32be(value: number): this {
    const at = this.#take(4);
    this.#buffer.writeUInt32BE(value >>> 0, at);
    return this;
  }

  bytes(value: Uint8Array): this {
    const at = this.#take(value.length);
    this.#buffer.set(value, at);
    return this;
  }

  zeros(count: number): this {
    const at = this.#take(count);
    this.#buffer.fill(0, at, at + count);
    return this;
  }

  attribute(type: number, value: Uint8Array): this {
    return this.u16(4 + value.length).u16(type).bytes(value).#align();
  }

  /** NUL-terminated, as names are. */
  string(type: number, value: string): this {
    return this.attribute(type, Buffer.from(`${value}\0`));
  }

  /** An attribute without a value. */
  flag(type: number): this {
    return this.u16(4).u16(type);
  }

  attributeU8(type: number, value: number): this {
    return this.u16(5).u16(type).u8(value).zeros(3);
  }

  attributeU16(type: number, value: number): this {
    return this.u16(6).u16(type).u16(value).zeros(2);
  }

  attributeU32(type: number, value: number): this {
    return this.u16(8).u16(type).u32(value);
  }

  attributeU64(type: number, value: bigint): this {
    return this.u16(12).u16(type).u32(Number(value & 0xffffffffn)).u32(Number(value >> 32n));
  }

  attributeU16be(type: number, value: number): this {
    return this.u16(6).u16(type).u16be(value).zeros(2);
  }

  attributeU32be(type: number, value: number): this {
    return this.u16(8).u16(type).u32be(value);
  }

  attributeU64be(type: number, value: bigint): this {
    return this.u16(12).u16(type).u32be(Number(value >> 32n)).u32be(Number(value & 0xffffffffn));
  }

  /** Attributes within an attribute: those that `fill` writes. */
  nest(type: number, fill: (batch: this) => void): this {
    this.#nests.push(this.#used);
    this.u16(0).u16(type | nestedBit);
    fill(this);
    const start = this.#nests.pop() ?? 0;
    const length = this.#used - start;
    if (length > 0xffff) throw new RangeError(`netlink attribute ${type} of ${length} bytes: at most 65535 fit`);
    this.#buffer.writeUInt16LE(length, start);
    return this;
  }

  /** The bytes to send, with sequence numbers from `firstSequence`: message i has `firstSequence + i`. */
  finish(firstSequence: number): Buffer {
    this.#endMessage();
    for (const [i, { offset }] of this.#placed.entries()) this.#buffer.writeUInt32LE((firstSequence + i) >>> 0, offset + 8);
    return this.#buffer.subarray(0, this.#used);
  }

  #endMessage(): void {
    const last = this.#placed.at(-1);
    if (last) this.#buffer.writeUInt32LE(this.#used - last.offset, last.offset);
  }

  #align(): this {
    return this.zeros(-this.#used & 3);
  }

  /** Makes room for `count` bytes and returns where they go. */
  #take(count: number): number {
    const at = this.#used;
    this.#used += count;
    if (this.#used > this.#buffer.length) {
      const larger = Buffer.allocUnsafe(Math.max(this.#buffer.length * 2, this.#used));
      this.#buffer.copy(larger, 0, 0, at);
      this.#buffer = larger;
    }
    return at;
  }
}

/** A message as it came: `data` is what follows the netlink header. */
export interface NetlinkMessage {
  readonly type: number;
  readonly flags: number;
  readonly sequence: number;
  readonly data: Buffer;
}

/** The messages in what one `recv` returned. `data` are views: copy what outlives the buffer. */
export function* readMessages(buffer: Buffer): Generator<NetlinkMessage> {
  let at = 0;
  while (at + headerSize <= buffer.length) {
    const length = buffer.readUInt32LE(at);
    if (length < headerSize || at + length > buffer.length) return;
    yield {
      type: buffer.readUInt16LE(at + 4),
      flags: buffer.readUInt16LE(at + 6),
      sequence: buffer.readUInt32LE(at + 8),
      data: buffer.subarray(at + headerSize, at + length),
    };
    at += (length + 3) & ~3;
  }
}

/** The attributes from `offset` on, by type. Of doubled types the last; lists of one type are for `attributeList`. */
export function attributes(data: Buffer, offset = 0): Map<number, Buffer> {
  const found = new Map<number, Buffer>();
  for (const { type, value } of attributeList(data, offset)) found.set(type, value);
  return found;
}

export function attributeList(data: Buffer, offset = 0): { readonly type: number; readonly value: Buffer }[] {
  const found: { type: number; value: Buffer }[] = [];
  let at = offset;
  while (at + 4 <= data.length) {
    const length = data.readUInt16LE(at);
    if (length < 4 || at + length > data.length) break;
    found.push({ type: data.readUInt16LE(at + 2) & typeMask, value: data.subarray(at + 4, at + length) });
    at += (length + 3) & ~3;
  }
  return found;
}

/** The text of a NUL-terminated attribute. */
export function attributeText(value: Buffer): string {
  const end = value.indexOf(0);
  return value.toString('utf8', 0, end === -1 ? value.length : end);
}
