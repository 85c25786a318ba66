/** `/v1/volumes`: what there is, making, removing and moving it. */
import { randomBytes } from 'node:crypto';
import type { FastifyInstance } from 'fastify';
import Type from 'typebox';
import type { VolumeCreateRequest, VolumeDetail, VolumeListItem, VolumeMoveEvent, VolumeMoveRequest, VolumePruneRequest, VolumePruneResult } from '../../model/api.ts';
import { canonical } from '../../model/canonical.ts';
import { isCode, TsorchError } from '../../model/errors.ts';
import type { Volume } from '../../model/service.ts';
import { driverName, localOptionsProblem } from '../../model/volumes.ts';
import { commitAsLeader, type Context } from '../context.ts';
import type { Planner } from '../controllers/planner.ts';
import { checkMove } from '../volumes/check-move.ts';
import { ask } from '../volumes/nodes.ts';
import { placesOf, takenBack } from '../volumes/steps.ts';
import { mentionsOf, podsWith, usersOf } from '../volumes/users.ts';
import type { VolumeWork } from '../volumes/work.ts';
import { startLines, type Out } from './stream.ts';
import { suggest } from './suggest.ts';
import { findNode } from './targets.ts';
import { mountsOf, nodeName, volumeItem } from './volume-views.ts';

/** How long a removal waits for the pods that still use the volume, and for the nodes that have it. */
const waitMs = 60_000;

const texts = Type.Record(Type.String({ minLength: 1, maxLength: 256 }), Type.String({ maxLength: 4096 }));
const name = Type.String({ pattern: '^[a-zA-Z0-9][a-zA-Z0-9_.-]*$', maxLength: 128 });
const createBody = Type.Object({ name: Type.Optional(name), driver: Type.Optional(Type.String({ maxLength: 128 })), driverOpts: Type.Optional(texts), labels: Type.Optional(texts), node: Type.Optional(Type.String()) }, { additionalProperties: false });
const pruneBody = Type.Object({ labels: Type.Optional(Type.Record(Type.String(), Type.Union([Type.String(), Type.Null()]))), dryRun: Type.Optional(Type.Boolean()) }, { additionalProperties: false });
const moveBody = Type.Object({ volumes: Type.Array(Type.String(), { minItems: 1, maxItems: 100 }), node: Type.String() }, { additionalProperties: false });
type Name = { Params: { name: string } };

export function volumeRoutes(app: FastifyInstance, context: Context, planner: Planner, work: VolumeWork): void {
  const { world } = context;
  const { maps } = world;

  app.get<{ Querystring: { size?: string } }>('/v1/volumes', { schema: { querystring: Type.Object({ size: Type.Optional(Type.String()) }), summary: 'Named volumes and where they are' } }, async (request) => {
    const items = world.values('volumes').map((volume) => volumeItem(maps, volume)).sort((a, b) => a.name.localeCompare(b.name, 'en', { numeric: true }));
    if (request.query.size !== 'true') return items;
    return await Promise.all(items.map(async (item): Promise<VolumeListItem> => ({ ...item, size: sum(await usageOf(context, item.name)) })));
  });

  app.get<Name>('/v1/volumes/:name', { schema: { summary: 'A volume: what it takes, who mounts it, where it moves' } }, async (request): Promise<VolumeDetail> => {
    const volume = find(context, request.params.name);
    const progress = work.progress.get(volume.name);
    return {
      ...volumeItem(maps, volume), driverOpts: volume.driverOpts, usage: await usageOf(context, volume.name), mounts: mountsOf(maps, volume.name), message: work.waits.get(volume.name) ?? '',
      move: volume.move ? { from: nodeName(maps, volume.move.from), to: nodeName(maps, volume.move.to), phase: progress?.phase ?? volume.move.phase, bytes: progress?.bytes ?? 0, total: progress?.total ?? null } : null,
    };
  });

  app.post<{ Body: VolumeCreateRequest }>('/v1/volumes', { schema: { body: createBody, summary: 'Make a volume' } }, async (request) => volumeItem(maps, await create(context, planner, request.body)));

  app.delete<Name & { Querystring: { force?: string } }>('/v1/volumes/:name', { schema: { querystring: Type.Object({ force: Type.Optional(Type.String()) }), summary: 'Remove a volume and its data' } }, async (request) => {
    const volume = find(context, request.params.name);
    const users = usersOf(maps, volume.name);
    if (users.length > 0) throw new TsorchError('conflict', `volume ${volume.name} is used by ${users.join(', ')}`, { hint: 'remove the service, or scale it to 0, first' });
    await removeAll(context, work, [volume.name], request.query.force === 'true');
    return {};
  });

  app.post<{ Body: VolumePruneRequest }>('/v1/volumes/prune', { schema: { body: pruneBody, summary: 'Remove the volumes that no service speaks of' } }, async (request) => prune(context, work, request.body));

  app.post<{ Body: VolumeMoveRequest }>('/v1/volumes/move', { schema: { body: moveBody, summary: 'Move volumes to another node; answers JSON lines' } }, async (request, reply) => {
    request.raw.socket.setTimeout(0);
    const id = await beginMove(context, planner, request.body);
    const out = startLines(reply);
    await follow(context, work, request.body.volumes, id, out);
    out.end();
  });
}

