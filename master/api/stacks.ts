/** `/v1/stacks`: apply, plan, list, remove. */
import type { FastifyInstance } from 'fastify';
import Type from 'typebox';
import type { RemoveResult } from '../../model/api.ts';
import { TsorchError } from '../../model/errors.ts';
import type { StackSpec } from '../../model/spec.ts';
import { planApply, planRemove } from '../apply/plan.ts';
import { preview } from '../apply/preview.ts';
import { Allocations } from '../apply/allocations.ts';
import { sha256 } from '../apply/hash.ts';
import { commitAsLeader, type Context } from '../context.ts';
import type { Planner } from '../controllers/planner.ts';
import { StackSchema } from './schema/stack.ts';
import { suggest } from './suggest.ts';
import { removeVolumes } from './volumes.ts';
import { podsByService, serviceItem, stackItem, type ViewInput } from './views.ts';

type Name = { Params: { name: string } };
const removeQuery = Type.Object({ volumes: Type.Optional(Type.String()) });

export function stackRoutes(app: FastifyInstance, context: Context, view: () => ViewInput, planner: Planner): void {
  const { world } = context;
  const { maps } = world;

  // Two applies at once would give out the same addresses: one at a time, each seeing what the one before wrote.
  let last: Promise<unknown> = Promise.resolve();
  const inTurn = <T>(run: () => Promise<T>): Promise<T> => {
    const next = last.then(run, run);
    last = next.catch(() => {});
    return next;
  };

  const prepare = (name: string, spec: StackSpec) => {
    if (spec.name !== name) throw new TsorchError('invalid', `the spec is of stack ${spec.name}, not ${name}`, { path: 'name' });
    const cluster = world.get('cluster', 'config');
    if (!cluster) throw new TsorchError('unavailable', 'this master is still starting', { hint: 'try again in a second' });
    return planApply({ maps, spec, allocations: new Allocations(maps, cluster.serviceCidr), hash: sha256 });
  };

  app.get('/v1/stacks', { schema: { summary: 'All stacks' } }, async () => {
    const input = view();
    const pods = podsByService(maps);
    const services = world.values('services').map((service) => serviceItem(input, service, pods.get(service.id) ?? []));
    return world.values('stacks').map((stack) => stackItem(stack.name, services)).sort((a, b) => a.name.localeCompare(b.name, 'en'));
  });

  app.put<Name & { Body: StackSpec }>('/v1/stacks/:name', { schema: { body: StackSchema, summary: 'Make the stack as the spec says' } }, (request) => inTurn(async () => {
    const { ops, result } = prepare(request.params.name, request.body);
    if (ops.length > 0) {
      await commitAsLeader(context, ops);
      const changed = Object.values(result.services).filter((verdict) => verdict !== 'unchanged').length;
      context.events.add(`stack/${result.stack}`, `applied: ${changed} of ${Object.keys(result.services).length} services changed`);
    }
    return result;
  }));

  app.post<Name & { Body: StackSpec }>('/v1/stacks/:name/plan', { schema: { body: StackSchema, summary: 'What apply would do; nothing is written' } }, async (request) => {
    const { ops, result } = prepare(request.params.name, request.body);
    return preview({ maps, ops, result, planner });
  });

  app.delete<Name & { Querystring: { volumes?: string } }>('/v1/stacks/:name', { schema: { querystring: removeQuery, summary: 'Remove a stack; its volumes only with volumes=true' } }, async (request): Promise<RemoveResult> => {
    const { name } = request.params;
    const { services, volumes } = await inTurn(async () => {
      const plan = planRemove(maps, name);
      if (plan.ops.length === 0 && plan.volumes.length === 0) throw new TsorchError('not-found', `there is no stack ${name}`, { hint: suggest(name, maps.stacks.keys()) ?? 'see tsorch ls' });
      await commitAsLeader(context, plan.ops);
      if (plan.ops.length > 0) context.events.add(`stack/${name}`, 'removed');
      return plan;
    });
    // Waits for pods to end: others may apply meanwhile.
    const wanted = request.query.volumes === 'true' ? volumes : [];
    if (wanted.length > 0) await removeVolumes(context, wanted);
    return { stack: name, services, volumes: wanted };
  });
}
