/** What other stacks refer to as external, and what they say of names within one. */
import { expect } from 'vitest';
import type { StackListItem } from '../../../model/api.ts';
import type { Theme } from './row.ts';

export const shared: Theme = {
  name: 'k-shared',
  first: true,
  top: `
    volumes: { lent: { name: k-shared_lent } }
    networks: { meeting: { name: k-meeting } }
    secrets: { lent: { name: k-shared-secrets, content: "from another stack\\n" } }
    configs: { lent: { name: k-shared-configs, content: "from another stack\\n" } }`,
  rows: [
    {
      keys: ['name'], name: 'lender', service: 'volumes: ["lent:/lent"]\nnetworks: [meeting]\nsecrets: [lent]\nconfigs: [lent]',
      see: async (seen) => expect((await seen.cluster.json<StackListItem[]>(['ls'])).map(({ name }) => name)).toContain('k-shared'),
    },
  ],
};
