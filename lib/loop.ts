/**
 * The one loop shape: something marks the loop dirty, it runs once for any number of marks, and again if it was marked
 * while running. Level-triggered: a run looks at everything there is, so a lost or doubled mark does no harm.
 */
import type { Clock } from './clock.ts';
import type { Log } from './log.ts';

export interface LoopOptions {
  readonly name: string;
  readonly clock: Clock;
  readonly log: Log;
  readonly signal: AbortSignal;
  /** One pass. May return a time in milliseconds after which it wants to run again unmarked. */
  readonly run: () => Promise<number | undefined | void>;
  /** Delay after a failed pass; doubles up to `maxBackoffMs`. */
  readonly backoffMs?: number;
  readonly maxBackoffMs?: number;
  /** Passes take at most this part of the time, below 1: in a burst of marks each one makes up for many. The first after a silence is immediate. */
  readonly share?: number;
  /** What follows from `share` is at least and at most so long. Unless told, a pass waits no longer than 50 ms, however long the one before took. */
  readonly pauseMs?: { readonly least: number; readonly most: number };
}

const usualPauseMs = { least: 0, most: 50 } as const;

export class Loop {
  readonly #options: LoopOptions;
  #dirty = false;
  #wake: (() => void) | undefined;
  #done: Promise<void>;

  constructor(options: LoopOptions) {
    this.#options = options;
    this.#done = this.#main();
  }

  /** Asks for a pass. Cheap, and safe from anywhere. */
  mark(): void {
    this.#dirty = true;
    this.#wake?.();
  }

  /** Resolves when the signal has fired and the pass under way is over. */
  get done(): Promise<void> {
    return this.#done;
  }

  async #main(): Promise<void> {
    const { clock, log, signal, run, name, share, pauseMs = usualPauseMs } = this.#options;
    const first = this.#options.backoffMs ?? 50;
    const most = this.#options.maxBackoffMs ?? 5000;
    let backoff = first;
    const rest = share === undefined ? 0 : 1 / share - 1;
    let again: number | undefined;
    let notBefore = 0;
    while (!signal.aborted) {
      if (!this.#dirty) await this.#idle(again);
      const early = notBefore - clock.monotonic();
      if (early > 0) await clock.sleep(early, signal).catch(() => {});
      if (signal.aborted) return;
      const started = rest > 0 ? clock.monotonic() : 0;
      this.#dirty = false;
      try {
        again = (await run()) ?? undefined;
        backoff = first;
        if (rest > 0) notBefore = clock.monotonic() + Math.min(Math.max((clock.monotonic() - started) * rest, pauseMs.least), pauseMs.most);
      } catch (error) {
        if (signal.aborted) return;
        log.warn(`${name} failed, trying again`, { error, ms: backoff });
        await clock.sleep(backoff, signal).catch(() => {});
        backoff = Math.min(backoff * 2, most);
        this.#dirty = true;
      }
    }
  }

  #idle(ms: number | undefined): Promise<void> {
    const { clock, signal } = this.#options;
    return new Promise((resolve) => {
      const timer = ms === undefined ? undefined : new AbortController();
      const finish = () => {
        this.#wake = undefined;
        signal.removeEventListener('abort', finish);
        // Without a reason Node would make an error with a trace, for nobody.
        timer?.abort('marked');
        resolve();
      };
      this.#wake = finish;
      signal.addEventListener('abort', finish, { once: true });
      if (ms !== undefined) clock.sleep(ms, timer?.signal).then(finish, () => {});
    });
  }
}
