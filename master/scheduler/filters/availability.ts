/** Paused nodes keep what they have, drained ones not even that; neither takes new pods. */
import { countNodes } from '../../../model/constraint/explain.ts';
import { namesOf, type Filter } from './filter.ts';

export const availability: Filter = {
  scope: 'node',
  prepare: (_group, room) => (node) => room.state.views[node]?.node.availability === 'active',
  explain(_group, room, nodes) {
    const parts: string[] = [];
    for (const [state, word] of [['drain', 'drained'], ['pause', 'paused']] as const) {
      const these = nodes.filter((node) => room.state.views[node]?.node.availability === state);
      if (these.length > 0) parts.push(`${countNodes(namesOf(room, these))} ${these.length === 1 ? 'is' : 'are'} ${word}`);
    }
    return [{ filter: 'availability', message: parts.join(', '), nodes: namesOf(room, nodes) }];
  },
};
