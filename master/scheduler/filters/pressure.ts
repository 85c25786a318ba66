/** A node whose disk is nearly full keeps what it has and takes no new pods: their images and logs would fill it. */
import { countNodes } from '../../../model/constraint/explain.ts';
import { namesOf, type Filter } from './filter.ts';

export const pressure: Filter = {
  scope: 'node',
  prepare: (_group, room) => (node) => (room.state.views[node]?.status?.pressure ?? []).length === 0,
  explain: (_group, room, nodes) => [{ filter: 'pressure', message: `${countNodes(namesOf(room, nodes))} ${nodes.length === 1 ? 'is' : 'are'} short of disk`, nodes: namesOf(room, nodes) }],
};
