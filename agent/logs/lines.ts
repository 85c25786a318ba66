/** Lines of a raw output file, in order, from any place to any other, in bounded memory. */
import type { FileHandle } from 'node:fs/promises';

/** Longer lines come in pieces. */
export const longestLine = 16 * 1024;
const blockBytes = 256 * 1024;
const newline = 10;

export interface RawLine {
  /** Offset after the line and its newline: what must have been written for it to be whole. */
  readonly end: number;
  readonly text: string;
  /** The line goes on in the next piece. */
  readonly partial: boolean;
}

export interface Range {
  readonly from: number;
  /** Nothing from here on is looked at. */
  readonly to: number;
  /** A last line without newline counts as one. Otherwise it is left for later. */
  readonly rest: boolean;
}

/**
 * Pieces of the file as lists of lines; the generator's value is the offset where the next call goes on. `lost(position)` is asked after
 * each read whether what was read may be gone: if so it says where to go on, and the read does not count.
 */
export async function* readLines(file: FileHandle, range: Range, lost: (position: number) => Promise<number | null>): AsyncGenerator<readonly RawLine[], number> {
  let position = range.from;
  const block = Buffer.allocUnsafe(Math.min(blockBytes, Math.max(1, range.to - range.from)));
  while (position < range.to) {
    const { bytesRead } = await file.read(block, 0, Math.min(block.length, range.to - position), position);
    const goOn = await lost(position);
    if (goOn !== null) {
      position = Math.max(goOn, position);
      continue;
    }
    if (bytesRead === 0) break;
    const atEnd = position + bytesRead >= range.to;
    const { lines, used } = split(block.subarray(0, bytesRead), position, atEnd && range.rest);
    position += used;
    if (lines.length > 0) yield lines;
    // Less than a longest line without a newline: it is still being written.
    if (used === 0) break;
  }
  return position;
}

/** Cuts what is complete off the block's beginning. A line longer than `longestLine` is cut where no character is. */
export function split(block: Buffer, offset: number, rest: boolean): { readonly lines: readonly RawLine[]; readonly used: number } {
  const lines: RawLine[] = [];
  let start = 0;
  while (start < block.length) {
    const at = block.indexOf(newline, start);
    const end = at === -1 ? block.length : at;
    if (end - start > longestLine) {
      const cut = characterStart(block, start, start + longestLine);
      lines.push({ end: offset + cut, text: block.toString('utf8', start, cut), partial: true });
      start = cut;
      continue;
    }
    if (at === -1 && !rest) break;
    lines.push({ end: offset + (at === -1 ? end : end + 1), text: block.toString('utf8', start, end), partial: false });
    start = at === -1 ? end : end + 1;
  }
  return { lines, used: start };
}

/** `at`, or up to three bytes before it when it would cut a UTF-8 sequence. Bytes that are no UTF-8 are cut anywhere. */
function characterStart(block: Buffer, start: number, at: number): number {
  for (let back = 0; back < 4 && at - back > start; back++) {
    if (((block[at - back] ?? 0) & 0xc0) !== 0x80) return at - back;
  }
  return at;
}

/** The offset where the line that holds the byte before `offset` begins, looking back at most `most` bytes and not before `head`. */
export async function lineStart(file: FileHandle, offset: number, head: number, most = 64 * 1024): Promise<number> {
  const from = Math.max(head, offset - most);
  if (offset <= from) return offset;
  const block = Buffer.allocUnsafe(offset - from);
  const { bytesRead } = await file.read(block, 0, block.length, from);
  if (bytesRead > 0 && bytesRead === block.length && block[bytesRead - 1] === newline) return offset;
  const at = block.subarray(0, bytesRead).lastIndexOf(newline);
  return at === -1 ? from : from + at + 1;
}

/** The first line start after the head of a file whose beginning was given up; a very long line is entered in its middle. */
export async function afterHead(file: FileHandle, head: number): Promise<number> {
  if (head === 0) return 0;
  const block = Buffer.allocUnsafe(64 * 1024);
  const { bytesRead } = await file.read(block, 0, block.length, head);
  const at = block.subarray(0, bytesRead).indexOf(newline);
  return at === -1 ? head : head + at + 1;
}

/** Where each of the last `count` lines before `to` begins, ascending. A last line without newline counts. */
export async function lastLines(file: FileHandle, head: number, to: number, count: number): Promise<readonly number[]> {
  const starts: number[] = [];
  if (count <= 0 || to <= head) return starts;
  const block = Buffer.allocUnsafe(64 * 1024);
  let end = to;
  while (end > head && starts.length < count) {
    const from = Math.max(head, end - block.length);
    const { bytesRead } = await file.read(block, 0, end - from, from);
    if (bytesRead < end - from) break;
    for (let i = bytesRead - 1; i >= 0 && starts.length < count; i--) {
      if (block[i] !== newline) continue;
      // The newline that ends the last line begins none.
      if (from + i + 1 !== to) starts.push(from + i + 1);
    }
    end = from;
  }
  if (starts.length < count) {
    const start = await afterHead(file, head);
    // Past a given-up head the first whole line follows a newline, and is among them unless the line is very long.
    if (start === head) starts.push(start);
  }
  starts.reverse();
  return starts;
}
