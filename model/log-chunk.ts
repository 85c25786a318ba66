/**
 * Output of containers on its way to whoever reads it: the bytes as they were written, in runs that share a time, each with the
 * place where it ends. Between the programs and to the command line it goes in frames of a header and the bytes
 * (`application/vnd.tsorch.log-chunks`); to everybody else as `LogLine` records.
 *
 * ```
 * u32 length of the header, u32 length of the data (big endian), header as JSON, data
 * ```
 */
import type { LogLine } from './api.ts';
import { TsorchError } from './errors.ts';

export interface LogChunk {
  readonly container: string;
  readonly attempt: number;
  readonly stream: 'stdout' | 'stderr';
  /** Milliseconds since the epoch. */
  readonly time: number;
  /** Bytes the stream had after these: where a reader that was cut off goes on. */
  readonly end: number;
  /** Whole lines; or, when no newline ends it, a piece of a line that goes on in the stream's next chunk. May be empty: a place only. */
  readonly data: Uint8Array;
  /** Our own words about the output. */
  readonly notice?: true;
}

export interface PodLogChunk extends LogChunk {
  /** Pod name, `voting_vote.1`. */
  readonly pod: string;
  readonly podId: string;
  readonly node: string;
  /** Its pod has other containers too. */
  readonly several?: true;
}

export const logChunkType = 'application/vnd.tsorch.log-chunks';

/** One stream of a pod, as `web.1/stdout`. */
export function streamKey(chunk: Pick<LogChunk, 'container' | 'attempt' | 'stream'>): string {
  return `${chunk.container}.${chunk.attempt}/${chunk.stream}`;
}

/** Attempts of a slot's container whose output its host keeps, the running one among them. */
export const keptAttempts = 5;

const newline = 10;
const encoder = new TextEncoder();
const decoder = new TextDecoder();
const strictDecoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** Our own words as a chunk. They have no place in the stream. */
export function noticeChunk(of: Omit<PodLogChunk, 'data' | 'notice' | 'stream' | 'end'>, words: string): PodLogChunk {
  return { ...of, stream: 'stderr', end: 0, data: encoder.encode(`[tsorch] ${words}\n`), notice: true };
}

/** One record per line. What is no UTF-8 is there twice: readable, and as it was in base64. */
export function linesOf(chunk: PodLogChunk): LogLine[] {
  const { data, notice, container, attempt, stream, time, pod, podId, node } = chunk;
  const text = decodeStrictly(data);
  const texts = text?.split('\n');
  const begin = chunk.end - data.length;
  const lines: LogLine[] = [];
  for (let from = 0, i = 0; from < data.length; i++) {
    const at = data.indexOf(newline, from);
    const to = at === -1 ? data.length : at;
    const line = texts ? { line: texts[i] ?? '' } : lineOf(data.subarray(from, to));
    from = to + 1;
    lines.push({
      pod, podId, node, container, attempt, stream, time, ...line, ...(at === -1 ? { partial: true } : {}),
      ...(notice ? { notice } : { end: begin + Math.min(from, data.length) }),
    });
  }
  return lines;
}

function decodeStrictly(data: Uint8Array): string | undefined {
  try {
    return strictDecoder.decode(data);
  } catch {
    return undefined;
  }
}

function lineOf(bytes: Uint8Array): Pick<LogLine, 'line' | 'bytes'> {
  const text = decodeStrictly(bytes);
  if (text !== undefined) return { line: text };
  let binary = '';
  for (let at = 0; at < bytes.length; at += 8192) binary += String.fromCharCode(...bytes.subarray(at, at + 8192));
  return { line: new TextDecoder('utf-8', { ignoreBOM: true }).decode(bytes), bytes: btoa(binary) };
}

type Header = Omit<PodLogChunk, 'data'>;
const prefixBytes = 8;
/** No honest frame is larger. */
const mostBytes = 16 * 1024 * 1024;

/** A frame in two parts, of which the second is the chunk's data itself. */
export function encodeChunk(chunk: PodLogChunk): [Uint8Array, Uint8Array] {
  const { data, ...header } = chunk;
  const head = encoder.encode(JSON.stringify(header satisfies Header));
  const frame = new Uint8Array(prefixBytes + head.length);
  const view = new DataView(frame.buffer);
  view.setUint32(0, head.length);
  view.setUint32(4, data.length);
  frame.set(head, prefixBytes);
  return [frame, data];
}

/** Frames that may be cut anywhere, put together again. Throws `internal` for what are none. */
export class ChunkDecoder {
  #parts: Uint8Array[] = [];
  #length = 0;
  /** With less than this nothing can be told yet. */
  #needed = prefixBytes;

  push(bytes: Uint8Array): PodLogChunk[] {
    this.#parts.push(bytes);
    this.#length += bytes.length;
    if (this.#length < this.#needed) return [];
    const all = join(this.#parts, this.#length);
    const chunks: PodLogChunk[] = [];
    let at = 0;
    this.#needed = prefixBytes;
    while (all.length - at >= prefixBytes) {
      const view = new DataView(all.buffer, all.byteOffset + at);
      const [head, data] = [view.getUint32(0), view.getUint32(4)];
      if (head > mostBytes || data > mostBytes) throw new TsorchError('internal', 'the master sent a log frame that is none');
      const end = at + prefixBytes + head + data;
      this.#needed = end - at;
      if (end > all.length) break;
      chunks.push({ ...decodeHeader(all.subarray(at + prefixBytes, at + prefixBytes + head)), data: all.subarray(end - data, end) });
      this.#needed = prefixBytes;
      at = end;
    }
    this.#length = all.length - at;
    this.#parts = this.#length > 0 ? [all.slice(at)] : [];
    return chunks;
  }

  /** A frame has begun and not ended. */
  get isTorn(): boolean {
    return this.#length > 0;
  }
}

function join(parts: readonly Uint8Array[], length: number): Uint8Array {
  if (parts.length === 1 && parts[0]) return parts[0];
  const all = new Uint8Array(length);
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}

function decodeHeader(bytes: Uint8Array): Header {
  try {
    return JSON.parse(decoder.decode(bytes)) as Header;
  } catch (cause) {
    throw new TsorchError('internal', 'the master sent a log frame that is none', { cause });
  }
}
