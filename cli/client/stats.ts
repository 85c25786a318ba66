/** Statistics as the master tells them, for as long as somebody looks. A master that is away for a moment ends nothing. */
import { setTimeout as sleep } from 'node:timers/promises';
import { isCode, TsorchError } from '../../model/errors.ts';
import type { Stats } from '../../model/stats.ts';
import type { ApiClient } from '../client.ts';
import type { Query } from './transport.ts';

const retryMs = 1000;

/** A reading, or why there is none now. */
export type Told = { readonly stats: Stats } | { readonly away: string };

export async function* followStats(client: ApiClient, query: Query, signal: AbortSignal): AsyncGenerator<Told> {
  for (let seen = false; ; ) {
    try {
      for await (const stats of client.events<Stats>('/v1/stats', { ...query, follow: true })) {
        seen = true;
        yield { stats };
      }
      if (!signal.aborted) throw new TsorchError('unavailable', 'the master ended the stream');
    } catch (error) {
      if (!seen || !isCode(error, 'unavailable')) throw error;
      yield { away: error.message };
    }
    await sleep(retryMs, undefined, { signal }).catch(() => {
      throw new TsorchError('aborted', 'interrupted');
    });
  }
}
