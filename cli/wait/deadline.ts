/** Waiting for the cluster to become something: looks again and again until it is, or the time is up. */
import { systemClock, type Clock } from '../../lib/clock.ts';
import { TsorchError } from '../../model/errors.ts';

export type Look<T> = { readonly done: true } | { readonly done: false; readonly left: T };

export interface Deadline {
  /**
   * Looks until `done`; undefined then, or what was left when the time was up. A master that is away for a moment is no
   * reason to give up: the last such error is thrown only when the time ends without an answer.
   */
  until<T>(look: () => Promise<Look<T>>): Promise<T | undefined>;
}

export function deadlineOf(timeoutMs: number, signal: AbortSignal, clock: Clock = systemClock, everyMs = 250): Deadline {
  const end = clock.monotonic() + timeoutMs;
  return {
    async until(look) {
      for (;;) {
        let failure: unknown;
        try {
          const seen = await look();
          if (seen.done) return undefined;
          if (clock.monotonic() >= end) return seen.left;
        } catch (error) {
          if (!(error instanceof TsorchError) || error.code !== 'unavailable') throw error;
          failure = error;
        }
        if (failure !== undefined && clock.monotonic() >= end) throw failure;
        await clock.sleep(Math.min(everyMs, Math.max(1, end - clock.monotonic())), signal).catch(() => {
          throw new TsorchError('aborted', 'interrupted');
        });
      }
    },
  };
}
