/** Registries as stacks need them: whose images they are, and credentials on their way to the hosts that pull. Nobody lists those. */
import { containersOf, type ContainerSpec, type ServiceSpec } from './spec.ts';

/** As a Docker config file has them: a password, or an identity token that the registry's token service takes in its place. */
export type RegistryAuth =
  | { readonly kind: 'basic'; readonly username: string; readonly password: string }
  | { readonly kind: 'identity'; readonly token: string };

/** What the master keeps: a stack's credentials for one registry. */
export interface RegistryRecord {
  readonly stack: string;
  /** `host[:port]`, as in the names of images. */
  readonly registry: string;
  readonly auth: RegistryAuth;
}

/** The record's key. Names of stacks hold no `@`. */
export function registryKey(stack: string, registry: string): string {
  return `${stack}@${registry}`;
}

/** `docker.io` for what names none. A host has a dot or a port, or is `localhost`, or has capitals, which repositories have not. */
export function registryOf(image: string): string {
  const slash = image.indexOf('/');
  const first = slash < 0 ? '' : image.slice(0, slash);
  const hasRegistry = first !== '' && (/[.:]/.test(first) || first === 'localhost' || first !== first.toLowerCase());
  return hasRegistry && first !== 'index.docker.io' ? first : 'docker.io';
}

/** An image that a service's pods need: a container's own, or one it mounts. */
export interface NeededImage extends Pick<ContainerSpec, 'image' | 'imageDigest' | 'pullPolicy' | 'pullRefreshMs'> {
  readonly image: string;
}

export function imagesOf({ template }: ServiceSpec): readonly NeededImage[] {
  return containersOf(template).flatMap((container): NeededImage[] => [
    container,
    ...container.mounts.flatMap((mount) => (mount.kind === 'image' ? [{ ...mount, pullPolicy: container.pullPolicy }] : [])),
  ]);
}

/** The service with what `digestOf` says of each image filled in; undefined leaves it unpinned. */
export function withImageDigests(service: ServiceSpec, digestOf: (image: string) => string | undefined): ServiceSpec {
  const pin = <T extends { readonly image: string; readonly imageDigest?: string }>({ imageDigest: _old, ...image }: T): T => {
    const digest = digestOf(image.image);
    return { ...image, ...(digest === undefined ? {} : { imageDigest: digest }) } as T;
  };
  const filled = (container: ContainerSpec): ContainerSpec => ({ ...pin(container), mounts: container.mounts.map((mount) => (mount.kind === 'image' ? pin(mount) : mount)) });
  const { template } = service;
  return {
    ...service,
    template: { ...template, containers: template.containers.map(filled), ...(template.initContainers ? { initContainers: template.initContainers.map(filled) } : {}) },
  };
}
