/** One attempt's stdout or stderr in chunks with times, read in rounds: each takes up what has come since the last. */
import fs, { type FileHandle } from 'node:fs/promises';
import type { LogChunk } from '../../model/log-chunk.ts';
import { afterHead, type Block, lastLines, lineStart, readBlocks } from './blocks.ts';
import { lowerBound, readIndex, upperBound } from './index-file.ts';
import type { LiveFile, Pin } from './live.ts';

export interface SourceOptions {
  readonly file: string;
  readonly container: string;
  readonly attempt: number;
  readonly stream: 'stdout' | 'stderr';
  readonly live: LiveFile | undefined;
  readonly now: () => number;
}

const mostRecords = 65_536;
const newline = 10;

export class Source {
  readonly #options: SourceOptions;
  readonly #file: FileHandle;
  readonly #offsets: number[];
  readonly #times: number[];
  readonly #pin: Pin;
  readonly #leave: (() => void)[] = [];
  #head: number;
  #cursor = 0;
  #dropped = 0;

  private constructor(options: SourceOptions, file: FileHandle, index: { head: number; offsets: number[]; times: number[] }, pin: Pin) {
    this.#options = options;
    this.#file = file;
    this.#offsets = index.offsets;
    this.#times = index.times;
    this.#head = index.head;
    this.#pin = pin;
  }

  static async open(options: SourceOptions): Promise<Source> {
    const { live, file } = options;
    const handle = await fs.open(file, 'r');
    const pin: Pin = { position: 0 };
    const leave = live ? [live.pin(pin)] : [];
    try {
      await live?.flush();
      const index = await readIndex(`${file}.idx`);
      const source = new Source(options, handle, index, pin);
      if (live) leave.push(live.subscribe((offset, time) => source.#note(offset, time)));
      source.#leave.push(...leave);
      pin.position = await afterHead(handle, source.head);
      return source;
    } catch (error) {
      for (const stop of leave) stop();
      await handle.close();
      throw error;
    }
  }

  async close(): Promise<void> {
    for (const stop of this.#leave) stop();
    await this.#file.close();
  }

  get head(): number {
    return Math.max(this.#head, this.#options.live?.head ?? 0);
  }

  async size(): Promise<number> {
    return (await this.#file.stat()).size;
  }

  /** Goes to the line that was being written at `time`, or the first one. */
  async seekTime(time: number): Promise<void> {
    const at = lowerBound(this.#times, time);
    const offset = this.#offsets[at - 1];
    if (offset !== undefined && offset > this.#pin.position) this.#pin.position = await lineStart(this.#file, offset, this.head);
  }

  seek(offset: number): void {
    this.#pin.position = Math.max(this.#pin.position, offset);
  }

  /** Goes on where a reader was that had read `offset` bytes; what was given up since is told of. */
  resume(offset: number, size: number): void {
    // The file was emptied meanwhile.
    if (offset > size) return;
    this.#dropped = Math.max(0, this.#pin.position - offset);
    this.seek(offset);
  }

  /** Start and time of each of the last `count` lines before `to`, oldest first. */
  async tail(count: number, to: number): Promise<readonly { readonly start: number; readonly time: number }[]> {
    const starts = await lastLines(this.#file, this.head, to, count);
    return starts.map((start, i) => ({ start, time: this.#timeAt(starts[i + 1] ?? to) }));
  }

  /** How far what was there at `time` goes, in whole lines. */
  async sizeAt(time: number, size: number): Promise<number> {
    const at = upperBound(this.#times, time);
    if (at >= this.#offsets.length) return size;
    return Math.min(size, await lineStart(this.#file, this.#offsets[at - 1] ?? 0, this.head));
  }

  /** No bytes: only where this source is. It comes before all others. */
  place(): LogChunk {
    return this.#chunk(0, this.#pin.position, Buffer.alloc(0));
  }

  /** Everything up to `to`; a last line without newline only with `rest`. */
  async *round(to: number, rest: boolean): AsyncGenerator<readonly LogChunk[]> {
    if (to < this.#pin.position) this.#restart();
    const reading = readBlocks(this.#file, { from: this.#pin.position, to, rest }, (position) => this.#lost(position));
    for (;;) {
      const next = await reading.next();
      if (next.done) {
        this.#pin.position = next.value;
        this.#options.live?.rotateIfDue();
        return;
      }
      yield this.#chunks(next.value);
      this.#pin.position = next.value.start + next.value.data.length;
    }
  }

  /** The file was emptied: offsets begin anew. */
  #restart(): void {
    this.#pin.position = 0;
    this.#cursor = 0;
    this.#head = 0;
    this.#offsets.length = 0;
    this.#times.length = 0;
  }

  /** Cut where the time changes: a line has the time at which its end was first seen. */
  #chunks({ start, data }: Block): readonly LogChunk[] {
    const chunks: LogChunk[] = [];
    for (let from = 0; from < data.length; ) {
      const at = data.indexOf(newline, from);
      const first = at === -1 ? data.length : at + 1;
      const time = this.#nextTime(start + first);
      const seen = (this.#offsets[this.#cursor] ?? Infinity) - start;
      const to = seen >= data.length ? data.length : Math.max(first, data.lastIndexOf(newline, seen - 1) + 1);
      chunks.push(this.#chunk(time, start + to, data.subarray(from, to)));
      from = to;
    }
    if (this.#dropped === 0) return chunks;
    const words = `[tsorch] ${this.#dropped} bytes of output were given up before they were read\n`;
    this.#dropped = 0;
    return [{ ...this.#chunk(chunks[0]?.time ?? this.#options.now(), start, Buffer.from(words)), notice: true }, ...chunks];
  }

  #chunk(time: number, end: number, data: Buffer): LogChunk {
    const { container, attempt, stream } = this.#options;
    return { container, attempt, stream, time, end, data };
  }

  /** What was read at `position` may have been given up meanwhile: then says where to go on. */
  async #lost(position: number): Promise<number | null> {
    const head = this.#options.live?.head ?? 0;
    if (head <= position) return null;
    const next = await afterHead(this.#file, head);
    this.#dropped += next - position;
    this.#pin.position = next;
    return next;
  }

  #nextTime(end: number): number {
    while ((this.#offsets[this.#cursor] ?? Infinity) < end) this.#cursor++;
    return this.#times[this.#cursor] ?? this.#options.now();
  }

  #timeAt(end: number): number {
    return this.#times[lowerBound(this.#offsets, end)] ?? this.#options.now();
  }

  #note(offset: number, time: number): void {
    const last = this.#offsets.length - 1;
    if (offset <= (this.#offsets[last] ?? -1)) return;
    // A reader that lies still for minutes gets coarser times rather than ever more memory.
    if (this.#offsets.length - this.#cursor > mostRecords) this.#offsets[last] = offset;
    else {
      this.#offsets.push(offset);
      this.#times.push(time);
    }
  }
}