function find(context: Context, wanted: string): Volume {
  const volume = context.world.get('volumes', wanted);
  if (!volume) throw new TsorchError('not-found', `there is no volume ${wanted}`, { hint: suggest(wanted, context.world.maps.volumes.keys()) ?? 'see tsorch volume ls' });
  return volume;
}

async function create(context: Context, planner: Planner, wanted: VolumeCreateRequest): Promise<Volume> {
  const { world, sessions, clock } = context;
  const driver = driverName(wanted.driver ?? 'local');
  if (driver === null) throw new TsorchError('invalid', `${JSON.stringify(wanted.driver)} is no name of a volume driver`, { path: 'driver' });
  const driverOpts = wanted.driverOpts ?? {};
  const problem = driver === 'local' ? localOptionsProblem(driverOpts) : null;
  if (problem) throw new TsorchError('invalid', problem.message, { path: 'driverOpts', hint: problem.hint });
  const volumeId = wanted.name ?? randomBytes(32).toString('hex');
  const asked = wanted.node === undefined ? null : findNode(world.maps, wanted.node);
  const known = world.get('volumes', volumeId);
  if (known) {
    if (known.driver !== driver || canonical(known.driverOpts) !== canonical(driverOpts) || (asked && known.node !== asked.id)) throw new TsorchError('conflict', `there is a volume ${volumeId} already, and it is another one`, { hint: `see tsorch volume inspect ${volumeId}` });
    return known;
  }
  // A plugin makes it now, so that what it has to say is said to whoever asked.
  const maker = asked?.id ?? (driver === 'local' ? null : (world.values('nodes').find((node) => sessions.has(node.id) && world.get('nodestatus', node.id)?.volumeDrivers?.some((each) => each.name === driver))?.id ?? null));
  if (driver !== 'local' && maker === null) throw new TsorchError('unavailable', `no node has the volume driver ${driver}`, { hint: 'start its plugin on one' });
  if (maker !== null && !sessions.has(maker)) throw new TsorchError('unavailable', `${nodeName(world.maps, maker)} is not connected`, { hint: 'see tsorch nodes' });
  const everywhere = driver !== 'local' && planner.state.driverScope(driver) === 'global';
  const volume: Volume = {
    name: volumeId, stack: null, driver, driverOpts, labels: wanted.labels ?? {}, node: everywhere ? null : maker, createdAt: clock.now(), ...(everywhere && maker !== null ? { nodes: [maker] } : {}),
  };
  await commitAsLeader(context, [{ op: 'put', kind: 'volumes', id: volumeId, value: volume, guard: 0 }]);
  if (maker !== null) {
    try {
      await ask(context, maker, 'volume-create', { name: volumeId, driver, driverOpts });
    } catch (error) {
      const entry = world.entry('volumes', volumeId);
      if (entry) await commitAsLeader(context, [{ op: 'delete', kind: 'volumes', id: volumeId, guard: entry.revision }]);
      throw error;
    }
  }
  context.events.add(`volume/${volumeId}`, maker === null ? 'created' : `created on ${nodeName(world.maps, maker)}`);
  return volume;
}

