/**
 * A volume of a host holds data on one node, and pods go where their data is. Pods of global services have a volume of that name
 * on every node instead; a file system of the network and volumes of a global driver are everywhere. What is moved or removed is nowhere.
 */
import type { FilterReason } from '../../../model/api.ts';
import type { Volume } from '../../../model/service.ts';
import { isNetworkMount, slotVolume } from '../../../model/volumes.ts';
import type { PodGroup } from '../group.ts';
import type { Room } from '../room.ts';
import { namesOf, type Filter } from './filter.ts';

/** Names of the volumes of the group's pods: those they share, and, once the group is split by homes, its first pod's own. */
function volumesOf(group: PodGroup): readonly string[] {
  return [...group.volumes, ...ownVolumes(group, group.pods[0]?.slot)];
}

/** The volumes that only the pod of this slot has. */
export function ownVolumes(group: PodGroup, slot: number | string | undefined): readonly string[] {
  return typeof slot === 'number' ? group.slotVolumes.map((volume) => slotVolume(volume, slot)) : [];
}

/** Shared volumes that are not on a node yet: the first pod that is placed chooses for all. */
export function freeVolumes(group: PodGroup, room: Room): readonly string[] {
  return group.volumes.filter((name) => isBound(name, group, room) && homeOf(name, room) === null);
}

/** The group has a volume of its own, or one that is bound to a node. */
export function hasHome(group: PodGroup, room: Room): boolean {
  return volumesOf(group).some((name) => isBound(name, group, room));
}

/** A pod has been placed: volumes of its that were nowhere are there from now on. */
export function bindVolumes(group: PodGroup, slot: number | string, node: number, room: Room): void {
  for (const name of [...group.volumes, ...ownVolumes(group, slot)]) if (isBound(name, group, room) && homeOf(name, room) === null) room.bindings.set(name, node);
}

/** The group in parts whose pods go to the same nodes for the sake of their own volumes. */
export function splitByHomes(group: PodGroup, room: Room): readonly PodGroup[] {
  if (group.slotVolumes.length === 0) return [group];
  const key = (slot: number | string) => ownVolumes(group, slot).map((name) => `${blocked(name, room) ?? ''}/${isBound(name, group, room) ? homeOf(name, room) : ''}`).join(' ');
  const parts = Map.groupBy(group.pods, (pod) => key(pod.slot));
  return parts.size === 1 ? [group] : Array.from(parts.values(), (pods) => ({ ...group, pods }));
}

/** The node a volume is bound to; null when it is free, -1 when that node is not known any more. */
function homeOf(name: string, room: Room): number | null {
  const bound = room.bindings.get(name);
  if (bound !== undefined) return bound;
  const id = room.state.volumes.get(name)?.node ?? null;
  return id === null ? null : (room.state.index.get(id) ?? -1);
}

export const volumes: Filter = {
  scope: 'service',
  prepare(group, room) {
    const names = volumesOf(group);
    if (names.length === 0) return null;
    if (names.some((name) => blocked(name, room) !== null)) return () => false;
    const homes = names.flatMap((name) => (isBound(name, group, room) ? (homeOf(name, room) ?? []) : []));
    if (homes.length === 0) return null;
    return (node) => homes.every((home) => home === node);
  },
  explain(group, room, nodes) {
    return volumesOf(group).flatMap((name): readonly FilterReason[] => {
      const block = blocked(name, room);
      if (block !== null) return [{ filter: 'volume', message: `${name} ${block}`, nodes: namesOf(room, nodes) }];
      const home = isBound(name, group, room) ? homeOf(name, room) : null;
      const excluded = nodes.filter((node) => node !== home);
      if (home === null || excluded.length === 0) return [];
      const place = home === -1 ? `on node ${room.state.volumes.get(name)?.node ?? ''}, which has left the cluster` : `on ${room.name(home)}`;
      return [{ filter: 'volume', message: `the data of ${name} is ${place}`, nodes: namesOf(room, excluded) }];
    });
  },
};

/** Why no pod may have it now, or null. */
function blocked(name: string, room: Room): string | null {
  const volume = room.state.volumes.get(name);
  if (volume?.removing) return 'is being removed';
  if (!volume?.move) return null;
  const nodeName = (id: string) => room.name(room.state.index.get(id) ?? -1) || id;
  return `moves from ${nodeName(volume.move.from)} to ${nodeName(volume.move.to)}`;
}

/** Whether its data is on one node. A slot's volume that was never made is as the one it is made after. */
function isBound(name: string, group: PodGroup, room: Room): boolean {
  if (group.global) return false;
  const volume = room.state.volumes.get(name) ?? room.state.volumes.get(name.slice(0, name.lastIndexOf('.')));
  return volume === undefined || isNodesOwn(volume, room);
}

function isNodesOwn({ driver, driverOpts }: Volume, room: Room): boolean {
  return driver === 'local' ? !isNetworkMount(driver, driverOpts) : room.state.driverScope(driver) === 'local';
}
