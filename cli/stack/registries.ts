/** What goes with a stack besides its spec: credentials for the registries of its images, and which tags are looked up. */
import { Option, type Command } from 'commander';
import type { ApplyRequest, ResolveMode } from '../../model/api.ts';
import { describeError, TsorchError } from '../../model/errors.ts';
import { imagesOf, type RegistryAuth, registryOf } from '../../model/registry.ts';
import type { StackSpec } from '../../model/spec.ts';
import { note, type Io } from '../io.ts';
import { plain } from '../output/color.ts';

export interface ImageOptions {
  readonly registryAuth: boolean;
  readonly resolveImage?: ResolveMode;
}

export function addImageOptions(to: Command): Command {
  return to
    .option('--no-registry-auth', 'send no credentials from your Docker config (docker login) for the registries of the images')
    .addOption(new Option('--resolve-image <which>', 'which tags are looked up at their registries: all of them, those that are new, none (default changed)').choices(['always', 'changed', 'never']));
}

/** The request's body and query. What is wrong with somebody's Docker config is told, and goes without. */
export async function applyRequest(io: Io, stack: StackSpec, options: ImageOptions): Promise<{ readonly body: ApplyRequest; readonly query: { readonly resolve: ResolveMode | undefined }; readonly timeoutMs: number }> {
  const registries = options.registryAuth ? await credentialsOf(io, stack) : {};
  const body = Object.keys(registries).length > 0 ? { ...stack, registries } : stack;
  // Registries may be slow to answer the master.
  return { body, query: { resolve: options.resolveImage }, timeoutMs: 60_000 };
}

async function credentialsOf(io: Io, stack: StackSpec): Promise<Readonly<Record<string, RegistryAuth>>> {
  const { credentialsFor, readDockerConfig, runHelper } = await import('../../lib/oci/docker-config.ts');
  const wanted = new Set(Object.values(stack.services).flatMap((service) => imagesOf(service).map(({ image }) => registryOf(image))));
  const found: Record<string, RegistryAuth> = {};
  const warn = (error: unknown) => {
    if (!(error instanceof TsorchError)) throw error;
    note(io, `warning: ${plain(describeError(error))}`);
  };
  const config = await readDockerConfig(io.env).catch(warn);
  if (!config) return found;
  await Promise.all([...wanted].map(async (registry) => {
    const credentials = await credentialsFor(config, registry, runHelper, io.signal).catch(warn);
    if (credentials) found[registry] = credentials;
  }));
  return found;
}
