/** `/v1/images/push` and what belongs to it: images that people have, brought to the nodes with no byte too many. */
import type { FastifyInstance } from 'fastify';
import type { Readable } from 'node:stream';
import Type from 'typebox';
import { sha256, mediaTypes, parseManifest, parseJson } from '../../lib/oci/manifest.ts';
import { isDigest, normaliseReference } from '../../lib/oci/reference.ts';
import type { BlobState, PushCommit, PushedLayer, PushEvent, PushPlan, PushRequest } from '../../model/api.ts';
import { describeError, isCode, TsorchError } from '../../model/errors.ts';
import type { BlobDescriptor } from '../../model/image.ts';
import type { Context } from '../context.ts';
import { neededNodes, pickSeed, planLayers } from '../images/plan.ts';
import { usersOf } from '../images/users.ts';
import { decodeHeldImage } from '../nodes/decode.ts';
import { framesOf } from '../nodes/frames.ts';
import { toErrorCode } from './errors.ts';
import { collectMessages, feed } from './images.ts';
import { type Out, startLines } from './stream.ts';
import { findNode } from './targets.ts';

const text = Type.String({ maxLength: 4096 });
const digest = Type.String({ pattern: '^sha256:[0-9a-f]{64}$' });
const count = Type.Integer({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER });
const exact = { additionalProperties: false };
const blob = { mediaType: text, digest, size: count };
const push = Type.String({ pattern: '^[0-9a-f]{16,64}$' });
const references = Type.Array(text, { maxItems: 100 });

const pushRequest = Type.Object({
  images: Type.Array(Type.Object({
    references, config: Type.Object(blob, exact), layers: Type.Array(Type.Object({ ...blob, diffId: digest }, exact), { maxItems: 1000 }), fixed: Type.Boolean(),
  }, exact), { minItems: 1, maxItems: 100 }),
  nodes: Type.Optional(Type.Union([Type.Literal('needed'), Type.Literal('all'), Type.Array(text, { minItems: 1, maxItems: 10_000 })])),
}, exact);
const pushCommit = Type.Object({
  push, seed: text, nodes: Type.Array(text, { minItems: 1, maxItems: 10_000 }),
  images: Type.Array(Type.Object({ references, manifest: Type.String({ maxLength: 4 << 20 }), config: Type.String({ maxLength: 8 << 20 }) }, exact), { minItems: 1, maxItems: 100 }),
}, exact);
const blobQuery = Type.Object({ push, node: text, size: Type.String({ pattern: '^\\d{1,15}$' }), offset: Type.Optional(Type.String({ pattern: '^\\d{1,15}$' })), encoding: Type.Optional(Type.Literal('zstd')) }, exact);
type BlobQuery = Type.Static<typeof blobQuery>;

const gigabyte = 1024 ** 3;
const never = new AbortController().signal;
/** Of nodes that fetch from others at a time: the rest would only wait for them. */
const spreadWidth = 64;
/** With a node whose connection breaks: it is back in a second or two, or down. */
const patience = { tries: 4, waitMs: 1000 } as const;

export function pushRoutes(app: FastifyInstance, context: Context): void {
  app.post<{ Body: PushRequest }>('/v1/images/push', { schema: { body: pushRequest, summary: 'What of these images the cluster lacks, and which node it goes to' } }, async (request) => planPush(context, request.body));

  app.register(async (scope) => {
    // A blob is passed on as it comes, never held.
    scope.removeAllContentTypeParsers();
    scope.addContentTypeParser('*', { bodyLimit: 64 * gigabyte }, (_request, payload, done) => done(null, payload));
    scope.put<{ Params: { digest: string }; Querystring: BlobQuery; Body: Readable }>('/v1/images/blobs/:digest', {
      bodyLimit: 64 * gigabyte, schema: { params: Type.Object({ digest }), querystring: blobQuery, summary: 'Send a blob of a push to a node, from an offset on' },
    }, async (request) => {
      request.raw.socket.setTimeout(0);
      const { push: id, node, size, offset = '0', encoding } = request.query;
      return await sendBlob(context, findNode(context.world.maps, node).id, { push: id, digest: request.params.digest, size: Number(size), offset: Number(offset), ...(encoding === undefined ? {} : { encoding }) }, request.body);
    });
  });

  app.post<{ Body: PushCommit }>('/v1/images/commit', { bodyLimit: 64 << 20, schema: { body: pushCommit, summary: 'Complete a push on all its nodes; answers JSON lines' } }, async (request, reply) => {
    const plan = commitPlan(context, request.body);
    request.raw.socket.setTimeout(0);
    const out = startLines(reply);
    await commit(context, plan, out);
    out.end();
  });

  const names = Type.Object({ name: Type.Union([text, Type.Array(text)]) }, exact);
  app.get<{ Querystring: Type.Static<typeof names> }>('/v1/images/missing', { schema: { querystring: names, summary: 'Those of these images that no node has' } }, async (request): Promise<string[]> =>
    [request.query.name].flat().filter((name) => !isKnown(context, normaliseReference(name))));
}

