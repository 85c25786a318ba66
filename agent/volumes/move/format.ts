/**
 * A volume on its way to another host: a stream of records, the tree's entries in a fixed order (each directory before what is in it,
 * names by their bytes), a file's data after its entry, its digest after that.
 *
 * ```
 * record   kind u8, length u32 LE, payload
 *   1      an Entry as JSON
 *   2      offset u64 LE, bytes
 *   3      the digest of the file that the records before were of, hex
 *   4      the end: how many entries there were, as JSON
 * ```
 *
 * Paths are bytes, written as the characters 0 to 255.
 */
import { TsorchError } from '../../../model/errors.ts';

export const recordKind = { entry: 1, data: 2, digest: 3, end: 4 } as const;
export const headBytes = 5;
export const dataBytes = 256 << 10;
/** An entry with all the attributes a file can have stays below it. */
const mostBytes = 4 << 20;

export interface Entry {
  /** From the volume's root, which is the empty path. */
  readonly path: string;
  /** As the first letter of `ls -l`, and `h` for one more name of an earlier file. */
  readonly type: '-' | 'd' | 'l' | 'c' | 'b' | 'p' | 's' | 'h';
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  /** Nanoseconds since the epoch. */
  readonly mtime: string;
  readonly size: number;
  /** Of a device. */
  readonly device?: number;
  /** What a link leads to; the earlier path of one more name. */
  readonly to?: string;
  /** Names and base64 values. */
  readonly xattrs?: readonly (readonly [string, string])[];
}

/** Where a stream goes on: entries that are complete, the path of the last, and how much of the next file is there. */
export interface Position {
  readonly entries: number;
  readonly last: string;
  readonly offset: number;
}

export type Rec =
  | { readonly kind: 'entry'; readonly entry: Entry }
  | { readonly kind: 'data'; readonly offset: number; readonly bytes: Uint8Array }
  | { readonly kind: 'digest'; readonly digest: string }
  | { readonly kind: 'end'; readonly entries: number };

/** Puts small records together, so that each piece is worth sending. */
export class RecordWriter {
  #parts: Uint8Array[] = [];
  #bytes = 0;

  entry(entry: Entry): void {
    this.#add(recordKind.entry, [Buffer.from(JSON.stringify(entry))]);
  }

  data(offset: number, bytes: Uint8Array): void {
    const at = Buffer.allocUnsafe(8);
    at.writeBigUInt64LE(BigInt(offset));
    this.#add(recordKind.data, [at, bytes]);
  }

  digest(digest: string): void {
    this.#add(recordKind.digest, [Buffer.from(digest)]);
  }

  end(entries: number): void {
    this.#add(recordKind.end, [Buffer.from(String(entries))]);
  }

  get full(): boolean {
    return this.#bytes >= dataBytes;
  }

  /** All there is, in a buffer of its own. */
  take(): Uint8Array<ArrayBuffer> {
    const all = new Uint8Array(this.#bytes);
    let at = 0;
    for (const part of this.#parts) {
      all.set(part, at);
      at += part.length;
    }
    this.#parts = [];
    this.#bytes = 0;
    return all;
  }

  #add(kind: number, payload: readonly Uint8Array[]): void {
    let length = 0;
    for (const part of payload) length += part.length;
    const head = Buffer.allocUnsafe(headBytes);
    head.writeUInt8(kind, 0);
    head.writeUInt32LE(length, 1);
    this.#parts.push(head, ...payload);
    this.#bytes += headBytes + length;
  }
}

/** The records in pieces that were cut anywhere. Throws `invalid` for what is none. */
export class RecordReader {
  /** A record whose end has not come yet; grows to the largest there was, and is used again. */
  #part: Buffer = Buffer.alloc(64 << 10);
  #filled = 0;

