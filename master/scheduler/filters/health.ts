/** Only nodes with a session take new pods. */
import { countNodes } from '../../../model/constraint/explain.ts';
import { namesOf, type Filter } from './filter.ts';

export const health: Filter = {
  scope: 'node',
  prepare: (_group, room) => (node) => room.state.views[node]?.state === 'ready',
  explain(_group, room, nodes) {
    const silent = nodes.filter((node) => room.state.views[node]?.state === 'unknown');
    const down = nodes.filter((node) => !silent.includes(node));
    const parts = [
      ...(down.length > 0 ? [`${countNodes(namesOf(room, down))} ${down.length === 1 ? 'is' : 'are'} down`] : []),
      ...(silent.length > 0 ? [`${countNodes(namesOf(room, silent))} ${silent.length === 1 ? 'has' : 'have'} lost the connection to the master`] : []),
    ];
    return [{ filter: 'health', message: parts.join(', '), nodes: namesOf(room, nodes) }];
  },
};
