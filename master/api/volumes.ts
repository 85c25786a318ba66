/** `/v1/volumes`, `/v1/secrets`, `/v1/configs`. */
import type { FastifyInstance } from 'fastify';
import type { FileObjectListItem, VolumeListItem } from '../../model/api.ts';
import { TsorchError } from '../../model/errors.ts';
import { containersOf, type FileObjectSpec } from '../../model/spec.ts';
import { isFinal } from '../../model/pod.ts';
import { commitAsLeader, type Context } from '../context.ts';
import { framesOf } from '../nodes/frames.ts';
import type { Maps } from '../world.ts';
import { fileObjectKey } from '../../model/assign.ts';
import { suggest } from './suggest.ts';

/** How long a removal waits for the pods that still use the volume. */
const waitMs = 60_000;

export function volumeRoutes(app: FastifyInstance, context: Context): void {
  const { world } = context;
  app.get('/v1/volumes', { schema: { summary: 'Named volumes and where they are' } }, async () => world.values('volumes').map((volume): VolumeListItem => ({
    name: volume.name, stack: volume.stack, driver: volume.driver, node: volume.node === null ? null : (world.get('nodes', volume.node)?.name ?? volume.node), usedBy: usersOf(world.maps, volume.name),
  })).sort((a, b) => a.name.localeCompare(b.name, 'en')));

  app.delete<{ Params: { name: string } }>('/v1/volumes/:name', { schema: { summary: 'Remove a volume and its data' } }, async (request) => {
    const { name } = request.params;
    if (!world.get('volumes', name)) throw new TsorchError('not-found', `there is no volume ${name}`, { hint: suggest(name, world.maps.volumes.keys()) ?? 'see tsorch volume ls' });
    const users = usersOf(world.maps, name);
    if (users.length > 0) throw new TsorchError('conflict', `volume ${name} is used by ${users.join(', ')}`, { hint: 'remove the service first' });
    await removeVolumes(context, [name]);
    return {};
  });

  for (const kind of ['secrets', 'configs'] as const) {
    app.get(`/v1/${kind}`, { schema: { summary: `Versions of ${kind} in use, without their contents` } }, async () => {
      const objects: ReadonlyMap<string, { readonly value: FileObjectSpec }> = world.maps[kind];
      return Array.from(objects, ([id, { value }]): FileObjectListItem => ({
        name: value.name, digest: value.digest ?? '', size: Buffer.byteLength(value.content ?? '', 'base64'), usedBy: fileUsers(world.maps, kind, id),
      })).sort((a, b) => a.name.localeCompare(b.name, 'en'));
    });
  }
}

/** Services whose pods mount the volume now. */
function usersOf(maps: Maps, volume: string): string[] {
  const users = new Set<string>();
  for (const { value: pod } of maps.pods.values()) {
    const status = maps.podstatus.get(pod.id)?.value;
    if (status && isFinal(status.phase)) continue;
    const spec = maps.revisions.get(`${pod.service}.${pod.revision}`)?.value.spec;
    if (spec && containersOf(spec.template).some((container) => container.mounts.some((mount) => mount.kind === 'volume' && mount.volume === volume))) users.add(pod.service);
  }
  return [...users].sort();
}

function fileUsers(maps: Maps, kind: 'secrets' | 'configs', key: string): string[] {
  const uses = (containers: readonly { readonly secrets: readonly { source: string; digest?: string }[]; readonly configs: readonly { source: string; digest?: string }[] }[]) =>
    containers.some((container) => container[kind].some((reference) => fileObjectKey(reference.source, reference.digest ?? '') === key));
  return Array.from(maps.services.values(), (entry) => entry.value).filter((service) => uses(containersOf(service.spec.template))).map((service) => service.id).sort();
}

/** Deletes data on the nodes, then the records. Waits for pods that still use them to be gone. */
export async function removeVolumes(context: Context, names: readonly string[]): Promise<void> {
  const { world, sessions, clock, signal } = context;
  const end = clock.monotonic() + waitMs;
  for (const name of names) {
    while (usersOf(world.maps, name).length > 0) {
      if (clock.monotonic() > end) throw new TsorchError('timeout', `volume ${name} is still used by pods of ${usersOf(world.maps, name).join(', ')}`, { hint: 'see tsorch ps -a' });
      await clock.sleep(50, signal);
    }
    const volume = world.get('volumes', name);
    if (volume?.node) {
      const stream = await sessions.openStream(volume.node, 'volume-rm', { name });
      for await (const frame of framesOf(stream)) {
        if (frame.$case === 'error') throw new TsorchError('conflict', `volume ${name}: ${frame.value.message}`);
        // The record goes only after the data.
        if (frame.$case === 'done') break;
      }
    }
    await commitAsLeader(context, [{ op: 'delete', kind: 'volumes', id: name }]);
  }
}
