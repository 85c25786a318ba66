/**
 * A named volume holds data on one node, and pods go where their data is. Pods of global services have a volume of that name
 * on every node instead, and volumes that are a file system on the network are everywhere.
 */
import type { Volume } from '../../../model/service.ts';
import type { PodGroup } from '../group.ts';
import type { Room } from '../room.ts';
import { namesOf, type Filter } from './filter.ts';

const networkTypes: ReadonlySet<string> = new Set(['nfs', 'nfs4', 'cifs', 'smb3', 'ceph', 'glusterfs', '9p']);

/** Names of the group's volumes that are or will be bound to a node. */
export function localVolumes(group: PodGroup, room: Room): readonly string[] {
  if (group.global) return [];
  return group.volumes.filter((name) => isLocal(room.state.volumes.get(name)));
}

/** The node a volume is bound to; null when it is free, -1 when that node is not known any more. */
export function homeOf(name: string, room: Room): number | null {
  const bound = room.bindings.get(name);
  if (bound !== undefined) return bound;
  const id = room.state.volumes.get(name)?.node ?? null;
  return id === null ? null : (room.state.index.get(id) ?? -1);
}

export const volumes: Filter = {
  scope: 'service',
  prepare(group, room) {
    const homes = localVolumes(group, room).flatMap((name) => homeOf(name, room) ?? []);
    if (homes.length === 0) return null;
    return (node) => homes.every((home) => home === node);
  },
  explain(group, room, nodes) {
    return localVolumes(group, room).flatMap((name) => {
      const home = homeOf(name, room);
      const excluded = nodes.filter((node) => node !== home);
      if (home === null || excluded.length === 0) return [];
      const place = home === -1 ? `on node ${room.state.volumes.get(name)?.node ?? ''}, which has left the cluster` : `on ${room.name(home)}`;
      return [{ filter: 'volume', message: `the data of ${name} is ${place}`, nodes: namesOf(room, excluded) }];
    });
  },
};

function isLocal(volume: Volume | undefined): boolean {
  return volume === undefined || (volume.driver === 'local' && !networkTypes.has(volume.driverOpts['type'] ?? ''));
}
