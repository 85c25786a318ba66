/**
 * The sidecar that gives a raw output file its times: records of two little-endian doubles, `(offset, time)`, saying "at this
 * time the file had grown to this offset". The first record is the head: bytes before its offset have been given up.
 */
import fs from 'node:fs/promises';
import { isMissing, writeWhole } from '../state.ts';

export const recordBytes = 16;

export interface Index {
  /** Where the kept output begins. */
  readonly head: number;
  /** Ascending; `times[i]` is when everything before `offsets[i]` was there. The head is the first. */
  readonly offsets: number[];
  readonly times: number[];
}

export function encodeRecords(offsets: readonly number[], times: readonly number[]): Buffer {
  const buffer = Buffer.allocUnsafe(offsets.length * recordBytes);
  offsets.forEach((offset, i) => {
    buffer.writeDoubleLE(offset, i * recordBytes);
    buffer.writeDoubleLE(times[i] ?? 0, i * recordBytes + 8);
  });
  return buffer;
}

/** Takes what is sound: a torn last record, or one that goes back, ends it. */
export function decodeRecords(buffer: Uint8Array): Index {
  const view = new DataView(buffer.buffer, buffer.byteOffset, buffer.byteLength);
  const offsets: number[] = [];
  const times: number[] = [];
  for (let at = 0; at + recordBytes <= view.byteLength; at += recordBytes) {
    const offset = view.getFloat64(at, true);
    const time = view.getFloat64(at + 8, true);
    if (!Number.isSafeInteger(offset) || offset < (offsets.at(-1) ?? 0) || !Number.isFinite(time)) break;
    offsets.push(offset);
    times.push(time);
  }
  return { head: offsets[0] ?? 0, offsets, times };
}

export async function readIndex(file: string): Promise<Index> {
  try {
    return decodeRecords(await fs.readFile(file));
  } catch (error) {
    if (isMissing(error)) return { head: 0, offsets: [], times: [] };
    throw error;
  }
}

/** The index with everything before `head` given up, and at most `most` records: older ones are thinned out. */
export function cutIndex(index: Index, head: number, most: number): Index {
  const first = upperBound(index.offsets, head);
  // Bytes just after the head were there by the time of the first record past it.
  const offsets = [head, ...index.offsets.slice(first)];
  const times = [index.times[first] ?? index.times.at(-1) ?? 0, ...index.times.slice(first)];
  if (offsets.length <= most) return { head, offsets, times };
  const recent = offsets.length - Math.floor(most / 2);
  const keep = (_: number, i: number) => i === 0 || i >= recent || i % 4 === 3;
  return { head, offsets: offsets.filter(keep), times: times.filter(keep) };
}

export async function writeIndex(file: string, index: Index): Promise<void> {
  await writeWhole(file, encodeRecords(index.offsets, index.times), { sync: false });
}

/** Position of the first value greater than `value` in an ascending list. */
export function upperBound(values: readonly number[], value: number): number {
  let low = 0;
  let high = values.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((values[middle] ?? Infinity) > value) high = middle;
    else low = middle + 1;
  }
  return low;
}

/** Position of the first value that is at least `value`. */
export function lowerBound(values: readonly number[], value: number): number {
  let low = 0;
  let high = values.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((values[middle] ?? Infinity) >= value) high = middle;
    else low = middle + 1;
  }
  return low;
}
