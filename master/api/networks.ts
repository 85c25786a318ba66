/** `/v1/networks`: the user-defined networks there are. */
import type { FastifyInstance } from 'fastify';
import type { NetworkListItem } from '../../model/api.ts';
import { networksOf } from '../../model/spec.ts';
import type { Context } from '../context.ts';
import type { Maps } from '../world.ts';

export function networkRoutes(app: FastifyInstance, { world }: Context): void {
  app.get('/v1/networks', { schema: { summary: 'Networks, with their labels and who is on them' } }, async () => {
    const users = usersByNetwork(world.maps);
    return Array.from(world.maps.networks.values(), ({ value }): NetworkListItem => ({
      name: value.name, stack: value.stack, internal: value.internal, labels: value.labels, usedBy: users.get(value.name) ?? [],
    })).sort((a, b) => a.name.localeCompare(b.name, 'en'));
  });
}

function usersByNetwork(maps: Maps): ReadonlyMap<string, readonly string[]> {
  const users = new Map<string, string[]>();
  for (const { value: service } of maps.services.values()) {
    for (const network of networksOf(service.spec)) users.set(network, [...(users.get(network) ?? []), service.id].sort());
  }
  return users;
}
