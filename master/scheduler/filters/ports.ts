/** Ports published on the pod's own host. Ingress ports answer on every node and take none of them from pods. */
import type { FilterReason } from '../../../model/api.ts';
import { countNodes } from '../../../model/constraint/explain.ts';
import { portsClash } from '../demand.ts';
import { namesOf, type Filter } from './filter.ts';

export const hostPorts: Filter = {
  scope: 'room',
  prepare({ demand }, room) {
    if (demand.hostPorts.length === 0) return null;
    return (node) => demand.hostPorts.every((port) => !room.portHolders(port.key, node).some((holder) => portsClash(holder.ip, port.ip)));
  },
  explain({ demand }, room, nodes) {
    return demand.hostPorts.flatMap((port): FilterReason[] => {
      const holdersOn = (node: number) => room.portHolders(port.key, node).filter((holder) => portsClash(holder.ip, port.ip));
      const taken = nodes.filter((node) => holdersOn(node).length > 0);
      if (taken.length === 0) return [];
      const services = [...new Set(taken.flatMap((node) => holdersOn(node).map((holder) => holder.service)))].sort();
      return [{ filter: 'host port', message: `port ${port.key} is taken on ${countNodes(namesOf(room, taken))} by ${services.slice(0, 3).join(', ')}`, nodes: namesOf(room, taken) }];
    });
  },
};
