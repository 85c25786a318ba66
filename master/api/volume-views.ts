/** Volumes as the API shows them: pure. */
import type { VolumeDetail, VolumeListItem } from '../../model/api.ts';
import { podName } from '../../model/pod.ts';
import type { Volume } from '../../model/service.ts';
import { containersOf } from '../../model/spec.ts';
import { volumeName } from '../../model/volumes.ts';
import { podsWith, usersOf } from '../volumes/users.ts';
import type { Maps } from '../world.ts';

export function volumeItem(maps: Maps, volume: Volume): VolumeListItem {
  return {
    name: volume.name, stack: volume.stack, driver: volume.driver, node: volume.node === null ? null : nodeName(maps, volume.node), usedBy: usersOf(maps, volume.name),
    nodes: (volume.nodes ?? []).map((node) => nodeName(maps, node)).sort(), labels: volume.labels, state: volume.removing ? 'removing' : volume.move ? 'moving' : 'ready',
    createdAt: volume.createdAt ?? null, ...(volume.slotOf ? { slotOf: volume.slotOf } : {}),
  };
}

export function mountsOf(maps: Maps, volume: string): VolumeDetail['mounts'] {
  return podsWith(maps, volume).flatMap((pod) => {
    const spec = maps.revisions.get(`${pod.service}.${pod.revision}`)?.value.spec;
    const slot = typeof pod.slot === 'string' ? nodeName(maps, pod.slot) : pod.slot;
    return (spec ? containersOf(spec.template) : []).flatMap((container) => container.mounts.flatMap((mount) =>
      (mount.kind === 'volume' && volumeName(mount, pod.slot) === volume
        ? [{ pod: podName(pod.service, slot), podId: pod.id, node: pod.node === null ? null : nodeName(maps, pod.node), container: container.name, target: mount.target, readOnly: mount.readOnly }]
        : [])));
  });
}

export function nodeName(maps: Maps, id: string): string {
  return maps.nodes.get(id)?.value.name ?? id;
}
