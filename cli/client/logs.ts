/** Output of pods as the master sends it. Whoever follows is led through the master's absences: nothing is lost, nothing comes twice. */
import { setTimeout as sleep } from 'node:timers/promises';
import { isCode, TsorchError } from '../../model/errors.ts';
import type { LogsRequest } from '../../model/api.ts';
import { type PodLogChunk, streamKey } from '../../model/log-chunk.ts';
import type { ApiClient } from '../client.ts';

export type LogsQuery = { readonly [K in keyof Omit<LogsRequest, 'places'>]: LogsRequest[K] | undefined } & { readonly target: readonly string[]; readonly previous?: true | undefined; readonly attempt?: number | undefined };

const retryMs = { first: 100, most: 2000 };

/** `say` hears of a connection that is lost and found again. */
export async function* readLogs(client: ApiClient, request: LogsQuery, say: (words: string) => void, signal: AbortSignal): AsyncGenerator<PodLogChunk> {
  const places = new Map<string, Record<string, number>>();
  let wait = retryMs.first;
  let failures = 0;
  for (;;) {
    try {
      const { previous: _previous, attempt: _attempt, ...rest } = request;
      const chunks = failures === 0 ? client.logs('GET', { query: { ...request } }) : client.logs('POST', { body: { ...rest, places: Object.fromEntries(places) } });
      for await (const chunk of chunks) {
        if (failures > 1) say('the master is back');
        failures = Math.min(failures, 1);
        wait = retryMs.first;
        if (!chunk.notice) {
          const known = places.get(chunk.podId) ?? {};
          places.set(chunk.podId, known);
          known[streamKey(chunk)] = chunk.end;
        }
        // A place alone is nothing to show.
        if (chunk.data.length > 0) yield chunk;
      }
      return;
    } catch (error) {
      if (!request.follow || places.size === 0 || !isCode(error, 'unavailable')) throw error;
      failures++;
      if (failures === 2) say(`${error instanceof TsorchError ? error.message : String(error)}; trying again`);
    }
    await sleep(wait, undefined, { signal }).catch(() => {
      throw new TsorchError('aborted', 'interrupted');
    });
    wait = Math.min(wait * 2, retryMs.most);
  }
}
