/** Asks registries, and their mirrors, what a tag names. */
import type { Clock } from '../../lib/clock.ts';
import { Limit } from '../../lib/limit.ts';
import { firstAnswer, openEndpoints } from '../../lib/oci/open.ts';
import { parseReference } from '../../lib/oci/reference.ts';
import type { Registries } from '../../lib/oci/registries.ts';
import { TsorchError } from '../../model/errors.ts';
import type { RegistryAuth } from '../../model/registry.ts';

import type { DigestResolver } from './resolve.ts';

export interface RegistryResolverOptions {
  readonly registries: () => Promise<Registries>;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly clock: Clock;
  /** Between 0 and 1, for jitter. */
  readonly random: () => number;
  /** Where Docker keeps certificates of registries. */
  readonly certificates?: string;
}

/** Somebody waits for the answer at a terminal. */
const retry = { attempts: 2, first: 300, most: 300, patience: 3000 };
const timeouts = { connect: 4000, answer: 8000, stall: 8000 };
/** Questions at a time. */
const width = 8;

export class RegistryResolver implements DigestResolver {
  readonly #options: RegistryResolverOptions;
  readonly #limit = new Limit(width);

  constructor(options: RegistryResolverOptions) {
    this.#options = options;
  }

  async resolve(text: string, auth: RegistryAuth | null, signal: AbortSignal): Promise<string> {
    const { registries, ...common } = this.#options;
    const { registry, repository, tag, digest } = parseReference(text);
    const wanted = digest ?? tag;
    if (wanted === undefined) throw new TsorchError('internal', `${text} has neither tag nor digest`);
    return await this.#limit.run(async () => {
      const endpoints = openEndpoints(registry, { ...common, registries: await registries(), credentials: auth, retry, timeouts });
      try {
        return (await firstAnswer(endpoints, (endpoint) => endpoint.resolve(repository, wanted, signal))).digest;
      } finally {
        for (const endpoint of endpoints) endpoint.close();
      }
    });
  }
}
