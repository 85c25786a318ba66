/**
 * K-way merge of log lines by time. Without following, a line waits until every source has shown its next one, so the order is
 * exact. While following, a silent source holds the others back for a short window only.
 */
import type { Clock } from '../../lib/clock.ts';
import type { LogLine } from '../../model/api.ts';
import type { Out } from './stream.ts';

const windowMs = 100;

interface Source {
  readonly iterator: AsyncGenerator<LogLine>;
  head: LogLine | undefined;
  reading: boolean;
}

export class Merger {
  readonly #out: Out;
  readonly #follow: boolean;
  readonly #clock: Clock;
  readonly #sources = new Set<Source>();
  #wake: (() => void) | undefined;

  constructor(out: Out, follow: boolean, clock: Clock) {
    this.#out = out;
    this.#follow = follow;
    this.#clock = clock;
    out.gone.addEventListener('abort', () => this.#wake?.(), { once: true });
  }

  add(open: () => AsyncGenerator<LogLine>): void {
    this.#sources.add({ iterator: open(), head: undefined, reading: false });
    this.#wake?.();
  }

  /** Ends when every source has, or the reader is gone; while following, only with the reader. */
  async run(): Promise<void> {
    while (!this.#out.gone.aborted) {
      const next = this.#next();
      if (next === 'over') break;
      if (next === undefined) await this.#changed();
      else if (typeof next === 'number') await this.#changed(next);
      else {
        const line = next.head as LogLine;
        next.head = undefined;
        await this.#out.write(line);
      }
    }
    for (const source of this.#sources) source.iterator.return(undefined).catch(() => {});
  }

  /** The source to write from, or for how long to wait, or `undefined` to wait for anything. */
  #next(): Source | number | undefined | 'over' {
    if (this.#sources.size === 0) return this.#follow ? undefined : 'over';
    let first: Source | undefined;
    let silent = false;
    for (const source of this.#sources) {
      this.#read(source);
      if (source.head === undefined) silent = true;
      else if (first?.head === undefined || source.head.time < first.head.time) first = source;
    }
    if (first?.head === undefined || !silent) return first;
    if (!this.#follow) return undefined;
    const hold = windowMs - (this.#clock.now() - first.head.time);
    return hold > 0 ? Math.min(hold, windowMs) : first;
  }

  #read(source: Source): void {
    if (source.head !== undefined || source.reading) return;
    source.reading = true;
    source.iterator.next().then(({ value, done }) => {
      source.reading = false;
      if (done) this.#sources.delete(source);
      else source.head = value;
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
