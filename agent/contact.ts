/**
 * When a master was last known to know of this host: some pods may not outlive that by long (`x-on-disconnect`). It is the moment at
 * which what a master answered was *sent*: the master heard it later than that, so what it counts from is later, too.
 *
 * Kept in the run directory, by the clock that all processes of one boot share, for an agent that is started again meanwhile.
 */
import os from 'node:os';
import path from 'node:path';
import type { Clock } from '../lib/clock.ts';
import type { Log } from '../lib/log.ts';
import { Loop } from '../lib/loop.ts';
import type { Alone } from './pods/step/types.ts';
import { isRecord, readJson, writeWhole } from './state.ts';

export interface ContactOptions {
  readonly runDir: string;
  readonly bootId: string;
  readonly clock: Clock;
  readonly log: Log;
  readonly signal: AbortSignal;
  /** Milliseconds since the host's start, the same in every process. */
  readonly uptime?: () => number;
}

export class Contact {
  readonly #options: ContactOptions;
  readonly #file: string;
  /** From this process's monotonic clock to the host's. */
  readonly #offset: number;
  readonly #startedAt: number;
  readonly #write: Loop;
  /** By the host's clock; null when none is known of since its start. */
  #last: number | null;

  private constructor(options: ContactOptions, file: string, now: number, last: number | null) {
    const { clock, log, signal } = options;
    this.#options = options;
    this.#file = file;
    this.#offset = now - clock.monotonic();
    this.#startedAt = now;
    // A record of a time to come is of another clock.
    this.#last = last !== null && last <= now ? last : null;
    this.#write = new Loop({ name: 'contact record', clock, log, signal, run: () => this.#save() });
  }

  static async open(options: ContactOptions): Promise<Contact> {
    const file = contactFile(options.runDir);
    const value = await readJson(file);
    const known = isRecord(value) && value['bootId'] === options.bootId && typeof value['at'] === 'number' ? value['at'] : null;
    return new Contact(options, file, (options.uptime ?? uptimeMs)(), known);
  }

  /** A master has answered what was sent at this monotonic time. With `keep` it is written down. Whether it is the first such word. */
  answered(sentAt: number, keep: boolean): boolean {
    const first = this.#last === null;
    this.#last = Math.max(this.#last ?? 0, sentAt + this.#offset);
    if (keep) this.#write.mark();
    return first;
  }

  /** Something depends on it from now on. */
  keep(): void {
    this.#write.mark();
  }

  get alone(): Alone {
    const now = this.#options.clock.monotonic() + this.#offset;
    return { ms: Math.max(0, now - (this.#last ?? this.#startedAt)), heard: this.#last !== null };
  }

  get done(): Promise<void> {
    return this.#write.done;
  }

  async #save(): Promise<undefined> {
    if (this.#last !== null) await writeWhole(this.#file, JSON.stringify({ bootId: this.#options.bootId, at: this.#last }), { sync: false });
    return undefined;
  }
}

export function contactFile(runDir: string): string {
  return path.join(runDir, 'contact.json');
}

function uptimeMs(): number {
  return os.uptime() * 1000;
}
