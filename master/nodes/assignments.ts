/** What an agent needs to run a pod, gathered from the store's maps: pure. */
import { fileObjectKey, makeAssignment } from '../../model/assign.ts';
import type { Assignment } from '../../model/assignment.ts';
import type { Pod } from '../../model/pod.ts';
import { registryKey } from '../../model/registry.ts';
import type { FileObjectSpec, FileReference } from '../../model/spec.ts';
import type { Maps } from '../world.ts';

/** Null while something it refers to is not in the maps (yet): the next change brings it up again. */
export function buildAssignment(maps: Maps, pod: Pod): Assignment | null {
  const spec = maps.revisions.get(`${pod.service}.${pod.revision}`)?.value.spec;
  if (!spec) return null;
  return makeAssignment(pod, spec, {
    content: (kind, reference) => objectOf(maps, kind, reference)?.content,
    isTemplate: (kind, reference) => objectOf(maps, kind, reference)?.template !== undefined,
    volume: (name) => {
      const volume = maps.volumes.get(name)?.value;
      return volume && { driver: volume.driver, driverOpts: volume.driverOpts };
    },
    node: nodeFacts(maps, pod.node),
    auth: (registry) => maps.registries.get(registryKey(pod.stack, registry))?.value.auth,
    ports: maps.servicestatus.get(pod.service)?.value.ports ?? [],
  });
}

function objectOf(maps: Maps, kind: 'secret' | 'config', { source, digest }: FileReference): FileObjectSpec | undefined {
  return (kind === 'secret' ? maps.secrets : maps.configs).get(fileObjectKey(source, digest ?? ''))?.value;
}

function nodeFacts(maps: Maps, id: string | null): { readonly hostname: string; readonly os: string; readonly arch: string } | undefined {
  const node = id === null ? undefined : maps.nodes.get(id)?.value;
  const status = id === null ? undefined : maps.nodestatus.get(id)?.value;
  return node && { hostname: node.name, os: status?.os ?? '', arch: status?.arch ?? '' };
}
