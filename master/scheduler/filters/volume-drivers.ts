/** Volumes that a plugin makes need a node on which it runs. */
import type { FilterReason } from '../../../model/api.ts';
import { countNodes } from '../../../model/constraint/explain.ts';
import type { PodGroup } from '../group.ts';
import type { Room } from '../room.ts';
import { namesOf, type Filter } from './filter.ts';

export const volumeDrivers: Filter = {
  scope: 'service',
  prepare(group, room) {
    const drivers = driversOf(group, room);
    return drivers.length === 0 ? null : (node) => drivers.every((driver) => room.state.hasDriver(node, driver));
  },
  explain(group, room, nodes, everyone) {
    return driversOf(group, room).flatMap((driver): readonly FilterReason[] => {
      const lacking = nodes.filter((node) => !room.state.hasDriver(node, driver));
      if (lacking.length === 0) return [];
      const nobody = everyone.every((node) => !room.state.hasDriver(node, driver));
      const message = nobody ? `no node has the volume driver ${driver}` : `${countNodes(namesOf(room, lacking))} ${lacking.length === 1 ? 'has' : 'have'} no volume driver ${driver}`;
      return [{ filter: 'volume driver', message, nodes: namesOf(room, lacking) }];
    });
  },
};

function driversOf(group: PodGroup, room: Room): readonly string[] {
  const drivers = new Set([...group.volumes, ...group.slotVolumes].map((name) => room.state.volumes.get(name)?.driver ?? 'local'));
  drivers.delete('local');
  return [...drivers].sort();
}
