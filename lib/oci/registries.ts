/** Which endpoints stand for a registry: its mirrors in the order of the configuration, then itself. Pure. */
import type { RegistryCredentials } from './credentials.ts';
import { defaultRegistry } from './reference.ts';

/** What is said of one registry or mirror, by `host[:port]`. */
export interface RegistrySettings {
  readonly mirrors: readonly URL[];
  /** Files of certificates in PEM, besides the system's. */
  readonly ca: readonly string[];
  readonly client?: { readonly cert: string; readonly key: string };
  /** Whatever certificate it shows. */
  readonly insecure: boolean;
  readonly plainHttp: boolean;
  readonly credentials?: RegistryCredentials;
}

/** By `host[:port]`; what is said of `*` goes for all that are not named. */
export type Registries = ReadonlyMap<string, RegistrySettings>;

export interface EndpointPlace {
  readonly url: URL;
  /** Whose settings count for it: `host[:port]`. */
  readonly host: string;
  readonly mirror: boolean;
  /** Before the names of repositories. */
  readonly prefix?: string;
}

export const noSettings: RegistrySettings = { mirrors: [], ca: [], insecure: false, plainHttp: false };

export function settingsOf(registries: Registries, host: string): RegistrySettings {
  return registries.get(host) ?? registries.get('*') ?? noSettings;
}

export function placesOf(registries: Registries, registry: string): readonly EndpointPlace[] {
  const settings = settingsOf(registries, registry);
  const mirrors = settings.mirrors.filter((url) => url.host !== registry).map((url): EndpointPlace => {
    // Harbor and others keep what they mirror in a project: its name comes before the repository's.
    const [, prefix] = /^\/v2\/(.+?)\/*$/.exec(url.pathname) ?? [];
    return { url: prefix === undefined ? url : new URL('/', url), host: url.host, mirror: true, ...(prefix === undefined ? {} : { prefix }) };
  });
  const scheme = settings.plainHttp ? 'http' : 'https';
  // Where Docker Hub's API is, as opposed to its name in references.
  const host = registry === defaultRegistry ? 'registry-1.docker.io' : registry;
  return [...mirrors, { url: new URL(`${scheme}://${host}/`), host: registry, mirror: false }];
}