  /** The bytes of a record are good until the next one is asked for. */
  *push(piece: Uint8Array): Generator<Rec> {
    const view = Buffer.from(piece.buffer, piece.byteOffset, piece.length);
    let at = 0;
    while (at < view.length) {
      // Whole within the piece, it is not copied.
      const whole = this.#filled === 0 ? recordBytes(view, at, view.length) : null;
      if (whole !== null && at + whole <= view.length) {
        yield parseRecord(view.readUInt8(at), view.subarray(at + headBytes, at + whole));
        at += whole;
        continue;
      }
      at += this.#fill(view, at, recordBytes(this.#part, 0, this.#filled) ?? headBytes);
      const length = recordBytes(this.#part, 0, this.#filled);
      if (length === null || this.#filled < length) continue;
      this.#filled = 0;
      yield parseRecord(this.#part.readUInt8(0), this.#part.subarray(headBytes, length));
    }
  }

  /** Takes over what is missing of `wanted` bytes, or what there is of it; how many those were. */
  #fill(view: Buffer, at: number, wanted: number): number {
    if (wanted > this.#part.length) this.#part = Buffer.concat([this.#part.subarray(0, this.#filled)], wanted);
    const taken = view.copy(this.#part, this.#filled, at, Math.min(view.length, at + wanted - this.#filled));
    this.#filled += taken;
    return taken;
  }
}

/** Of the record that begins at `at`, its head included; null while its head is not all there. */
function recordBytes(buffer: Buffer, at: number, end: number): number | null {
  if (end - at < headBytes) return null;
  const length = buffer.readUInt32LE(at + 1);
  if (length > mostBytes) throw broken(`a record of ${length} bytes`);
  return headBytes + length;
}

function parseRecord(kind: number, payload: Buffer): Rec {
  switch (kind) {
    case recordKind.entry: return { kind: 'entry', entry: parseEntry(payload.toString('utf8')) };
    case recordKind.data: {
      if (payload.length < 8) throw broken('data without an offset');
      const offset = Number(payload.readBigUInt64LE(0));
      if (!Number.isSafeInteger(offset)) throw broken('an offset that is no number');
      return { kind: 'data', offset, bytes: payload.subarray(8) };
    }
    case recordKind.digest: {
      const digest = payload.toString('latin1');
      if (!/^[0-9a-f]{64}$/.test(digest)) throw broken('a digest that is none');
      return { kind: 'digest', digest };
    }
    case recordKind.end: {
      const entries = Number(payload.toString('latin1'));
      if (!Number.isSafeInteger(entries) || entries < 0) throw broken('an end without a count');
      return { kind: 'end', entries };
    }
    default: throw broken(`a record of kind ${kind}`);
  }
}

/** Checked, since a path decides what is written where. Throws `invalid`. */
export function parseEntry(text: string): Entry {
  let value: Partial<Entry>;
  try {
    value = JSON.parse(text) as Partial<Entry>;
  } catch {
    throw broken('an entry that is not JSON');
  }
  const { path, type, mode, uid, gid, mtime, size, device, to, xattrs } = value ?? {};
  const whole = (number: unknown, most = Number.MAX_SAFE_INTEGER) => typeof number === 'number' && Number.isSafeInteger(number) && number >= 0 && number <= most;
  if (typeof path !== 'string' || typeof type !== 'string' || !'-dlcbpsh'.includes(type) || type.length !== 1) throw broken('an entry without path or type');
  if (!isInside(path) || (path === '') !== (type === 'd' && path === '')) throw broken(`the path ${JSON.stringify(path).slice(0, 200)}`);
  if (!whole(mode, 0o7777) || !whole(uid, 0xfffffffe) || !whole(gid, 0xfffffffe) || !whole(size) || typeof mtime !== 'string' || !/^-?\d{1,19}$/.test(mtime)) throw broken(`the entry of ${path}`);
  if (device !== undefined && !whole(device)) throw broken(`the device ${path}`);
  if ((type === 'l' || type === 'h') !== (typeof to === 'string') || (typeof to === 'string' && (to === '' || to.includes('\0') || /[^\0-\xff]/.test(to)))) throw broken(`the link ${path}`);
  if (type === 'h' && (!isInside(to ?? '') || to === '')) throw broken(`the link ${path}`);
  if (xattrs !== undefined && !(Array.isArray(xattrs) && xattrs.every((pair: unknown) => Array.isArray(pair) && pair.length === 2 && pair.every((each) => typeof each === 'string') && pair[0] !== '' && !String(pair[0]).includes('\0')))) throw broken(`the attributes of ${path}`);
  return value as Entry;
}

/** No way up or out: every part is a name. */
function isInside(path: string): boolean {
  return path === '' || (!/[\0]|[^\0-\xff]/.test(path) && path.split('/').every((part) => part !== '' && part !== '.' && part !== '..' && part.length <= 255));
}

function broken(what: string): TsorchError {
  return new TsorchError('invalid', `the volume's copy cannot be read: ${what}`);
}