/** For `rm --volumes`: waits for the pods that have them to end. */
export async function removeVolumes(context: Context, work: VolumeWork, names: readonly string[]): Promise<void> {
  const { world, clock, signal } = context;
  const end = clock.monotonic() + waitMs;
  for (const each of names) {
    while (podsWith(world.maps, each).length > 0) {
      if (clock.monotonic() > end) throw new TsorchError('timeout', `volume ${each} is still used by pods of ${usersOf(world.maps, each).join(', ')}`, { hint: 'see tsorch ps -a' });
      await clock.sleep(50, signal);
    }
  }
  await removeAll(context, work, names, false);
}

/** Marks them, and waits until the leader's work has removed data and records. */
async function removeAll(context: Context, work: VolumeWork, names: readonly string[], force: boolean): Promise<void> {
  const { world, clock, sessions, signal } = context;
  for (const each of names) {
    const entry = world.entry('volumes', each);
    if (!entry) continue;
    const { value } = entry;
    if (value.move) throw new TsorchError('conflict', `volume ${each} is being moved to ${nodeName(world.maps, value.move.to)}`, { hint: 'wait until it is there' });
    const away = placesOf(value).find((node) => world.maps.nodes.has(node) && !sessions.has(node));
    if (away !== undefined && !force) throw new TsorchError('unavailable', `${nodeName(world.maps, away)}, which has data of volume ${each}, is not connected`, { hint: 'wait for it, or give up what it has with --force' });
    work.failures.delete(`removing ${each}`);
    await commitAsLeader(context, [{ op: 'put', kind: 'volumes', id: each, value: { ...value, removing: force ? 'forced' : 'asked' }, guard: entry.revision }]);
  }
  const end = clock.monotonic() + waitMs;
  for (const each of names) {
    while (world.get('volumes', each) !== undefined) {
      if (!world.get('volumes', each)?.removing) throw new TsorchError('conflict', `volume ${each} was not removed: ${work.failures.get(`removing ${each}`) ?? 'it came into use'}`);
      if (clock.monotonic() > end) throw new TsorchError('timeout', `volume ${each} is still being removed${work.waits.has(each) ? `: ${work.waits.get(each)}` : ''}`, { hint: 'it goes on; see tsorch volume ls' });
      await clock.sleep(20, signal);
    }
  }
}

async function prune(context: Context, work: VolumeWork, { labels = {}, dryRun = false }: VolumePruneRequest): Promise<VolumePruneResult> {
  const { world, sessions } = context;
  const matches = (volume: Volume) => Object.entries(labels).every(([key, value]) => (value === null ? key in volume.labels : volume.labels[key] === value));
  const unused = world.values('volumes').filter((volume) => !volume.removing && !volume.move && matches(volume) && usersOf(world.maps, volume.name).length === 0 && mentionsOf(world.maps, volume.name).length === 0);
  const volumes: VolumePruneResult['volumes'][number][] = [];
  const kept: VolumePruneResult['kept'][number][] = [];
  for (const volume of unused.sort((a, b) => (a.name < b.name ? -1 : 1))) {
    const away = placesOf(volume).find((node) => world.maps.nodes.has(node) && !sessions.has(node));
    const bytes = sum(await usageOf(context, volume.name));
    try {
      if (away !== undefined) throw new TsorchError('unavailable', `${nodeName(world.maps, away)} is not connected`);
      if (!dryRun) await removeAll(context, work, [volume.name], false);
      volumes.push({ name: volume.name, bytes });
    } catch (error) {
      if (!(error instanceof TsorchError)) throw error;
      kept.push({ name: volume.name, why: error.message });
    }
  }
  return { volumes, kept, bytes: volumes.reduce((all, { bytes }) => all + (bytes ?? 0), 0) };
}

