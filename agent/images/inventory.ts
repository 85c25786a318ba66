/** This host's images as they were last seen, and what has changed since: for its session with a master. */
import type { Clock } from '../../lib/clock.ts';
import type { Log } from '../../lib/log.ts';
import { Loop } from '../../lib/loop.ts';
import type { HeldImage } from '../../model/image.ts';
import type { Images } from '../runtime/port.ts';

export interface InventoryOptions {
  readonly images: Pick<Images, 'held' | 'watch'>;
  readonly clock: Clock;
  readonly log: Log;
  readonly signal: AbortSignal;
  /** With at least one change. */
  readonly onChange: (change: { readonly upsert: readonly HeldImage[]; readonly remove: readonly string[] }) => void;
}

/** A change that nobody was told of is found this late. */
const lookMs = 30_000;

export class Inventory {
  readonly #options: InventoryOptions;
  readonly #loop: Loop;
  /** As text, to be compared, by the digest of its target. */
  #seen = new Map<string, string>();
  #known = false;
  /** For a look that begins after they came. */
  #waiting: (() => void)[] = [];

  constructor(options: InventoryOptions) {
    this.#options = options;
    const { images, clock, log, signal } = options;
    this.#loop = new Loop({ name: 'image inventory', clock, log, signal, run: () => this.#look() });
    this.#loop.mark();
    images.watch(() => this.#loop.mark(), signal);
  }

  /** Null before the first look. */
  get current(): readonly string[] | null {
    return this.#known ? [...this.#seen.values()] : null;
  }

  /** Resolves when all that is here by now is told, or the agent ends. */
  async told(): Promise<void> {
    const { signal } = this.#options;
    if (signal.aborted) return;
    await new Promise<void>((resolve) => {
      this.#waiting.push(resolve);
      signal.addEventListener('abort', () => resolve(), { once: true });
      this.#loop.mark();
    });
  }

  get done(): Promise<void> {
    return this.#loop.done;
  }

  async #look(): Promise<number> {
    const waiting = this.#waiting;
    this.#waiting = [];
    const held = await this.#options.images.held().catch((error: unknown) => {
      this.#waiting.push(...waiting);
      throw error;
    });
    const next = new Map(held.map((image) => [image.target.digest, JSON.stringify(image)]));
    const upsert = held.filter(({ target }) => this.#seen.get(target.digest) !== next.get(target.digest));
    const remove = [...this.#seen.keys()].filter((digest) => !next.has(digest));
    const first = !this.#known;
    this.#seen = next;
    this.#known = true;
    if (first || upsert.length > 0 || remove.length > 0) this.#options.onChange({ upsert, remove });
    for (const resolve of waiting) resolve();
    return lookMs;
  }
}
