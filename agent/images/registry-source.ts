/** Registries as sources of pulls. */
import type { Endpoint } from '../../lib/oci/endpoint.ts';
import type { Descriptor } from '../../lib/oci/manifest.ts';
import { openEndpoints, type OpenOptions } from '../../lib/oci/open.ts';
import type { ImageReference } from '../../lib/oci/reference.ts';
import type { Registries } from '../../lib/oci/registries.ts';
import { TsorchError } from '../../model/errors.ts';
import type { BlobSource, BlobSources, PullContext, SourceDocument } from './source.ts';

export interface RegistrySourcesOptions extends Omit<OpenOptions, 'registries' | 'credentials'> {
  readonly registries: () => Promise<Registries>;
}

/** The image's registry and its mirrors, by the configuration as it is now. */
export class RegistrySources implements BlobSources {
  readonly #options: RegistrySourcesOptions;

  constructor(options: RegistrySourcesOptions) {
    this.#options = options;
  }

  async for(reference: ImageReference, context: PullContext): Promise<readonly BlobSource[]> {
    const { credentials, over } = context;
    const endpoints = openEndpoints(reference.registry, { ...this.#options, registries: await this.#options.registries(), credentials });
    const close = () => {
      for (const endpoint of endpoints) endpoint.close();
    };
    over.addEventListener('abort', close, { once: true });
    return endpoints.map((endpoint, at) => new EndpointSource(endpoint, at === endpoints.length - 1));
  }
}

class EndpointSource implements BlobSource {
  readonly name: string;
  readonly decides: boolean;
  readonly #endpoint: Endpoint;

  constructor(endpoint: Endpoint, decides: boolean) {
    this.name = endpoint.name;
    this.decides = decides;
    this.#endpoint = endpoint;
  }

  async manifest({ repository, tag, digest }: ImageReference, signal: AbortSignal): Promise<SourceDocument> {
    const reference = digest ?? tag;
    if (reference === undefined) throw new TsorchError('internal', `${repository} has neither tag nor digest`);
    return await this.#endpoint.manifest(repository, reference, signal);
  }

  async blob({ repository }: ImageReference, descriptor: Descriptor, offset: number, signal: AbortSignal): Promise<AsyncIterable<Uint8Array>> {
    return await this.#endpoint.blob(repository, descriptor, offset, signal);
  }
}