function isKnown({ images }: Context, name: string): boolean {
  return isDigest(name) ? images.has(name) : images.named(name) !== null || images.has(name.split('@')[1] ?? '');
}

async function planPush(context: Context, { images, nodes = 'needed' }: PushRequest): Promise<PushPlan> {
  const id = sha256(images.map(({ config }) => config.digest).join(' ')).slice('sha256:'.length, 'sha256:'.length + 32);
  const inventory = context.images;
  const ids = targetsOf(context, images, nodes, id);
  const planned = images.map((image) => planLayers(image, inventory));
  const known = planned.flat().flatMap((layer) => (layer.kind === 'known' ? [layer.blob] : []));
  const seed = pickSeed(ids.map((node) => ({ id: node, blobs: inventory.blobsOf(node) })), known, id);
  if (seed === null) throw new TsorchError('unavailable', 'no node is connected', { hint: 'see tsorch nodes' });
  const missing = new Map<string, BlobDescriptor>();
  for (const [at, layers] of planned.entries()) for (const [index, layer] of layers.entries()) {
    const each = images[at]?.layers[index];
    if (layer.kind === 'missing' && each) missing.set(each.digest, each);
  }
  const states = await statesOf(context, seed, id, [...missing.values()]);
  const nameOf = (node: string) => context.world.get('nodes', node)?.name ?? node;
  return {
    push: id, seed: nameOf(seed), nodes: [seed, ...ids.filter((node) => node !== seed)].map(nameOf),
    images: planned.map((layers, at) => ({
      layers: layers.map((layer, index): PushedLayer => {
        const each = images[at]?.layers[index];
        const state = each && states.get(each.digest);
        if (layer.kind === 'known' || !each || !state) return layer;
        // An attempt before this one has brought it to the seed; no image has it yet, so nobody else knows of it.
        return state.whole ? { kind: 'known', blob: { mediaType: each.mediaType, digest: each.digest, size: each.size } } : { kind: 'missing', offset: state.offset };
      }),
    })),
  };
}

async function statesOf(context: Context, node: string, id: string, blobs: readonly BlobDescriptor[]): Promise<ReadonlyMap<string, BlobState>> {
  const asked = blobs.map(({ digest: each, size }) => ({ digest: each, size }));
  const [states = []] = asked.length === 0 ? [] : await collectMessages<BlobState[]>(await context.sessions.openStream(node, 'push-state', { push: id, blobs: asked }));
  return new Map(asked.flatMap(({ digest: each }, at) => (states[at] ? [[each, states[at]] as const] : [])));
}

function targetsOf(context: Context, images: PushRequest['images'], nodes: NonNullable<PushRequest['nodes']>, id: string): readonly string[] {
  const { maps } = context.world;
  const ready = Array.from(maps.nodes.keys()).filter((node) => context.sessions.has(node));
  if (nodes === 'all') return ready;
  if (nodes !== 'needed') {
    const named = [...new Set(nodes.map((name) => findNode(maps, name).id))];
    for (const node of named) if (!ready.includes(node)) throw new TsorchError('unavailable', `node ${maps.nodes.get(node)?.value.name ?? node} is not connected`, { hint: 'see tsorch nodes' });
    return named;
  }
  const names = new Set(images.flatMap((image) => image.references.map(normaliseReference)));
  const named = new Set(ready.filter((node) => context.images.images(node).some((held) => held.names.some(({ name }) => names.has(name)))));
  return neededNodes({ ready, running: usersOf(maps, names).nodes, named, push: id });
}

async function sendBlob(context: Context, node: string, params: { readonly push: string; readonly digest: string; readonly size: number; readonly offset: number; readonly encoding?: string }, body: Readable): Promise<BlobState> {
  const stream = await context.sessions.openStream(node, 'push-blob', params);
  const answer = collectMessages<BlobState>(stream);
  const fed = feed(body, [stream], never).catch((cause: unknown) => {
    // The sender has gone in the middle: what has come stays, and the node must hear that no more does.
    stream.end();
    throw new TsorchError('aborted', 'the sender broke off', { cause });
  });
  answer.catch(() => {});
  fed.catch(() => {});
  // A node that has heard enough says so before the end.
  await Promise.race([fed, answer]);
  const [state] = await answer;
  if (!state) throw new TsorchError('internal', 'the node did not say what it has');
  return state;
}

