/** DER, the encoding of certificates: elements of a tag, a length and a content. As much of it as certificates and requests need. */

export const tag = {
  boolean: 0x01, integer: 0x02, bitString: 0x03, octetString: 0x04, utf8String: 0x0c, utcTime: 0x17, generalizedTime: 0x18, sequence: 0x30, set: 0x31,
} as const;

/** Tags of a context: `[0]` that holds elements, and `[0]` that holds bytes. */
export const holding = (number: number): number => 0xa0 | number;
export const bytesOf = (number: number): number => 0x80 | number;

/** One element. */
export function der(tagByte: number, ...content: readonly Uint8Array[]): Buffer {
  const body = Buffer.concat(content);
  if (body.length > 0xffff) throw new RangeError(`a DER element of ${body.length} bytes`);
  // Longer ones say how many bytes the length takes.
  const length = body.length < 0x80 ? [body.length] : body.length < 0x1_00 ? [0x81, body.length] : [0x82, body.length >> 8, body.length & 0xff];
  return Buffer.concat([Buffer.of(tagByte, ...length), body]);
}

export function sequence(...content: readonly Uint8Array[]): Buffer {
  return der(tag.sequence, ...content);
}

/** `1.2.840.10045.4.3.2`. */
export function oid(dotted: string): Buffer {
  const [first = 0, second = 0, ...rest] = dotted.split('.').map(Number);
  return der(0x06, Buffer.from([first * 40 + second, ...rest].flatMap((number) => {
    const bytes = [number & 0x7f];
    for (let left = number >>> 7; left > 0; left >>>= 7) bytes.unshift((left & 0x7f) | 0x80);
    return bytes;
  })));
}

/** A positive integer of these bytes, the first of which is neither 0 nor above 127. */
export function positive(bytes: Uint8Array): Buffer {
  return der(tag.integer, bytes);
}

/** Bits that fill whole bytes but for the last `unused`. */
export function bits(bytes: Uint8Array, unused = 0): Buffer {
  return der(tag.bitString, Buffer.of(unused), bytes);
}

/** To the second; with two digits for the year until 2049, as certificates must. */
export function time(ms: number): Buffer {
  const digits = new Date(ms).toISOString().replace(/\.\d+|[-:T]/g, '');
  return Number(digits.slice(0, 4)) < 2050 ? der(tag.utcTime, Buffer.from(digits.slice(2))) : der(tag.generalizedTime, Buffer.from(digits));
}

export interface Element {
  readonly tag: number;
  readonly content: Buffer;
  /** Tag and length included. */
  readonly whole: Buffer;
}

/** The elements that these bytes are made of. Throws RangeError when they are not made of whole ones. */
export function readAll(bytes: Buffer): readonly Element[] {
  const found: Element[] = [];
  for (let at = 0; at < bytes.length;) {
    const element = readAt(bytes, at);
    found.push(element);
    at += element.whole.length;
  }
  return found;
}

/** What one element of this tag holds, element by element. */
export function open(element: Element | undefined, expected: number): readonly Element[] {
  if (element?.tag !== expected) throw new RangeError(`not DER as expected: tag ${element?.tag ?? 'missing'} instead of ${expected}`);
  return readAll(element.content);
}

function readAt(bytes: Buffer, at: number): Element {
  const first = bytes[at + 1] ?? 0;
  // Lengths above 65535 do not occur, nor do those of unknown length.
  const lengthBytes = first < 0x80 ? 0 : first & 0x7f;
  if (first >= 0x80 && (lengthBytes < 1 || lengthBytes > 2)) throw new RangeError('not DER: a length that makes no sense');
  const start = at + 2 + lengthBytes;
  if (start > bytes.length) throw new RangeError('not DER: it ends too early');
  const length = lengthBytes === 0 ? first : bytes.readUIntBE(at + 2, lengthBytes);
  const end = start + length;
  if (end > bytes.length) throw new RangeError('not DER: it ends too early');
  return { tag: bytes[at] ?? 0, content: bytes.subarray(start, end), whole: bytes.subarray(at, end) };
}
