/**
 * One output file that a container writes to right now: watched, indexed, and kept within its limit. The bytes go from the
 * container to the file without us; only its size is looked at.
 */
import fs from 'node:fs';
import fsp from 'node:fs/promises';
import type { Log } from '../../lib/log.ts';
import { cutIndex, encodeRecords, readIndex, writeIndex } from './index-file.ts';
import { blockBytes, type Punch } from './punch.ts';

export interface LiveOptions {
  readonly file: string;
  readonly now: () => number;
  readonly log: Log;
  /** Bytes kept, asked at each look; up to a quarter more before the head is given up. */
  readonly limit: () => number;
  readonly punch: Punch;
  /** Called when output is first seen after a silence: the caller then calls `check` until it says the file is quiet. */
  readonly busy: (file: LiveFile) => void;
  /** Nobody has written to it yet: there is nothing to be taken up. */
  readonly fresh?: boolean;
}

/** A reader's place: what it has not read yet is given up late. */
export interface Pin {
  position: number;
}

const mostRecords = 65_536;
/** How far a slow reader may hold the head back, as a multiple of the limit. */
const patience = 4;
/** Checks without change after which the file is watched instead. */
const quietAfter = 5;

export class LiveFile {
  readonly #options: LiveOptions;
  readonly #listeners = new Set<(offset: number, time: number) => void>();
  readonly #pins = new Set<Pin>();
  #watcher: fs.FSWatcher | undefined;
  #size = 0;
  #head = 0;
  #records = 0;
  #quiet = 0;
  #closed = false;
  readonly #over = new AbortController();
  /** Records not in the sidecar yet. */
  #pending: { offsets: number[]; times: number[] } = { offsets: [], times: [] };
  /** Work on the sidecar, one piece after another. */
  #chain: Promise<void> = Promise.resolve();
  #rotating = false;
  #lossTold = false;
  #canPunch = true;

  private constructor(options: LiveOptions) {
    this.#options = options;
  }