interface CommitPlan {
  readonly push: string;
  readonly seed: string;
  readonly others: readonly string[];
  readonly images: readonly { readonly references: readonly string[]; readonly target: BlobDescriptor; readonly documents: readonly { readonly digest: string; readonly text: string }[] }[];
}

/** Everything that can be wrong with it is found here, while there is a status to say so. */
function commitPlan(context: Context, { push: id, seed, nodes, images }: PushCommit): CommitPlan {
  const { maps } = context.world;
  const first = findNode(maps, seed).id;
  const ids = nodes.map((name) => findNode(maps, name).id);
  return {
    push: id, seed: first, others: [...new Set(ids)].filter((node) => node !== first),
    images: images.map(({ references: names, manifest, config }) => {
      const data = Buffer.from(manifest);
      const { config: own } = parseManifest(data, 'the manifest');
      if (sha256(config) !== own.digest) throw new TsorchError('invalid', 'the configuration is not the one that the manifest names');
      const { mediaType } = parseJson(data, 'the manifest') as { readonly mediaType?: unknown };
      const target = { mediaType: typeof mediaType === 'string' ? mediaType : mediaTypes.manifest, digest: sha256(data), size: data.length };
      return { references: names.map(normaliseReference), target, documents: [{ digest: target.digest, text: manifest }, { digest: own.digest, text: config }] };
    }),
  };
}

/** First the seed; when it has everything, so can the others have it. */
async function commit(context: Context, { push: id, seed, others, images }: CommitPlan, out: Out): Promise<void> {
  const since = context.clock.now();
  if (!(await commitOn(context, seed, { push: id, since, images }, out))) return;
  const without = images.map((image) => ({ ...image, documents: [] }));
  const waiting = [...others];
  const work = async () => {
    for (let node = waiting.shift(); node !== undefined && !out.gone.aborted; node = waiting.shift()) await commitOn(context, node, { push: id, since, images: without }, out);
  };
  await Promise.all(Array.from({ length: Math.min(spreadWidth, waiting.length) }, work));
}

/** Whether it has succeeded; the client is told either way. A node whose connection breaks is waited for: what it has done it does not do again. */
async function commitOn(context: Context, node: string, params: { readonly push: string; readonly since: number; readonly images: CommitPlan['images'] }, out: Out): Promise<boolean> {
  const name = context.world.get('nodes', node)?.name ?? node;
  for (let left = patience.tries; ; left--) {
    try {
      return await commitOnce(context, node, name, params, out);
    } catch (error) {
      if (left > 0 && isCode(error, 'unavailable') && !out.gone.aborted) {
        await out.write({ node: name, kind: 'progress', message: `${describeError(error)}; trying again` } satisfies PushEvent);
        await context.clock.sleep(patience.waitMs, out.gone).catch(() => {});
        continue;
      }
      await out.write({ node: name, kind: 'failed', error: describeError(error) } satisfies PushEvent);
      return false;
    }
  }
}

async function commitOnce(context: Context, node: string, name: string, params: { readonly push: string; readonly since: number; readonly images: CommitPlan['images'] }, out: Out): Promise<boolean> {
  const stream = await context.sessions.openStream(node, 'push-commit', params);
  const stop = () => stream.end();
  out.gone.addEventListener('abort', stop, { once: true });
  for await (const frame of framesOf(stream)) {
    if (frame.$case === 'error') throw new TsorchError(toErrorCode(frame.value.code), frame.value.message);
    if (frame.$case === 'done') return true;
    if (frame.$case !== 'message') continue;
    const { message, held, bytes = 0 } = JSON.parse(frame.value) as { readonly message?: string; readonly held?: readonly unknown[]; readonly bytes?: number };
    if (message !== undefined) await out.write({ node: name, kind: 'progress', message } satisfies PushEvent);
    if (!held) continue;
    // Its own report may come later, and others look for it now.
    context.images.change(node, held.map((image) => decodeHeldImage(JSON.stringify(image))), []);
    const references = params.images.flatMap(({ references: names, target }) => (names.length > 0 ? names : [target.digest]));
    await out.write({ node: name, kind: 'done', references, bytes } satisfies PushEvent);
  }
  return false;
}