/** The move's id; null when there is nothing to wait for. */
async function beginMove(context: Context, planner: Planner, { volumes: names, node }: VolumeMoveRequest): Promise<string | null> {
  const { world, sessions } = context;
  const to = findNode(world.maps, node);
  const volumes = [...new Set(names)].map((each) => find(context, each));
  const [first] = volumes;
  // To where it comes from: it is called back.
  if (first?.move && volumes.every((volume) => volume.move?.id === first.move?.id && volume.node === to.id)) {
    await commitAsLeader(context, volumes.map((volume) => ({ op: 'put', kind: 'volumes', id: volume.name, value: takenBack(volume), guard: world.entry('volumes', volume.name)?.revision ?? 0 })));
    return null;
  }
  // Asked for again: it is shown once more.
  if (first?.move && volumes.every((volume) => volume.move?.id === first.move?.id && volume.move?.to === to.id)) return first.move.id;
  const moving = volumes.filter((volume) => volume.node !== to.id);
  checkMove({ maps: world.maps, state: planner.state, volumes: moving, to, connected: (id) => sessions.has(id) });
  const id = randomBytes(6).toString('hex');
  await commitAsLeader(context, moving.map((volume) => ({
    op: 'put', kind: 'volumes', id: volume.name, guard: world.entry('volumes', volume.name)?.revision ?? 0,
    value: volume.node === null ? { ...volume, node: to.id } : { ...volume, move: { id, from: volume.node, to: to.id, phase: 'stopping' } },
  })));
  for (const volume of moving) context.events.add(`volume/${volume.name}`, volume.node === null ? `is to be on ${to.name}` : `moves from ${nodeName(world.maps, volume.node)} to ${to.name}`);
  return id;
}

/** Tells how far they are until the move is over. Who stops listening does not stop the move. */
async function follow(context: Context, work: VolumeWork, names: readonly string[], id: string | null, out: Out): Promise<void> {
  const { world, signal } = context;
  const said = new Map<string, string>();
  const over = new AbortController();
  const say = async (event: VolumeMoveEvent) => {
    const text = JSON.stringify(event);
    if (said.get(event.volume) === text) return;
    said.set(event.volume, text);
    await out.write(event);
  };
  try {
    for (;;) {
      let under = false;
      const news = new Promise<void>((resolve) => {
        const once = AbortSignal.any([over.signal, out.gone, signal]);
        work.onNews(resolve, once);
        world.subscribe(() => resolve(), once);
        once.addEventListener('abort', () => resolve(), { once: true });
      });
      for (const volume of new Set(names)) {
        const move = world.get('volumes', volume)?.move;
        const progress = work.progress.get(volume);
        const base = { volume, bytes: progress?.bytes ?? 0, total: progress?.total ?? null };
        if (move && move.id === id) {
          under = true;
          await say({ ...base, phase: move.phase === 'copying' ? (progress?.phase ?? 'copying') : move.phase, message: work.waits.get(volume) ?? '' });
        } else if (id !== null && work.failures.has(id)) await say({ ...base, phase: 'failed', message: work.failures.get(id) ?? '' });
        else await say({ ...base, phase: 'moved', message: `is on ${nodeName(world.maps, world.get('volumes', volume)?.node ?? '')}` });
      }
      if (!under || out.gone.aborted || signal.aborted) return;
      await news;
    }
  } finally {
    over.abort();
  }
}

/** What it takes on each node that has it and is connected. */
async function usageOf(context: Context, volume: string): Promise<VolumeDetail['usage']> {
  const { world, sessions } = context;
  const value = world.get('volumes', volume);
  const nodes = value ? [...new Set([...(value.node === null ? [] : [value.node]), ...(value.nodes ?? [])])] : [];
  return await Promise.all(nodes.map(async (node) => {
    let bytes: number | null = null;
    try {
      if (sessions.has(node)) await ask(context, node, 'volume-usage', { name: volume }, (message) => {
        bytes = typeof message === 'number' ? message : null;
      });
    } catch (error) {
      // It goes away at this moment: then nobody knows.
      if (!isCode(error, 'unavailable') && !isCode(error, 'timeout')) throw error;
    }
    return { node: nodeName(world.maps, node), bytes };
  }));
}

function sum(usage: VolumeDetail['usage']): number | null {
  const known = usage.flatMap(({ bytes }) => (bytes === null ? [] : [bytes]));
  return known.length === 0 ? null : known.reduce((all, bytes) => all + bytes, 0);
}
