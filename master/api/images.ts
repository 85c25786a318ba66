/** `/v1/images`: what the hosts have, and loading an archive onto them. */
import type { FastifyInstance } from 'fastify';
import type { Readable } from 'node:stream';
import Type from 'typebox';
import type { ImageListItem, ImagePruneResult } from '../../model/api.ts';
import { normaliseReference, readableName } from '../../lib/oci/reference.ts';
import { describeError, isCode, TsorchError } from '../../model/errors.ts';
import type { HeldImage } from '../../model/image.ts';
import type { Node } from '../../model/node.ts';
import type { Context } from '../context.ts';
import { usersOf } from '../images/users.ts';
import { framesOf } from '../nodes/frames.ts';
import type { DataStream } from '../nodes/streams.ts';
import { toErrorCode } from './errors.ts';
import { startLines, type Out } from './stream.ts';
import { suggest } from './suggest.ts';
import { findNode } from './targets.ts';

const query = Type.Object({ node: Type.Optional(Type.Union([Type.String(), Type.Array(Type.String())])) });
const pruneQuery = Type.Object({ ...query.properties, all: Type.Optional(Type.String()) });
type Query = Type.Static<typeof query>;
const removeQuery = Type.Object({ ...query.properties, force: Type.Optional(Type.Union([Type.Literal('true'), Type.Literal('false')])) });
type RemoveQuery = Type.Static<typeof removeQuery>;

const gigabyte = 1024 ** 3;
const chunk = 256 * 1024;

export function imageRoutes(app: FastifyInstance, context: Context): void {
  app.get<{ Querystring: Query }>('/v1/images', { schema: { querystring: query, summary: 'Images on the hosts' } }, async (request): Promise<ImageListItem[]> => {
    const parts = await Promise.all(nodesOf(context, request.query).map(async (node) => {
      const stream = await context.sessions.openStream(node.id, 'image-list', {});
      const [message] = await collectMessages<Omit<ImageListItem, 'node'>[]>(stream);
      return (message ?? []).map((item) => ({ ...item, node: node.name }));
    }));
    return parts.flat();
  });

  app.post<{ Querystring: Query & { all?: string } }>('/v1/images/prune', { schema: { querystring: pruneQuery, summary: 'Remove images that nothing uses from the hosts' } }, async (request): Promise<ImagePruneResult[]> =>
    await Promise.all(nodesOf(context, request.query).map(async (node): Promise<ImagePruneResult> => {
      try {
        const stream = await context.sessions.openStream(node.id, 'image-prune', { all: request.query.all === 'true' });
        return { node: node.name, removed: (await collectMessages<ImagePruneResult['removed']>(stream)).flat() };
      } catch (error) {
        // What the others have let go is gone.
        return { node: node.name, removed: [], error: describeError(error) };
      }
    })));

  app.delete<{ Params: { '*': string }; Querystring: RemoveQuery }>('/v1/images/*', { schema: { querystring: removeQuery, summary: 'Remove an image from the hosts' } }, async (request) => {
    if (request.query.force !== 'true') checkUnused(context, request.params['*'], nodesOf(context, request.query));
    const reference = request.params['*'];
    const nodes = nodesOf(context, request.query);
    const had = await Promise.all(nodes.map(async (node) => {
      try {
        await collectMessages(await context.sessions.openStream(node.id, 'image-rm', { reference }));
        return true;
      } catch (error) {
        // Not every node has every image.
        if (isCode(error, 'not-found')) return false;
        throw error;
      }
    }));
    if (had.includes(true)) return {};
    const known = new Set(nodes.flatMap(({ id }) => context.images.images(id).flatMap(({ names }) => names.map(({ name }) => readableName(name)))));
    throw new TsorchError('not-found', `${nodes.length === 1 ? `node ${nodes[0]?.name}` : 'no node'} has ${nodes.length === 1 ? 'no' : 'an'} image ${readableName(normaliseReference(reference))}`, { hint: suggest(readableName(normaliseReference(reference)), known) ?? 'see tsorch image ls' });
  });

  app.register(async (scope) => {
    // The archive is passed on as it comes, never held.
    scope.removeAllContentTypeParsers();
    scope.addContentTypeParser('*', { bodyLimit: 64 * gigabyte }, (_request, payload, done) => done(null, payload));
    scope.put<{ Querystring: Query; Body: Readable }>('/v1/images', { bodyLimit: 64 * gigabyte, schema: { querystring: query, summary: 'Load an image archive (tar) onto hosts; answers JSON lines' } }, async (request, reply) => {
      request.raw.socket.setTimeout(0);
      const nodes = nodesOf(context, request.query);
      const streams = await Promise.all(nodes.map(async (node) => ({ node, stream: await context.sessions.openStream(node.id, 'image-load', {}) })));
      const out = startLines(reply);
      const results = streams.map(({ node, stream }) => report(node, stream, out));
      await feed(request.body, streams.map(({ stream }) => stream), out.gone);
      await Promise.all(results);
      out.end();
    });
  });
}

