/** `/v1/stats`: what nodes and containers use, once or as it changes. Nothing is measured while nobody asks. */
import type { FastifyInstance } from 'fastify';
import Type from 'typebox';
import { isCode } from '../../model/errors.ts';
import { type Stats, statsEvery } from '../../model/stats.ts';
import type { Context } from '../context.ts';
import { statsView } from '../stats/view.ts';
import { StatsWatch } from '../stats/watch.ts';
import { type StatsFilter, type Wanted, wantedStats } from '../stats/wanted.ts';
import { startEvents } from './stream.ts';
import type { ViewInput } from './views.ts';

const name = Type.String({ minLength: 1 });
const query = Type.Object({
  target: Type.Optional(Type.Union([name, Type.Array(name, { minItems: 1, maxItems: 100 })])), stack: Type.Optional(name), service: Type.Optional(name), node: Type.Optional(name), all: Type.Optional(Type.Union([Type.Literal('true'), Type.Literal('false')])),
  follow: Type.Optional(Type.Union([Type.Literal('true'), Type.Literal('false')])), every: Type.Optional(Type.String({ pattern: '^\\d{1,6}$' })),
});
type Query = Type.Static<typeof query>;

/** In a large cluster, where putting it together takes its time, it is told less often: after so many times that. */
const restFactor = 4;

export function statsRoutes(app: FastifyInstance, context: Context, view: () => ViewInput): void {
  const { clock, world } = context;

  app.get<{ Querystring: Query }>('/v1/stats', { schema: { querystring: query, summary: 'What nodes and containers use; with follow=true as server-sent events, every so many milliseconds' } }, async (request, reply): Promise<Stats | undefined> => {
    const { target, follow, every, all: everything, ...rest } = request.query;
    const all = everything === 'true';
    const filter: StatsFilter = { targets: target === undefined ? [] : [target].flat(), ...rest };
    const wanted = wantedStats(world.maps, filter);
    if (follow !== 'true') {
      const over = new AbortController();
      const watch = new StatsWatch(context, null, AbortSignal.any([over.signal, context.signal]));
      try {
        watch.ask(wanted.nodes);
        await watch.settled();
        return statsView(view(), wanted, watch.answers(), clock.now(), all);
      } finally {
        over.abort();
      }
    }
    const everyMs = Math.min(statsEvery.mostMs, Math.max(statsEvery.leastMs, Number(every ?? statsEvery.usualMs)));
    const out = startEvents(reply);
    const signal = AbortSignal.any([out.gone, context.signal]);
    const watch = new StatsWatch(context, everyMs, signal);
    watch.ask(wanted.nodes);
    await watch.settled();
    while (!signal.aborted) {
      const begun = clock.monotonic();
      const now = again(filter);
      watch.ask(now.nodes);
      await out.write(statsView(view(), now, watch.answers(), clock.now(), all));
      await clock.sleep(Math.max(everyMs, restFactor * (clock.monotonic() - begun)), signal).catch(() => {});
    }
    out.end();
    return undefined;
  });

  /** What was there at the beginning may have gone, and come again. */
  function again(filter: StatsFilter): Wanted {
    try {
      return wantedStats(world.maps, filter);
    } catch (error) {
      if (!isCode(error, 'not-found')) throw error;
      return { nodes: new Map(), includes: () => false };
    }
  }
}
