/** `/v1/secrets`, `/v1/configs`. */
import type { FastifyInstance } from 'fastify';
import type { FileObjectListItem } from '../../model/api.ts';
import { fileObjectKey } from '../../model/assign.ts';
import { containersOf, type FileObjectSpec } from '../../model/spec.ts';
import { TsorchError } from '../../model/errors.ts';
import { commitAsLeader, type Context } from '../context.ts';
import { usedFiles } from '../controllers/collect.ts';
import type { Maps } from '../world.ts';
import { suggest } from './suggest.ts';

export function fileObjectRoutes(app: FastifyInstance, context: Context): void {
  const { world } = context;
  for (const kind of ['secrets', 'configs'] as const) {
    app.get(`/v1/${kind}`, { schema: { summary: `Versions of ${kind} in use, without their contents` } }, async () => {
      const objects: ReadonlyMap<string, { readonly value: FileObjectSpec }> = world.maps[kind];
      return Array.from(objects, ([id, { value }]): FileObjectListItem => ({
        name: value.name, digest: value.digest ?? '', size: Buffer.byteLength(value.content ?? '', 'base64'), usedBy: fileUsers(world.maps, kind, id), labels: value.labels,
      })).sort((a, b) => a.name.localeCompare(b.name, 'en'));
    });

    app.delete<{ Params: { name: string } }>(`/v1/${kind}/:name`, { schema: { summary: `Remove all versions of one of the ${kind} that nothing uses` } }, async ({ params: { name } }) => {
      const objects: ReadonlyMap<string, { readonly value: FileObjectSpec; readonly revision: number }> = world.maps[kind];
      const found = [...objects].filter(([, { value }]) => value.name === name);
      const what = `${kind.slice(0, -1)} ${name}`;
      if (found.length === 0) throw new TsorchError('not-found', `there is no ${what}`, { hint: suggest(name, Array.from(objects.values(), ({ value }) => value.name)) ?? `see tsorch ${kind.slice(0, -1)} ls` });
      const users = new Set(found.flatMap(([id]) => fileUsers(world.maps, kind, id)));
      if (users.size > 0) throw new TsorchError('conflict', `${what} is in use by ${[...users].join(', ')}`, { hint: 'take it out of their stack file and apply that' });
      const needed = usedFiles(world.maps);
      if (found.some(([id]) => needed.has(id))) throw new TsorchError('conflict', `${what} is kept for pods that still run, or for going back to a version that has it`, { hint: 'it goes by itself with the last of them' });
      await commitAsLeader(context, found.map(([id, { revision }]) => ({ op: 'delete', kind, id, guard: revision })));
      return {};
    });
  }
}

function fileUsers(maps: Maps, kind: 'secrets' | 'configs', key: string): string[] {
  const uses = (containers: readonly { readonly secrets: readonly { source: string; digest?: string }[]; readonly configs: readonly { source: string; digest?: string }[] }[]) =>
    containers.some((container) => container[kind].some((reference) => fileObjectKey(reference.source, reference.digest ?? '') === key));
  return Array.from(maps.services.values(), (entry) => entry.value).filter((service) => uses(containersOf(service.spec.template))).map((service) => service.id).sort();
}
