/** A raw output file in blocks of whole lines, from any place to any other, in bounded memory. */
import type { FileHandle } from 'node:fs/promises';

/** A line longer than this comes in pieces. */
export const pieceBytes = 64 * 1024;
/** Not larger than a piece: streams count blocks, not bytes, until they hold back. */
export const blockBytes = pieceBytes;
const newline = 10;

export interface Block {
  /** Offset of its first byte. */
  readonly start: number;
  /** Ends after a newline, or is a piece of a line that goes on. */
  readonly data: Buffer;
}

export interface Range {
  readonly from: number;
  /** Nothing from here on is looked at. */
  readonly to: number;
  /** What a last line without newline is: left for later, or a piece. */
  readonly rest: boolean;
}

/**
 * A block is good until the next one is asked for: there is one buffer for all. The generator's value is the offset where the next call goes on. `lost(position)` is asked after each read whether what
 * was read may be gone: if so it says where to go on, and the read does not count.
 */
export async function* readBlocks(file: FileHandle, range: Range, lost: (position: number) => Promise<number | null>): AsyncGenerator<Block, number> {
  let position = range.from;
  const block = Buffer.allocUnsafeSlow(Math.min(blockBytes, Math.max(1, range.to - range.from)));
  while (position < range.to) {
    const { bytesRead } = await file.read(block, 0, Math.min(block.length, range.to - position), position);
    const goOn = await lost(position);
    if (goOn !== null) {
      position = Math.max(goOn, position);
      continue;
    }
    if (bytesRead === 0) break;
    const atEnd = position + bytesRead >= range.to;
    const used = wholeLines(block.subarray(0, bytesRead), atEnd && range.rest);
    // Less than a piece without a newline: it is still being written.
    if (used === 0) break;
    yield { start: position, data: block.subarray(0, used) };
    position += used;
  }
  return position;
}

/** How much of the block goes out: up to its last newline; without one, all that cuts no character once it is a piece. */
export function wholeLines(block: Buffer, rest: boolean): number {
  const at = block.lastIndexOf(newline);
  if (at !== -1) return at + 1;
  if (rest) return block.length;
  return block.length >= pieceBytes ? characterStart(block) : 0;
}

/** The block's length, or up to three bytes less when its end cuts a UTF-8 sequence. Bytes that are no UTF-8 are cut anywhere. */
function characterStart(block: Buffer): number {
  for (let back = 1; back <= 4; back++) {
    const byte = block[block.length - back] ?? 0;
    if ((byte & 0xc0) === 0x80) continue;
    const length = byte >= 0xf0 ? 4 : byte >= 0xe0 ? 3 : byte >= 0xc0 ? 2 : 1;
    return length > back ? block.length - back : block.length;
  }
  return block.length;
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
