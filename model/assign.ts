/** From a pod and its service's spec to all it takes to run it. Whoever decides over pods, a master or a host's own manifests, does it with this. */
import type { Assignment } from './assignment.ts';
import type { Pod } from './pod.ts';
import type { AllocatedPort } from './service.ts';
import { containersOf, networksOf, type ContainerSpec, type FileReference, type ServiceSpec } from './spec.ts';

export interface AssignSources {
  /** base64; undefined while it is not known. */
  readonly content: (kind: 'secret' | 'config', reference: FileReference) => string | undefined;
  /** By the volume's name outside of its stack. */
  readonly volume: (name: string) => Assignment['volumes'][string] | undefined;
  /** Of the service. */
  readonly ports: readonly AllocatedPort[];
}

/** Null while a secret or config it mounts is not known (yet). */
export function makeAssignment(pod: Pod, spec: ServiceSpec, { content, volume, ports }: AssignSources): Assignment | null {
  const files: Assignment['files'][number][] = [];
  const volumes: Record<string, Assignment['volumes'][string]> = {};
  for (const container of containersOf(spec.template)) {
    for (const [kind, references] of [['secret', container.secrets], ['config', container.configs]] as const) {
      for (const reference of references) {
        const known = content(kind, reference);
        if (known === undefined) return null;
        files.push({ reference, kind, container: container.name, content: known });
      }
    }
    for (const mount of container.mounts) {
      if (mount.kind !== 'volume' || mount.volume === undefined) continue;
      volumes[mount.volume] = volume(mount.volume) ?? { driver: 'local', driverOpts: {} };
    }
  }
  return {
    pod, template: spec.template, serviceName: spec.name, labels: spec.labels, networks: networksOf(spec), volumes, files,
    hostPorts: ports.filter((port) => port.mode === 'host').map(({ target, published, protocol, hostIp }) =>
      ({ target, published, protocol, ...(hostIp === undefined ? {} : { hostIp }) })),
  };
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
