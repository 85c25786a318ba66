/** Who uses a volume: pure. */
import { isFinal, type Pod } from '../../model/pod.ts';
import type { ServiceSpec } from '../../model/spec.ts';
import type { Volume } from '../../model/service.ts';
import { volumesByKind, volumesOf } from '../../model/volumes.ts';
import type { Maps } from '../world.ts';

/** Pods that have it, or may have it: those that have not ended. */
export function podsWith(maps: Maps, volume: string): readonly Pod[] {
  return Array.from(maps.pods.values(), (entry) => entry.value).filter((pod) => {
    const status = maps.podstatus.get(pod.id)?.value;
    if (status && isFinal(status.phase)) return false;
    const spec = maps.revisions.get(`${pod.service}.${pod.revision}`)?.value.spec;
    return spec !== undefined && volumesOf(spec.template, pod.slot).includes(volume);
  });
}

/** Ids of services that use it: by a pod, or because they want one that would mount it. */
export function usersOf(maps: Maps, volume: string): readonly string[] {
  const users = new Set(podsWith(maps, volume).map((pod) => pod.service));
  for (const { value: service } of maps.services.values()) if (wants(service.spec, maps.volumes.get(volume)?.value, volume)) users.add(service.id);
  return [...users].sort();
}

/** Ids of services whose spec speaks of it, though they may want no pod now. */
export function mentionsOf(maps: Maps, volume: string): readonly string[] {
  const own = maps.volumes.get(volume)?.value.slotOf?.volume;
  const mentions = (spec: ServiceSpec) => {
    const { shared, perReplica } = volumesByKind(spec.template);
    return shared.includes(volume) || perReplica.includes(volume) || (own !== undefined && perReplica.includes(own));
  };
  return Array.from(maps.services.values(), (entry) => entry.value).filter(({ spec }) => mentions(spec)).map(({ id }) => id).sort();
}

function wants({ mode, template }: ServiceSpec, volume: Volume | undefined, name: string): boolean {
  const { shared, perReplica } = volumesByKind(template);
  switch (mode.kind) {
    case 'replicated': return mode.replicas > 0 && (shared.includes(name) || (volume?.slotOf !== undefined && perReplica.includes(volume.slotOf.volume) && volume.slotOf.slot <= mode.replicas));
    case 'global': return shared.includes(name) || perReplica.includes(name);
    // A job that is done wants nothing; one that runs has pods.
    case 'replicated-job':
    case 'global-job': return false;
  }
}
