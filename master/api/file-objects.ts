/** `/v1/secrets`, `/v1/configs`. */
import type { FastifyInstance } from 'fastify';
import type { FileObjectListItem } from '../../model/api.ts';
import { fileObjectKey } from '../../model/assign.ts';
import { containersOf, type FileObjectSpec } from '../../model/spec.ts';
import type { Context } from '../context.ts';
import type { Maps } from '../world.ts';

export function fileObjectRoutes(app: FastifyInstance, { world }: Context): void {
  for (const kind of ['secrets', 'configs'] as const) {
    app.get(`/v1/${kind}`, { schema: { summary: `Versions of ${kind} in use, without their contents` } }, async () => {
      const objects: ReadonlyMap<string, { readonly value: FileObjectSpec }> = world.maps[kind];
      return Array.from(objects, ([id, { value }]): FileObjectListItem => ({
        name: value.name, digest: value.digest ?? '', size: Buffer.byteLength(value.content ?? '', 'base64'), usedBy: fileUsers(world.maps, kind, id),
      })).sort((a, b) => a.name.localeCompare(b.name, 'en'));
    });
  }
}

function fileUsers(maps: Maps, kind: 'secrets' | 'configs', key: string): string[] {
  const uses = (containers: readonly { readonly secrets: readonly { source: string; digest?: string }[]; readonly configs: readonly { source: string; digest?: string }[] }[]) =>
    containers.some((container) => container[kind].some((reference) => fileObjectKey(reference.source, reference.digest ?? '') === key));
  return Array.from(maps.services.values(), (entry) => entry.value).filter((service) => uses(containersOf(service.spec.template))).map((service) => service.id).sort();
}
