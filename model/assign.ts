/** From a pod and its service's spec to all it takes to run it. Whoever decides over pods, a master or a host's own manifests, does it with this. */
import type { Assignment } from './assignment.ts';
import type { Pod } from './pod.ts';
import { imagesOf, type RegistryAuth, registryOf } from './registry.ts';
import type { AllocatedPort } from './service.ts';
import { base64 } from './base64.ts';
import { contextOf, expandPod, type NodeFacts } from './template/pod.ts';
import { expandPayload, type TemplateContext } from './template/swarm.ts';
import { containersOf, networksOf, type ContainerSpec, type FileReference, type ServiceSpec } from './spec.ts';
import { volumePairs } from './volumes.ts';

export interface AssignSources {
  /** base64; undefined while it is not known. */
  readonly content: (kind: 'secret' | 'config', reference: FileReference) => string | undefined;
  /** Whether the content is a template. */
  readonly isTemplate: (kind: 'secret' | 'config', reference: FileReference) => boolean;
  /** By the volume's name outside of its stack. */
  readonly volume: (name: string) => Assignment['volumes'][string] | undefined;
  /** The node that the pod is on, for templates; absent: nothing is known of it. */
  readonly node: NodeFacts | undefined;
  /** The stack's credentials for a registry. Absent: there are none. */
  readonly auth?: (registry: string) => RegistryAuth | undefined;
  /** Of the service. */
  readonly ports: readonly AllocatedPort[];
}

/** Null while a secret or config it mounts is not known (yet). */
export function makeAssignment(pod: Pod, spec: ServiceSpec, sources: AssignSources): Assignment | null {
  const { volume, node, auth, ports } = sources;
  const context = contextOf(pod, spec, node ?? { hostname: '', os: '', arch: '' });
  const template = expandPod(spec.template, context);
  const files: Assignment['files'][number][] = [];
  const volumes: Record<string, Assignment['volumes'][string]> = {};
  for (const container of containersOf(template)) {
    const own = filesOf(container, context, sources);
    if (!own) return null;
    files.push(...own);
  }
  // A slot's volume that has no record yet is as the one it is made after.
  for (const [name, after] of volumePairs(template, pod.slot)) volumes[name] = volume(name) ?? volume(after) ?? { driver: 'local', driverOpts: {} };
  const registries = Object.fromEntries(
    [...new Set(imagesOf(spec).map(({ image }) => registryOf(image)))].sort().flatMap((registry) => {
      const known = auth?.(registry);
      return known === undefined ? [] : [[registry, known] as const];
    }),
  );
  return {
    pod, template, serviceName: spec.name, labels: spec.labels, networks: networksOf(spec), volumes, files,
    hostPorts: ports.filter((port) => port.mode === 'host').map(({ target, published, protocol, hostIp }) =>
      ({ target, published, protocol, ...(hostIp === undefined ? {} : { hostIp }) })),
    ...(Object.keys(registries).length > 0 ? { registries } : {}),
  };
}

/** The contents of a container's secrets and configs, those filled in that are templates. */
function filesOf(container: ContainerSpec, context: TemplateContext, { content, isTemplate }: AssignSources): Assignment['files'] | null {
  const files: Assignment['files'][number][] = [];
  for (const [kind, references] of [['secret', container.secrets], ['config', container.configs]] as const) {
    for (const reference of references) {
      const known = content(kind, reference);
      if (known === undefined) return null;
      files.push({ reference, kind, container: container.name, content: known });
    }
  }
  return files.map((file) => {
    if (!isTemplate(file.kind, file.reference)) return file;
    const made = fillFile(file.content, container, context, files);
    // What has a secret in it is one, and never on a disk.
    return { ...file, content: made.content, kind: made.secret ? 'secret' as const : file.kind };
  });
}

function fillFile(content: string, container: ContainerSpec, context: TemplateContext, files: Assignment['files']): { readonly content: string; readonly secret: boolean } {
  let secret = false;
  const other = (kind: 'secret' | 'config') => (target: string): string | undefined => {
    const found = files.find((file) => file.kind === kind && isNamed(file.reference, kind, target));
    if (found && kind === 'secret') secret = true;
    return found && textOf(found.content);
  };
  const made = expandPayload(textOf(content), context, { env: (name) => container.env[name] ?? undefined, secret: other('secret'), config: other('config') });
  // It was tried before; what cannot be filled in stays as it was written.
  return 'ok' in made ? { content: base64(new TextEncoder().encode(made.ok)), secret } : { content, secret: false };
}

/** Templates name files by what stands in the stack file, with or without the directory that they are in unless told. */
export function isNamed({ target }: FileReference, kind: 'secret' | 'config', name: string): boolean {
  return target === name || target === `${kind === 'secret' ? '/run/secrets/' : '/'}${name}`;
}

function textOf(content: string): string {
  return new TextDecoder().decode(Uint8Array.from(atob(content), (character) => character.charCodeAt(0)));
}

/** Key of a secret's or config's version: its name and the start of its digest. */
export function fileObjectKey(name: string, digest: string): string {
  return `${name}.${digest.replace(/^sha256:/, '').slice(0, 16)}`;
}

/** The service with the digests of the secrets and configs it mounts: a changed content is a changed service. */
export function withDigests(service: ServiceSpec, digestOf: (kind: 'secret' | 'config', name: string) => string | undefined): ServiceSpec {
  const fill = (kind: 'secret' | 'config', references: readonly FileReference[]) =>
    references.map((reference): FileReference => {
      const digest = digestOf(kind, reference.source);
      return digest === undefined ? reference : { ...reference, digest };
    });
  const filled = (container: ContainerSpec): ContainerSpec => ({ ...container, secrets: fill('secret', container.secrets), configs: fill('config', container.configs) });
  const { template } = service;
  return {
    ...service,
    template: { ...template, containers: template.containers.map(filled), ...(template.initContainers ? { initContainers: template.initContainers.map(filled) } : {}) },
  };
}
