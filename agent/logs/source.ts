/** One attempt's stdout or stderr as records with times, read in rounds: each takes up what has come since the last. */
import fs, { type FileHandle } from 'node:fs/promises';
import { lowerBound, readIndex } from './index-file.ts';
import { afterHead, lastLines, lineStart, type RawLine, readLines } from './lines.ts';
import type { LiveFile, Pin } from './live.ts';

export interface LogRecord {
  readonly container: string;
  readonly attempt: number;
  readonly stream: 'stdout' | 'stderr';
  /** Milliseconds since the epoch. */
  readonly time: number;
  readonly line: string;
  /** The line goes on in the next record of the stream. */
  readonly partial: boolean;
}

export interface SourceOptions {
  readonly file: string;
  readonly container: string;
  readonly attempt: number;
  readonly stream: 'stdout' | 'stderr';
  readonly live: LiveFile | undefined;
  readonly now: () => number;
}

const mostRecords = 65_536;

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

  /** Start and time of each of the last `count` lines before `to`, oldest first. */
  async tail(count: number, to: number): Promise<readonly { readonly start: number; readonly time: number }[]> {
    const starts = await lastLines(this.#file, this.head, to, count);
    return starts.map((start, i) => ({ start, time: this.#timeAt(starts[i + 1] ?? to) }));
  }

  /** Everything up to `to`; a last line without newline only with `rest`. */
  async *round(to: number, rest: boolean): AsyncGenerator<readonly LogRecord[]> {
    if (to < this.#pin.position) this.#restart();
    const reading = readLines(this.#file, { from: this.#pin.position, to, rest }, (position) => this.#lost(position));
    for (;;) {
      const next = await reading.next();
      if (next.done) {
        this.#pin.position = next.value;
        return;
      }
      yield this.#records(next.value);
      this.#pin.position = next.value.at(-1)?.end ?? this.#pin.position;
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

  #records(lines: readonly RawLine[]): readonly LogRecord[] {
    const { container, attempt, stream } = this.#options;
    const records = lines.map((line): LogRecord => ({ container, attempt, stream, time: this.#nextTime(line.end), line: line.text, partial: line.partial }));
    if (this.#dropped > 0) {
      records.unshift({ container, attempt, stream, time: records[0]?.time ?? this.#options.now(), line: `[tsorch] ${this.#dropped} bytes of output were given up before they were read`, partial: false });
      this.#dropped = 0;
    }
    return records;
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
