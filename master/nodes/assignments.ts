/** What an agent needs to run a pod, gathered from the store's maps: pure. */
import { fileObjectKey, makeAssignment } from '../../model/assign.ts';
import type { Assignment } from '../../model/assignment.ts';
import type { Pod } from '../../model/pod.ts';
import type { Maps } from '../world.ts';

/** Null while something it refers to is not in the maps (yet): the next change brings it up again. */
export function buildAssignment(maps: Maps, pod: Pod): Assignment | null {
  const spec = maps.revisions.get(`${pod.service}.${pod.revision}`)?.value.spec;
  if (!spec) return null;
  return makeAssignment(pod, spec, {
    content: (kind, { source, digest }) => (kind === 'secret' ? maps.secrets : maps.configs).get(fileObjectKey(source, digest ?? ''))?.value.content,
    volume: (name) => {
      const volume = maps.volumes.get(name)?.value;
      return volume && { driver: volume.driver, driverOpts: volume.driverOpts };
    },
    ports: maps.servicestatus.get(pod.service)?.value.ports ?? [],
  });
}