function nodesOf(context: Context, wanted: Query): Node[] {
  const { maps } = context.world;
  if (wanted.node !== undefined) return [wanted.node].flat().map((name) => findNode(maps, name));
  const ready = Array.from(maps.nodes.values(), (entry) => entry.value).filter((node) => context.sessions.has(node.id));
  if (ready.length === 0) throw new TsorchError('unavailable', 'no node is connected', { hint: 'see tsorch nodes' });
  return ready;
}

/** Throws `conflict` when a service or one of these nodes' pods needs it. */
function checkUnused(context: Context, reference: string, nodes: readonly Node[]): void {
  const name = normaliseReference(reference);
  const ids = new Set(nodes.map(({ id }) => id));
  const used = usersOf(context.world.maps, new Set([name, ...nodes.flatMap(({ id }) => lastNames(context.images.images(id), name))]));
  const own = [...used.nodes].filter((node) => ids.has(node)).map((node) => context.world.get('nodes', node)?.name ?? node).toSorted();
  if (used.services.length === 0 && own.length === 0) return;
  const by = [used.services.join(', '), own.length > 0 ? `pods on ${own.join(', ')}` : ''].filter(Boolean).join('; ');
  throw new TsorchError('conflict', `image ${readableName(reference)} is in use: ${by}`, { hint: '--force removes it all the same: what runs goes on, and needs it again to begin anew' });
}

/** Digests of images that have no name left without this one. */
function lastNames(images: readonly HeldImage[], name: string): readonly string[] {
  const gone = images.filter(({ target, config, names }) => target.digest === name || config === name || names.every((each) => each.name === name || each.name.includes('@')));
  return gone.filter(({ target, config, names }) => target.digest === name || config === name || names.some((each) => each.name === name)).map(({ target }) => target.digest);
}

/** Writes to all at the pace of the slowest that is still there. */
export async function feed(body: Readable, streams: readonly DataStream[], gone: AbortSignal): Promise<void> {
  for await (const part of body as AsyncIterable<Buffer>) {
    if (gone.aborted) break;
    for (let at = 0; at < part.length; at += chunk) {
      const value = part.subarray(at, at + chunk);
      await Promise.all(streams.map(async (stream) => {
        if (stream.destroyed || stream.writableEnded || stream.write({ kind: { $case: 'stdin', value } })) return;
        await new Promise<void>((resolve) => {
          const done = () => {
            stream.off('drain', done).off('close', done);
            resolve();
          };
          stream.on('drain', done).on('close', done);
        });
      }));
    }
  }
  for (const stream of streams) if (!stream.destroyed && !stream.writableEnded) stream.write({ kind: { $case: 'stdinEnd', value: true } });
}

async function report(node: Node, stream: DataStream, out: Out): Promise<void> {
  try {
    for await (const frame of framesOf(stream)) {
      if (frame.$case === 'message') await out.write({ node: node.name, ...(JSON.parse(frame.value) as object) });
      else if (frame.$case === 'error') return await out.write({ node: node.name, error: frame.value.message });
      else if (frame.$case === 'done') return;
    }
  } catch (error) {
    await out.write({ node: node.name, error: (error as Error).message });
  }
}

export async function collectMessages<T>(stream: DataStream): Promise<T[]> {
  const messages: T[] = [];
  for await (const frame of framesOf(stream)) {
    if (frame.$case === 'message') messages.push(JSON.parse(frame.value) as T);
    else if (frame.$case === 'error') throw new TsorchError(toErrorCode(frame.value.code), frame.value.message);
    else if (frame.$case === 'done') break;
  }
  return messages;
}
