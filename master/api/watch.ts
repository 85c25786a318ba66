/** `GET /v1/watch` and `GET /v1/events`: what changes, as it changes. */
import type { FastifyInstance } from 'fastify';
import Type from 'typebox';
import { isFinal } from '../../model/pod.ts';
import type { Context } from '../context.ts';
import { allPods, podStatusOf } from '../pods.ts';
import { startEvents } from './stream.ts';
import { nodeItems, podItem, podsByService, serviceItem, stackItem, type ViewInput } from './views.ts';

const eventsQuery = Type.Object({ follow: Type.Optional(Type.Union([Type.Literal('true'), Type.Literal('false')])) });

/**
 * The first change after a silence is told at once, those that follow it together: after so many milliseconds, and in a large cluster,
 * where putting the views together takes its time, after so many times that.
 */
const pause = { leastMs: 4, times: 4 } as const;

export function watchRoutes(app: FastifyInstance, context: Context, view: () => ViewInput): void {
  app.get<{ Querystring: Type.Static<typeof eventsQuery> }>('/v1/events', { schema: { querystring: eventsQuery, summary: 'What happened' } }, async (request, reply) => {
    if (request.query.follow !== 'true') return context.events.list();
    const out = startEvents(reply);
    for (const item of context.events.list()) await out.write(item);
    context.events.subscribe((item) => void out.write(item), AbortSignal.any([out.gone, context.signal]));
    return undefined;
  });

  app.get('/v1/watch', { schema: { summary: 'Stacks, services, pods and nodes as they change (server-sent events)' } }, (_request, reply) => {
    const out = startEvents(reply);
    const sent = new Map<string, string>();
    let scheduled = false;
    let busy = false;
    /** Something changed while the client was being told. */
    let missed = false;
    let nextAt = -Infinity;
    // Views are compared whole: whatever made them differ, the client learns of it once.
    const flush = async () => {
      missed = busy;
      if (busy) return;
      busy = true;
      const begun = context.clock.monotonic();
      try {
        const current = collect(view());
        const now = context.clock.monotonic();
        nextAt = now + Math.max(pause.leastMs, pause.times * (now - begun));
        for (const [key, { kind, id, value }] of current) {
          const text = JSON.stringify(value);
          if (sent.get(key) === text) continue;
          sent.set(key, text);
          await out.write({ kind, type: 'put', id, value });
        }
        for (const key of sent.keys()) {
          if (current.has(key)) continue;
          sent.delete(key);
          const slash = key.indexOf('/');
          await out.write({ kind: key.slice(0, slash), type: 'delete', id: key.slice(slash + 1) });
        }
      } finally {
        busy = false;
        if (missed) schedule();
      }
    };
    const schedule = () => {
      if (scheduled || out.gone.aborted) return;
      scheduled = true;
      setTimeout(() => {
        scheduled = false;
        flush().catch(() => out.end());
      }, Math.max(0, nextAt - context.clock.monotonic()));
    };
    context.world.subscribe(schedule, out.gone);
    // Node states change with time and sessions, which the store does not tell.
    const timer = setInterval(schedule, 500);
    out.gone.addEventListener('abort', () => clearInterval(timer), { once: true });
    flush().then(() => out.write({ kind: 'synced' })).catch(() => out.end());
  });
}

function collect(view: ViewInput): Map<string, { kind: string; id: string; value: unknown }> {
  const result = new Map<string, { kind: string; id: string; value: unknown }>();
  const put = (kind: string, id: string, value: unknown) => void result.set(`${kind}/${id}`, { kind, id, value });
  const pods = podsByService(view.maps);
  const services = Array.from(view.maps.services.values(), ({ value }) => serviceItem(view, value, pods.get(value.id) ?? []));
  for (const name of view.maps.stacks.keys()) put('stack', name, stackItem(name, services));
  for (const service of services) put('service', service.id, service);
  for (const pod of allPods(view.maps)) {
    const status = podStatusOf(view.maps, pod.id);
    if (pod.desired !== 'running' && status && isFinal(status.phase)) continue;
    put('pod', pod.id, podItem(view, pod));
  }
  for (const node of nodeItems(view)) put('node', node.id, node);
  return result;
}
