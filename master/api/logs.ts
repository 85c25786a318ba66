/** `/v1/logs`: the output of many pods as one stream, merged by time. */
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import Type from 'typebox';
import type { LogsRequest } from '../../model/api.ts';
import { isCode, TsorchError } from '../../model/errors.ts';
import { encodeChunk, linesOf, logChunkType, type PodLogChunk } from '../../model/log-chunk.ts';
import type { Pod } from '../../model/pod.ts';
import type { Context } from '../context.ts';
import { findPod } from '../pods.ts';
import { numberedAttempts, previousAttempts } from './attempts.ts';
import { Merger } from './merge.ts';
import { type PodLogParams, readPodLogs } from './pod-logs.ts';
import { type Out, start } from './stream.ts';
import { findTarget, isKnown } from './targets.ts';

const flag = Type.Optional(Type.Union([Type.Literal('true'), Type.Literal('false')]));
const moment = Type.Optional(Type.String({ pattern: '^\\d+$' }));
const target = Type.String({ minLength: 1 });
const container = Type.Optional(Type.String({ minLength: 1 }));
const stream = Type.Optional(Type.Union([Type.Literal('stdout'), Type.Literal('stderr')]));
const query = Type.Object({
  target: Type.Union([target, Type.Array(target, { minItems: 1, maxItems: 100 })]), container, stream, previous: flag, attempt: Type.Optional(Type.String({ pattern: '^[1-9]\\d{0,8}$' })), follow: flag, tail: Type.Optional(Type.String({ pattern: '^(\\d+|all)$' })),
  since: moment, until: moment, timestamps: flag,
});
const body = Type.Object({
  target: Type.Array(target, { minItems: 1, maxItems: 100 }), container, stream, follow: Type.Optional(Type.Boolean()), tail: Type.Optional(Type.Integer({ minimum: 0 })),
  since: Type.Optional(Type.Number()), until: Type.Optional(Type.Number()),
  places: Type.Optional(Type.Record(Type.String(), Type.Record(Type.String(), Type.Integer({ minimum: 0 })))),
}, { additionalProperties: false });
type Query = Type.Static<typeof query>;

/** An answer under way. */
interface Reading {
  readonly out: Out<readonly PodLogChunk[]>;
  readonly merger: Merger;
  /** Once for each pod and container. */
  readonly open: (pod: Pod, params: PodLogParams) => void;
}

export function logsRoutes(app: FastifyInstance, context: Context): void {
  const summary = `Output of pods, as JSON lines or ${logChunkType}`;
  app.get<{ Querystring: Query }>('/v1/logs', { schema: { querystring: query, summary } }, async (request, reply) => {
    const { target: targets, previous, attempt, follow, tail, since, until, timestamps: _timestamps, ...rest } = request.query;
    const wanted: LogsRequest = {
      target: [targets].flat(),
      ...rest,
      follow: follow === 'true',
      ...(tail === undefined || tail === 'all' ? {} : { tail: Number(tail) }),
      ...(since === undefined ? {} : { since: Number(since) }),
      ...(until === undefined ? {} : { until: Number(until) }),
    };
    if (previous === 'true' && attempt !== undefined) throw new TsorchError('invalid', 'previous and attempt are two ways to say which: one of them is enough');
    const which = attempt === undefined ? (previous === 'true' ? 'previous' : undefined) : Number(attempt);
    await (which === undefined ? serve(context, request, reply, wanted) : servePast(context, request, reply, wanted, which));
  });
  // Reading, too: where a reader is does not fit into a query.
  app.post<{ Body: LogsRequest }>('/v1/logs', { schema: { body, summary: `${summary}, from where a reader was cut off` } }, async (request, reply) => serve(context, request, reply, request.body));
}

async function serve(context: Context, request: FastifyRequest, reply: FastifyReply, { target: names, container: wanted, places, ...rest }: LogsRequest): Promise<void> {
  const { world } = context;
  const targets = names.map((name) => findTarget(world.maps, name, wanted));
  const podIds = new Set(names.filter((name) => findPod(world.maps, name)));
  const params: PodLogParams = { ...rest, follow: rest.follow === true };
  // A pod comes once; a service may have others, for as long as there is one.
  const reading = begin(context, request, reply, params.follow, () => names.every((name) => podIds.has(name) || !isKnown(world.maps, name)));
  const { out, merger, open } = reading;
  // A reader that was cut off has not seen the beginning of a pod that came since.
  const { tail: _tail, ...whole } = params;
  for (const { pods, container: only } of targets) {
    for (const pod of pods) open(pod, { ...(places ? { ...whole, places: places[pod.id] ?? {} } : params), ...(only === undefined ? {} : { container: only }) });
  }
  // Pods that come while somebody follows are followed too: a rolling update does not end the view.
  if (params.follow) {
    world.subscribe((changes) => {
      if (changes.some(({ kind, entry }) => (kind === 'pods' || kind === 'staticpods') && entry !== null)) {
        for (const name of names) {
          const found = findAgain(context, name, wanted);
          for (const pod of found?.pods ?? []) open(pod, { ...whole, ...(found?.container === undefined ? {} : { container: found.container }) });
        }
      }
      merger.poke();
    }, out.gone);
  }
  await merger.run();
  out.end();
}

/** What is over does not go on. */
async function servePast(context: Context, request: FastifyRequest, reply: FastifyReply, { target: names, container: wanted, places: _places, ...rest }: LogsRequest, which: 'previous' | number): Promise<void> {
  const { maps } = context.world;
  const attempts = names.flatMap((name) => {
    const found = findTarget(maps, name, wanted);
    return which === 'previous' ? previousAttempts(maps, found) : numberedAttempts(maps, found, which, name);
  });
  if (attempts.length === 0) throw new TsorchError('not-found', `${names.join(', ')} has no attempt before this one`, { hint: `see tsorch ps -a, and tsorch logs ${names[0]} without --previous` });
  const { out, merger, open } = begin(context, request, reply, false, () => true);
  for (const { pod, container: of, attempt } of attempts) open(pod, { ...rest, follow: false, container: of, attempt });
  await merger.run();
  out.end();
}

function begin(context: Context, request: FastifyRequest, reply: FastifyReply, follow: boolean, isOver: () => boolean): Reading {
  const out = answer(request, reply);
  const merger = new Merger({ write: (chunks) => out.write(chunks), gone: out.gone, follow, isOver, clock: context.clock });
  const seen = new Set<string>();
  return {
    out,
    merger,
    open: (pod, params) => {
      const key = `${pod.id} ${params.container ?? ''}`;
      if (pod.node === null || seen.has(key)) return;
      seen.add(key);
      merger.add(() => readPodLogs(context, pod, params, out.gone));
    },
  };
}

function answer(request: FastifyRequest, reply: FastifyReply): Out<readonly PodLogChunk[]> {
  const wantsChunks = request.headers.accept?.includes(logChunkType) === true;
  return wantsChunks
    ? start(reply, logChunkType, (chunks: readonly PodLogChunk[]) => chunks.flatMap(encodeChunk))
    : start(reply, 'application/x-ndjson', (chunks: readonly PodLogChunk[]) => chunks.flatMap(linesOf).map((line) => `${JSON.stringify(line)}\n`).join(''));
}

/** Undefined when what was asked for has gone meanwhile. */
function findAgain(context: Context, name: string, container: string | undefined): ReturnType<typeof findTarget> | undefined {
  try {
    return findTarget(context.world.maps, name, container);
  } catch (error) {
    if (isCode(error, 'not-found')) return undefined;
    throw error;
  }
}
