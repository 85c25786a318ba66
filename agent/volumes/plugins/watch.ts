/** Follows which volume plugins answer on this host, since the scheduler goes by it. */
import type { Clock } from '../../../lib/clock.ts';
import type { VolumeDriverStatus } from '../../../model/node.ts';
import type { Plugins } from './plugins.ts';

const everyMs = 3000;
/** The agent begins without those that take longer. */
const firstMs = 500;

export class DriverWatch {
  readonly done: Promise<void>;
  #current: readonly VolumeDriverStatus[];

  private constructor(first: readonly VolumeDriverStatus[], options: WatchOptions) {
    this.#current = first;
    this.done = this.#follow(options);
  }

  /** Resolves when those that are there have been asked. */
  static async start(options: WatchOptions): Promise<DriverWatch> {
    return new DriverWatch(await options.plugins.status(firstMs), options);
  }

  get current(): readonly VolumeDriverStatus[] {
    return this.#current;
  }

  async #follow({ plugins, clock, signal, changed }: WatchOptions): Promise<void> {
    while (!signal.aborted) {
      await clock.sleep(everyMs, signal).catch(() => {});
      if (signal.aborted) return;
      const now = await plugins.status();
      if (JSON.stringify(now) === JSON.stringify(this.#current)) continue;
      this.#current = now;
      changed();
    }
  }
}

export interface WatchOptions {
  readonly plugins: Pick<Plugins, 'status'>;
  readonly clock: Clock;
  readonly signal: AbortSignal;
  readonly changed: () => void;
}
