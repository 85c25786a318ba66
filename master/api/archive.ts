/** `/v1/archive`: files of running containers as tar streams, out and in. */
import type { FastifyInstance } from 'fastify';
import type { Readable } from 'node:stream';
import Type, { type Static } from 'typebox';
import type { ArchiveResult, ArchiveStreamParams, FileStat } from '../../model/api.ts';
import { describeError, TsorchError } from '../../model/errors.ts';
import type { Context } from '../context.ts';
import { framesOf } from '../nodes/frames.ts';
import type { DataStream } from '../nodes/streams.ts';
import { errorBody, toErrorCode, toTsorchError } from './errors.ts';
import { start } from './stream.ts';
import { runningPod } from './targets.ts';

const flag = Type.Optional(Type.Union([Type.Literal('true'), Type.Literal('false')]));
const text = Type.String({ minLength: 1 });
const where = { target: text, container: Type.Optional(text), path: text };
const statQuery = Type.Object({ ...where, follow: flag });
const getQuery = Type.Object({ ...where, follow: flag, as: Type.Optional(text) });
const putQuery = Type.Object({ ...where, owners: flag });

/** Files are as large as they are. */
const bodyLimit = 2 ** 50;
/** A trailer of an archive that is not whole: ApiErrorBody as JSON. */
const errorTrailer = 'x-tsorch-error';

export function archiveRoutes(app: FastifyInstance, context: Context): void {
  const open = (kind: string, { target, container: wanted, ...rest }: { readonly target: string; readonly container?: string; readonly path: string }, more: Partial<ArchiveStreamParams> = {}): Promise<DataStream> => {
    const { pod, container } = runningPod(context.world.maps, target, wanted);
    const params: ArchiveStreamParams = { podId: pod.id, ...(container === undefined ? {} : { container }), path: rest.path, ...more };
    return context.sessions.openStream(pod.node, kind, params);
  };

  app.get<{ Querystring: Static<typeof statQuery> }>('/v1/archive/stat', { schema: { querystring: statQuery, summary: 'What is at a path of a container' } }, async ({ query }) =>
    onlyMessage<FileStat>(await open('archive-stat', query, { follow: query.follow === 'true' })));

  app.get<{ Querystring: Static<typeof getQuery> }>('/v1/archive', { schema: { querystring: getQuery, summary: 'A path of a container as a tar stream; the trailer x-tsorch-error says that it is not whole' } }, async ({ query }, reply) => {
    const stream = await open('archive-get', query, { follow: query.follow === 'true', ...(query.as === undefined ? {} : { as: query.as }) });
    const frames = framesOf(stream);
    // What cannot be read at all is an error of the call.
    const first = await frames.next();
    if (!first.done && first.value.$case === 'error') throw failureOf(first.value.value);
    reply.raw.setHeader('trailer', errorTrailer);
    const out = start(reply, 'application/x-tar', (data: Uint8Array) => data);
    const stop = () => stream.end();
    out.gone.addEventListener('abort', stop, { once: true });
    try {
      for (let next = first; !next.done; next = await frames.next()) {
        if (next.value.$case === 'stdout') await out.write(next.value.value);
        else if (next.value.$case === 'error') throw failureOf(next.value.value);
        else if (next.value.$case === 'done') break;
      }
    } catch (error) {
      reply.raw.addTrailers({ [errorTrailer]: encodeURIComponent(JSON.stringify(errorBody(toTsorchError(error)))) });
    } finally {
      out.gone.removeEventListener('abort', stop);
      await frames.return(undefined);
    }
    out.end();
  });

  app.register(async (scope) => {
    // The archive is passed on as it comes, never held.
    scope.removeAllContentTypeParsers();
    scope.addContentTypeParser('*', { bodyLimit }, (_request, payload, done) => done(null, payload));
    scope.put<{ Querystring: Static<typeof putQuery>; Body: Readable | undefined }>('/v1/archive', { bodyLimit, schema: { querystring: putQuery, summary: 'Extract a tar stream into a directory of a container' } }, async (request) => {
      request.raw.socket.setTimeout(0);
      if (!request.body) throw new TsorchError('invalid', 'a tar stream is needed', { hint: 'send it as application/x-tar' });
      const stream = await open('archive-put', request.query, { owners: request.query.owners === 'true' });
      const over = new AbortController();
      const result = onlyMessage<ArchiveResult>(stream).finally(() => over.abort());
      result.catch(() => {});
      try {
        await pour(request.body, stream, over.signal);
      } catch (cause) {
        stream.end();
        throw new TsorchError('aborted', `the archive broke off: ${describeError(cause)}`, { cause });
      } finally {
        // What failed on the host is told at once; what is still on its way is let pass.
        request.raw.resume();
      }
      return await result;
    });
  });
}

const pieceBytes = 64 * 1024;

/** At the pace of the host, until it has said its last word. */
async function pour(body: Readable, stream: DataStream, over: AbortSignal): Promise<void> {
  for await (const part of body.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) {
    for (let at = 0; at < part.length; at += pieceBytes) {
      if (over.aborted || stream.destroyed) return;
      const value = part.subarray(at, at + pieceBytes);
      if (stream.write({ kind: { $case: 'stdin', value } })) continue;
      await new Promise<void>((resolve) => {
        const done = () => {
          stream.off('drain', done).off('close', done);
          over.removeEventListener('abort', done);
          resolve();
        };
        stream.on('drain', done).on('close', done);
        over.addEventListener('abort', done, { once: true });
      });
    }
  }
  if (!over.aborted && !stream.destroyed) stream.write({ kind: { $case: 'stdinEnd', value: true } });
}

async function onlyMessage<T>(stream: DataStream): Promise<T> {
  let message: T | undefined;
  for await (const frame of framesOf(stream)) {
    if (frame.$case === 'message') message = JSON.parse(frame.value) as T;
    else if (frame.$case === 'error') throw failureOf(frame.value);
    else if (frame.$case === 'done') break;
  }
  if (message === undefined) throw new TsorchError('internal', 'the node said nothing');
  return message;
}

function failureOf({ code, message }: { readonly code: string; readonly message: string }): TsorchError {
  return new TsorchError(toErrorCode(code), message);
}
