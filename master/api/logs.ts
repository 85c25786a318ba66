/** `GET /v1/logs`: the lines of many pods as one stream, merged by time. */
import type { FastifyInstance } from 'fastify';
import Type from 'typebox';
import type { LogLine, LogsStreamParams } from '../../model/api.ts';
import { TsorchError } from '../../model/errors.ts';
import type { Pod } from '../../model/pod.ts';
import type { Context } from '../context.ts';
import { framesOf } from '../nodes/frames.ts';
import type { DataStream } from '../nodes/streams.ts';
import { podItem } from './views.ts';
import { Merger } from './merge.ts';
import { startLines } from './stream.ts';
import { previousAttempts } from './previous.ts';
import { containersOf, findTarget } from './targets.ts';

const flag = Type.Optional(Type.Union([Type.Literal('true'), Type.Literal('false')]));
const query = Type.Object({
  target: Type.String({ minLength: 1 }), container: Type.Optional(Type.String({ minLength: 1 })), previous: flag, follow: flag, tail: Type.Optional(Type.String({ pattern: '^(\\d+|all)$' })), since: Type.Optional(Type.String({ pattern: '^\\d+$' })),
  until: Type.Optional(Type.String({ pattern: '^\\d+$' })), timestamps: flag,
});
type Query = Type.Static<typeof query>;

export function logsRoutes(app: FastifyInstance, context: Context): void {
  app.get<{ Querystring: Query }>('/v1/logs', { schema: { querystring: query, summary: 'Log lines of pods, as JSON lines' } }, async (request, reply) => {
    const { target: name, container: wanted, previous, follow, tail, since, until } = request.query;
    const { maps } = context.world;
    const target = findTarget(maps, name, wanted);
    const { container } = target;
    const attempts = previous === 'true' ? previousAttempts(maps, target) : null;
    if (attempts?.length === 0) throw new TsorchError('not-found', `${name} has no attempt before this one`, { hint: `see tsorch ps -a, and tsorch logs ${name} without --previous` });
    const pods = target.pods.filter((pod) => pod.node !== null);
    const params = {
      // What is over does not go on.
      follow: follow === 'true' && attempts === null,
      ...(tail === undefined || tail === 'all' ? {} : { tail: Number(tail) }),
      ...(since === undefined ? {} : { since: Number(since) }),
      ...(until === undefined ? {} : { until: Number(until) }),
    };
    const out = startLines(reply);
    const merger = new Merger(out, params.follow, context.clock);
    const open = (pod: Pod, which: Pick<LogsStreamParams, 'container' | 'attempt'>) => merger.add(() => readPod(context, pod, { podId: pod.id, ...which, ...params }, out.gone));
    const which = container === undefined ? {} : { container };
    if (attempts) for (const { pod, container: of, attempt } of attempts) open(pod, { container: of, attempt });
    else for (const pod of pods) open(pod, which);
    // Pods that come while somebody follows are followed too: a rolling update does not end the view.
    const seen = new Set(pods.map((pod) => pod.id));
    if (params.follow) {
      context.world.subscribe((changes) => {
        if (!changes.some((change) => change.kind === 'pods')) return;
        let now: Pod[];
        try {
          now = findTarget(maps, name, wanted).pods;
        } catch {
          return;
        }
        for (const pod of now) {
          if (pod.node === null || seen.has(pod.id)) continue;
          seen.add(pod.id);
          open(pod, which);
        }
      }, out.gone);
    }
    await merger.run();
    out.end();
  });
}

async function* readPod(context: Context, pod: Pod, params: LogsStreamParams, signal: AbortSignal): AsyncGenerator<LogLine> {
  const input = { maps: context.world.maps, stateOf: (id: string) => context.liveness.state(id), pending: new Map() };
  const item = podItem(input, pod);
  const several = containersOf(context.world.maps, pod).length > 1;
  const notice = (line: string): LogLine => ({ pod: item.name, podId: pod.id, node: item.node ?? '', stream: 'stderr', time: context.clock.now(), line });
  let stream: DataStream;
  try {
    stream = await context.sessions.openStream(pod.node ?? '', 'logs', params);
  } catch (error) {
    yield notice(`[tsorch] no logs from ${item.name}: node ${item.node ?? '?'} ${error instanceof TsorchError && error.code === 'timeout' ? 'does not answer' : 'is not connected'}`);
    return;
  }
  const stop = () => stream.end();
  signal.addEventListener('abort', stop, { once: true });
  // The reader may have gone while the host was asked.
  if (signal.aborted) stop();
  try {
    for await (const frame of framesOf(stream)) {
      if (frame.$case === 'message') {
        const { container, ...line } = JSON.parse(frame.value) as LogLine;
        yield { ...line, ...(several && container !== undefined ? { container } : {}), pod: item.name, podId: pod.id, node: item.node ?? '' };
      } else if (frame.$case === 'error') {
        if (!params.follow) yield notice(`[tsorch] ${frame.value.message}`);
        return;
      } else if (frame.$case === 'done') return;
    }
  } catch (error) {
    if (!signal.aborted) yield notice(`[tsorch] logs of ${item.name} broke off: ${(error as Error).message}`);
  } finally {
    signal.removeEventListener('abort', stop);
  }
}
