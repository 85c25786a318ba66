/** Endpoints of a registry, made from its configuration; and asking one after the other. */
import type { Clock } from '../clock.ts';
import { TsorchError } from '../../model/errors.ts';
import type { RegistryCredentials } from './credentials.ts';
import { Endpoint } from './endpoint.ts';
import type { HttpTimeouts } from './http.ts';
import { placesOf, type Registries, settingsOf } from './registries.ts';
import type { RetryPolicy } from './retry.ts';
import { loadTls } from './tls.ts';

export interface OpenOptions {
  readonly registries: Registries;
  readonly credentials: RegistryCredentials | null;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly clock: Clock;
  readonly random: () => number;
  readonly retry?: RetryPolicy;
  readonly timeouts?: HttpTimeouts;
  /** Where Docker keeps certificates of registries. */
  readonly certificates?: string;
}

/** Mirrors first. Close them all when done. */
export function openEndpoints(registry: string, options: OpenOptions): readonly Endpoint[] {
  const { registries, credentials, retry, timeouts, certificates, ...common } = options;
  return placesOf(registries, registry).map(({ url, host, mirror, prefix }) => {
    const settings = settingsOf(registries, host);
    // The registry's own credentials are nothing to a mirror.
    const own = mirror ? null : credentials;
    return new Endpoint({
      ...common, url, credentials: own ?? settings.credentials ?? null, tls: () => loadTls(host, settings, certificates),
      ...(mirror ? { namespace: registry } : {}), ...(prefix === undefined ? {} : { prefix }),
      ...(timeouts === undefined ? {} : { timeouts }),
      // Where there is another to ask, one does not wait for this one.
      ...(mirror ? { retry: { attempts: 1, first: 0, most: 0, patience: 0 } } : retry === undefined ? {} : { retry }),
    });
  });
}

/** The first answer; when there is none, the error of the last one asked, which is the registry itself. */
export async function firstAnswer<S, T>(sources: readonly S[], ask: (source: S) => Promise<T>): Promise<T> {
  let failure: unknown;
  for (const source of sources) {
    try {
      return await ask(source);
    } catch (error) {
      if (error instanceof TsorchError && error.code === 'aborted') throw error;
      failure = error;
    }
  }
  throw failure ?? new TsorchError('unavailable', 'there is nobody to ask');
}
