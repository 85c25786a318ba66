/** Every pod on the overlay needs an address of its node's subnet. */
import { countNodes } from '../../../model/constraint/explain.ts';
import { namesOf, type Filter } from './filter.ts';

export const addresses: Filter = {
  scope: 'room',
  prepare({ demand }, room) {
    return demand.address ? (node) => room.addressesUsed[node]! < room.state.addressCapacity[node]! : null;
  },
  explain(_group, room, nodes) {
    const [first] = nodes;
    const subnet = first === undefined ? '' : (room.state.views[first]?.node.subnet ?? '');
    const where = nodes.length === 1 ? `the subnet ${subnet} of ${room.name(first ?? 0)} has` : `the subnets of ${countNodes(namesOf(room, nodes))} have`;
    return [{ filter: 'address', message: `${where} no address left`, nodes: namesOf(room, nodes) }];
  },
};
