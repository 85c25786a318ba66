/**
 * K-way merge of output by time. Without following, a chunk waits until every source has shown its next one, so the order is
 * exact. While following, a silent source holds the others back for a short window only.
 */
import type { Clock } from '../../lib/clock.ts';
import type { PodLogChunk } from '../../model/log-chunk.ts';

export type Batches = AsyncGenerator<readonly PodLogChunk[]>;

export interface MergerOptions {
  /** Waits while the reader reads slower than we write. */
  readonly write: (chunks: readonly PodLogChunk[]) => Promise<void>;
  /** Fires when the reader has gone. */
  readonly gone: AbortSignal;
  readonly follow: boolean;
  /** Asked while following and no source is open: none will come any more. */
  readonly isOver: () => boolean;
  readonly clock: Clock;
}

const windowMs = 100;

interface Source {
  readonly iterator: Batches;
  batch: readonly PodLogChunk[];
  at: number;
  reading: boolean;
}

export class Merger {
  readonly #options: MergerOptions;
  readonly #sources = new Set<Source>();
  #wake: (() => void) | undefined;

  constructor(options: MergerOptions) {
    this.#options = options;
    options.gone.addEventListener('abort', () => this.#wake?.(), { once: true });
  }

  add(open: () => Batches): void {
    this.#sources.add({ iterator: open(), batch: [], at: 0, reading: false });
    this.#wake?.();
  }

  /** What `isOver` says may have changed. */
  poke(): void {
    this.#wake?.();
  }

  /** Ends when every source has, or the reader is gone; while following, only once it is over. */
  async run(): Promise<void> {
    const { gone, write } = this.#options;
    while (!gone.aborted) {
      const next = this.#next();
      if (next === 'over') break;
      if (Array.isArray(next)) await write(next);
      else await this.#changed(next as number | undefined);
    }
    for (const source of this.#sources) source.iterator.return(undefined).catch(() => {});
  }

  /** What can be written, or for how long to wait, or `undefined` to wait for anything. */
  #next(): readonly PodLogChunk[] | number | undefined | 'over' {
    const { follow, isOver, clock } = this.#options;
    if (this.#sources.size === 0) return follow && !isOver() ? undefined : 'over';
    const out: PodLogChunk[] = [];
    for (;;) {
      const { first, second, silent } = this.#look();
      if (first === undefined) break;
      // A source alone, or one that is behind all others, is not looked at chunk by chunk.
      const until = silent ? (follow ? clock.now() - windowMs : -Infinity) : (second ?? Infinity);
      const from = first.at;
      while (first.at < first.batch.length && (first.batch[first.at]?.time ?? 0) <= until) first.at++;
      if (first.at === from) {
        if (silent) break;
        first.at++;
      }
      out.push(...first.batch.slice(from, first.at));
      if (first.at < first.batch.length) continue;
      first.batch = [];
      first.at = 0;
      break;
    }
    if (out.length > 0) return out;
    const { first } = this.#look();
    if (first === undefined || !follow) return undefined;
    return Math.min(windowMs, Math.max(1, windowMs - (clock.now() - (first.batch[first.at]?.time ?? 0))));
  }

  /** The source to go on with, the time of the next after it, and whether one has nothing to show. */
  #look(): { readonly first: Source | undefined; readonly second: number | undefined; readonly silent: boolean } {
    let first: Source | undefined;
    let least = Infinity;
    let second: number | undefined;
    let silent = false;
    for (const source of this.#sources) {
      this.#read(source);
      const time = source.batch[source.at]?.time;
      if (time === undefined) silent = true;
      else if (first === undefined || time < least) {
        if (first !== undefined) second = least;
        first = source;
        least = time;
      } else if (second === undefined || time < second) second = time;
    }
    return { first, second, silent };
  }

  #read(source: Source): void {
    if (source.at < source.batch.length || source.reading) return;
    source.reading = true;
    source.iterator.next().then(({ value, done }) => {
      source.reading = false;
      if (done) this.#sources.delete(source);
      else {
        source.batch = value;
        source.at = 0;
      }
      this.#wake?.();
    }, () => {
      this.#sources.delete(source);
      this.#wake?.();
    });
  }

  #changed(ms?: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = ms === undefined ? undefined : setTimeout(resolve, ms);
      this.#wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }
}
