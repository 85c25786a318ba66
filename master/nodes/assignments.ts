/** What an agent needs to run a pod, gathered from the store's maps: pure. */
import type { Assignment } from '../../model/assignment.ts';
import type { Pod } from '../../model/pod.ts';
import { containersOf } from '../../model/spec.ts';
import { networksOf } from '../table/build.ts';
import type { Maps } from '../world.ts';

/** Null while something it refers to is not in the maps (yet): the next change brings it up again. */
export function buildAssignment(maps: Maps, pod: Pod): Assignment | null {
  const spec = maps.revisions.get(`${pod.service}.${pod.revision}`)?.value.spec;
  if (!spec) return null;
  const files: Assignment['files'][number][] = [];
  const volumes: Record<string, Assignment['volumes'][string]> = {};
  for (const container of containersOf(spec.template)) {
    for (const [kind, references] of [['secret', container.secrets], ['config', container.configs]] as const) {
      for (const reference of references) {
        const map = kind === 'secret' ? maps.secrets : maps.configs;
        const object = map.get(fileObjectKey(reference.source, reference.digest ?? ''))?.value;
        if (object?.content === undefined) return null;
        files.push({ reference, kind, container: container.name, content: object.content });
      }
    }
    for (const mount of container.mounts) {
      if (mount.kind !== 'volume' || mount.volume === undefined) continue;
      const volume = maps.volumes.get(mount.volume)?.value;
      volumes[mount.volume] = { driver: volume?.driver ?? 'local', driverOpts: volume?.driverOpts ?? {} };
    }
  }
  const ports = maps.servicestatus.get(pod.service)?.value.ports ?? [];
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