  /** Takes the file up where the last agent left it: what grew in between has the file's own time. */
  static async open(options: LiveOptions): Promise<LiveFile> {
    const live = new LiveFile(options);
    if (options.fresh) {
      // Goes to the sidecar with the first output: many containers never print.
      live.#record(0, options.now());
      live.#watch();
      return live;
    }
    const [index, stat] = await Promise.all([readIndex(live.indexFile), fsp.stat(options.file)]);
    live.#head = index.head;
    live.#records = index.offsets.length;
    live.#size = index.offsets.at(-1) ?? 0;
    if (live.#records === 0) live.#record(0, options.now());
    if (stat.size < live.#size) await live.#truncated();
    if (stat.size > live.#size) live.#record(stat.size, Math.round(stat.mtimeMs));
    live.#watch();
    await live.flush();
    live.rotateIfDue();
    return live;
  }

  get file(): string {
    return this.#options.file;
  }

  get indexFile(): string {
    return `${this.#options.file}.idx`;
  }

  get size(): number {
    return this.#size;
  }

  get kept(): number {
    return this.#size - this.#head;
  }

  /** Output before this offset is gone. */
  get head(): number {
    return this.#head;
  }

  subscribe(listener: (offset: number, time: number) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  pin(pin: Pin): () => void {
    this.#pins.add(pin);
    return () => {
      this.#pins.delete(pin);
      this.rotateIfDue();
    };
  }

  /** Looks at the size. False when the file has been quiet for a while and is watched again. */
  check(): boolean {
    if (this.#closed) return false;
    const grown = this.#look();
    this.#quiet = grown ? 0 : this.#quiet + 1;
    return this.#quiet < quietAfter || !this.#watch();
  }

  /** Resolves when the sidecar has all that is known. */
  flush(): Promise<void> {
    return this.#pending.offsets.length > 0 ? this.#enqueue(() => this.#append()) : this.#chain;
  }

  /** The container has ended: the last of its output is recorded. */
  async close(): Promise<void> {
    if (!this.#closed) this.#look();
    this.#closed = true;
    this.#watcher?.close();
    this.#over.abort();
    if (this.#size > 0) await this.flush();
    while (this.#rotating) await this.#chain.then(() => {});
  }

  /** Fires when it will not grow any more. */
  get over(): AbortSignal {
    return this.#over.signal;
  }

  /** False when it has to be polled on. */
  #watch(): boolean {
    if (this.#closed) return true;
    this.#watcher?.close();
    let isWatched = true;
    // One event is enough: from then on the file is polled, so that a flood costs as little as a trickle.
    try {
      const watcher = fs.watch(this.#options.file, { persistent: false }, () => {
        watcher.close();
        this.#poll();
      });
      watcher.on('error', () => {
        watcher.close();
        this.#poll();
      });
      this.#watcher = watcher;
    } catch {
      // The host's inotify watches are used up.
      this.#poll();
      isWatched = false;
    }
    // Watch first, then look: nothing slips between.
    this.#look();
    return isWatched;
  }

  #poll(): void {
    if (this.#closed) return;
    this.#quiet = 0;
    this.#look();
    this.#options.busy(this);
  }

  #look(): boolean {
    const size = fs.statSync(this.#options.file, { throwIfNoEntry: false })?.size ?? this.#size;
    if (size === this.#size) return false;
    if (size < this.#size) {
      this.#size = size;
      void this.#enqueue(() => this.#truncated());
      return true;
    }
    this.#record(size, this.#options.now());
    void this.flush();
    this.rotateIfDue();
    return true;
  }

  #record(offset: number, time: number): void {
    this.#size = Math.max(this.#size, offset);
    this.#pending.offsets.push(offset);
    this.#pending.times.push(time);
    for (const listener of this.#listeners) listener(offset, time);
  }

  async #append(): Promise<void> {
    const { offsets, times } = this.#pending;
    if (offsets.length === 0) return;
    this.#pending = { offsets: [], times: [] };
    this.#records += offsets.length;
    await fsp.appendFile(this.indexFile, encodeRecords(offsets, times), { mode: 0o600 });
  }

  /** Somebody emptied the file by hand: offsets begin anew. */
  async #truncated(): Promise<void> {
    this.#head = 0;
    this.#records = 1;
    this.#pending = { offsets: [], times: [] };
    this.#size = 0;
    await writeIndex(this.indexFile, { head: 0, offsets: [0], times: [this.#options.now()] });
  }

  /** Also when it has not grown: its limit may have come down, or a reader that held the head back may have come on. */
  rotateIfDue(): void {
    const limit = this.#options.limit();
    if (this.#rotating || this.#closed || (this.kept <= limit * 1.25 && this.#records <= mostRecords)) return;
    let head = Math.max(this.#head, this.#size - limit);
    const slowest = Math.min(...[...this.#pins].map((pin) => pin.position));
    head = Math.max(Math.min(head, slowest), this.#size - limit * patience, this.#head);
    head = Math.max(this.#head, Math.floor(head / blockBytes) * blockBytes);
    // Held back by a reader: try again when it has come on, not at every look.
    if (head - this.#head < limit / 8 && this.#records <= mostRecords) return;
    this.#rotating = true;
    const before = this.#head;
    void this.#enqueue(() => this.#rotate(head)).then(() => {
      this.#rotating = false;
      // It may have grown past its limit meanwhile, and be quiet now.
      if (this.#head > before) this.rotateIfDue();
    });
  }

  #enqueue(work: () => Promise<void>): Promise<void> {
    this.#chain = this.#chain.then(work).then(() => {
      this.#lossTold = false;
    }, (error: unknown) => {
      // Without it lines have the time of a later record; the output itself is whole. On a full disk every line would say so.
      if (!this.#lossTold) this.#options.log.warn('log index not kept', { file: this.#options.file, error });
      this.#lossTold = true;
    });
    return this.#chain;
  }

  async #rotate(head: number): Promise<void> {
    await this.#append();
    const index = cutIndex(await readIndex(this.indexFile), head, mostRecords / 2);
    await writeIndex(this.indexFile, index);
    this.#records = index.offsets.length;
    const from = this.#head;
    // Readers look at the head after they have read: it moves before the bytes go.
    this.#head = head;
    if (head === from) return;
    if (this.#canPunch) {
      try {
        return await this.#options.punch(this.#options.file, from, head - from);
      } catch (error) {
        this.#canPunch = false;
        this.#options.log.warn('this file system cannot free the head of a log, it is emptied instead', { file: this.#options.file, error });
      }
    }
    // Loses what comes between the last look and now; there is no better way on such a file system.
    await fsp.truncate(this.#options.file, 0);
    await this.#truncated();
  }
}
