/** `/v1/services`: what runs, and the changes people make to one service at a time. */
import type { FastifyInstance } from 'fastify';
import Type from 'typebox';
import type { ServiceDetail, ServiceListItem } from '../../model/api.ts';
import { TsorchError } from '../../model/errors.ts';
import type { Service } from '../../model/service.ts';
import { commitAsLeader, type Context } from '../context.ts';
import { restarted } from '../../model/restarts.ts';
import { markFollowers } from '../controllers/restarts.ts';
import type { Op } from '../store/port.ts';
import { suggest } from './suggest.ts';
import { manifestHint } from './targets.ts';
import { podsByService, serviceItem, type ViewInput } from './views.ts';

const query = Type.Object({ stack: Type.Optional(Type.String()) });
const scaleBody = Type.Object({ replicas: Type.Integer({ minimum: 0, maximum: 1_000_000 }) }, { additionalProperties: false });
type Id = { Params: { id: string } };

export function serviceRoutes(app: FastifyInstance, context: Context, view: () => ViewInput): void {
  const { world } = context;
  const find = (id: string): Service => {
    const service = world.get('services', id);
    if (service) return service;
    throw new TsorchError('not-found', `there is no service ${id}`, { hint: manifestHint(world.maps, id) ?? suggest(id, world.maps.services.keys()) ?? 'see tsorch services' });
  };
  const item = (service: Service): ServiceListItem => serviceItem(view(), service, podsByService(world.maps).get(service.id) ?? []);
  const update = async (service: Service, next: Service, more: readonly Op[] = []): Promise<ServiceListItem> => {
    const followers = next.revision === service.revision ? [] : markFollowers(world.maps, new Set([service.id]));
    for (const { id } of followers) context.events.add(`service/${id}`, `will be restarted once ${service.spec.name} is well again`);
    await commitAsLeader(context, [...more, ...followers, { op: 'put', kind: 'services', id: service.id, value: next, guard: world.entry('services', service.id)?.revision ?? 0 }]);
    return item(next);
  };

  app.get<{ Querystring: { stack?: string } }>('/v1/services', { schema: { querystring: query, summary: 'Services, of one stack or all' } }, async (request) => {
    const input = view();
    const pods = podsByService(world.maps);
    const { stack } = request.query;
    if (stack !== undefined && !world.get('stacks', stack)) throw new TsorchError('not-found', `there is no stack ${stack}`, { hint: suggest(stack, world.maps.stacks.keys()) ?? 'see tsorch ls' });
    return world.values('services')
      .filter((service) => stack === undefined || service.spec.stack === stack)
      .map((service) => serviceItem(input, service, pods.get(service.id) ?? []))
      .sort((a, b) => a.id.localeCompare(b.id, 'en'));
  });

  app.get<Id>('/v1/services/:id', { schema: { summary: 'One service with its spec' } }, async (request): Promise<ServiceDetail> => {
    const service = find(request.params.id);
    return { ...item(service), spec: service.spec };
  });

  app.post<Id & { Body: { replicas: number } }>('/v1/services/:id/scale', { schema: { body: scaleBody, summary: 'Change the number of replicas' } }, async (request) => {
    const service = find(request.params.id);
    const { mode } = service.spec;
    if (mode.kind !== 'replicated') throw new TsorchError('invalid', `${service.id} is ${mode.kind}: only replicated services scale`);
    if (mode.replicas === request.body.replicas) return item(service);
    context.events.add(`service/${service.id}`, `scaled from ${mode.replicas} to ${request.body.replicas}`);
    return update(service, { ...service, spec: { ...service.spec, mode: { kind: 'replicated', replicas: request.body.replicas } } });
  });

  app.post<Id>('/v1/services/:id/rollback', { schema: { summary: 'Back to the revision before' } }, async (request) => {
    const service = find(request.params.id);
    const before = service.previous === null ? undefined : world.get('revisions', `${service.id}.${service.previous}`);
    if (!before) throw new TsorchError('conflict', `${service.id} has no earlier revision to go back to`);
    const status = world.get('servicestatus', service.id);
    const more: Op[] = status ? [{ op: 'put', kind: 'servicestatus', id: service.id, value: { ...status, update: { state: 'rolling-back', message: 'asked for' } } }] : [];
    context.events.add(`service/${service.id}`, `rolled back to ${before.revision}`);
    // How many there are is not part of what is rolled back.
    return update(service, { ...service, spec: { ...before.spec, mode: service.spec.mode }, revision: before.revision, previous: service.revision }, more);
  });

  app.post<Id>('/v1/services/:id/restart', { schema: { summary: 'Replace every pod, as an update would' } }, async (request) => {
    const service = find(request.params.id);
    const { revision } = restarted(service);
    const status = world.get('servicestatus', service.id);
    const more: Op[] = [
      { op: 'put', kind: 'revisions', id: `${service.id}.${revision}`, value: { service: service.id, revision, spec: service.spec } },
      ...(status ? [{ op: 'put', kind: 'servicestatus', id: service.id, value: { ...status, update: { state: 'updating', message: 'restart' } } } as const] : []),
    ];
    context.events.add(`service/${service.id}`, 'restart asked for');
    return update(service, { ...service, revision, previous: service.previous }, more);
  });
}
