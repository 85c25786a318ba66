/** Which named volumes a pod has. */
import type { MountSpec, PodTemplate } from './spec.ts';

type VolumeMount = Extract<MountSpec, { kind: 'volume' }>;

/** The cluster-wide name of what a mount shows to the pod of a slot; undefined for an anonymous volume. */
export function volumeName(mount: VolumeMount, slot: number | string): string | undefined {
  // A global service has a volume of that name on every node as it is.
  return mount.volume !== undefined && mount.perReplica === true && typeof slot === 'number' ? slotVolume(mount.volume, slot) : mount.volume;
}

export function slotVolume(volume: string, slot: number): string {
  return `${volume}.${slot}`;
}

/** Names of the volumes that the pod of a slot mounts, init containers' too, sorted, each once. */
export function volumesOf(template: PodTemplate, slot: number | string): readonly string[] {
  return sortedNames(volumeMounts(template).flatMap((mount) => volumeName(mount, slot) ?? []));
}

/** The volumes that all pods of the template share, and those of which each slot has its own. */
export function volumesByKind(template: PodTemplate): { readonly shared: readonly string[]; readonly perReplica: readonly string[] } {
  const mounts = volumeMounts(template);
  const names = (wanted: boolean) => sortedNames(mounts.flatMap((mount) => (mount.volume !== undefined && (mount.perReplica === true) === wanted ? [mount.volume] : [])));
  return { shared: names(false), perReplica: names(true) };
}

function volumeMounts({ containers, initContainers = [] }: PodTemplate): readonly VolumeMount[] {
  return [...initContainers, ...containers].flatMap((container) => container.mounts.filter((mount) => mount.kind === 'volume'));
}

function sortedNames(names: readonly string[]): readonly string[] {
  return names.length > 1 ? [...new Set(names)].sort() : names;
}
