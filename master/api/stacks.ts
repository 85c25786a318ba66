/** `/v1/stacks`: apply, plan, list, remove. */
import type { FastifyInstance } from 'fastify';
import Type from 'typebox';
import { normaliseReference } from '../../lib/oci/reference.ts';
import type { ApplyRequest, PlanResult, RemoveResult, ResolveMode } from '../../model/api.ts';
import { TsorchError } from '../../model/errors.ts';
import { registryKey, registryOf } from '../../model/registry.ts';
import { checkStack } from '../apply/check.ts';
import { imagesToResolve, type PinContext, pinService } from '../apply/pin.ts';
import { planApply, planRemove } from '../apply/plan.ts';
import { preview } from '../apply/preview.ts';
import { Allocations } from '../apply/allocations.ts';
import { sha256 } from '../../lib/oci/manifest.ts';
import { commitAsLeader, type Context } from '../context.ts';
import type { Planner } from '../controllers/planner.ts';
import { resolveImages } from '../images/resolve.ts';
import { ApplySchema } from './schema/stack.ts';
import { suggest } from './suggest.ts';
import { manifestHint } from './targets.ts';
import type { VolumeWork } from '../volumes/work.ts';
import { removeVolumes } from './volumes.ts';
import { podsByService, serviceItem, stackItem, type ViewInput } from './views.ts';

type Name = { Params: { name: string } };
type ApplyRoute = Name & { Body: ApplyRequest; Querystring: { resolve?: ResolveMode } };
const applyQuery = Type.Object({ resolve: Type.Optional(Type.Union([Type.Literal('always'), Type.Literal('changed'), Type.Literal('never')])) });
const removeQuery = Type.Object({ volumes: Type.Optional(Type.String()) });

export function stackRoutes(app: FastifyInstance, context: Context, view: () => ViewInput, planner: Planner, work: VolumeWork): void {
  const { world } = context;
  const { maps } = world;

  // Two applies at once would give out the same addresses: one at a time, each seeing what the one before wrote.
  let last: Promise<unknown> = Promise.resolve();
  const inTurn = <T>(run: () => Promise<T>): Promise<T> => {
    const next = last.then(run, run);
    last = next.catch(() => {});
    return next;
  };

  /** Looks images up, which may take its time; what comes back decides at once, by what is there then. */
  const prepare = async ({ registries = {}, ...spec }: ApplyRequest, name: string, mode: ResolveMode = 'changed') => {
    if (spec.name !== name) throw new TsorchError('invalid', `the spec is of stack ${spec.name}, not ${name}`, { path: 'name' });
    // Before anybody is asked about a spec that is none.
    checkStack(maps, spec);
    const pinning: PinContext = { maps, mode, now: context.clock.now(), fetchedAt: (image) => fetchedAt(context, image) };
    const { resolved, warnings } = await resolveImages(imagesToResolve(pinning, spec), {
      resolver: context.resolver, held: (image) => context.images.byName(image), always: mode === 'always', signal: context.signal,
      authFor: (image) => registries[registryOf(image)] ?? world.get('registries', registryKey(spec.name, registryOf(image)))?.auth ?? null,
      nodeName: (node) => world.get('nodes', node)?.name ?? node,
    });
    return () => {
      const cluster = world.get('cluster', 'config');
      if (!cluster) throw new TsorchError('unavailable', 'this master is still starting', { hint: 'try again in a second' });
      const { ops, result } = planApply({
        maps, spec, allocations: new Allocations(maps, cluster.serviceCidr), hash: sha256, registries, pin: (service) => pinService(pinning, service, resolved),
      });
      return { ops, result: { ...result, warnings: [...warnings, ...result.warnings] } };
    };
  };

  app.get('/v1/stacks', { schema: { summary: 'All stacks' } }, async () => {
    const input = view();
    const pods = podsByService(maps);
    const services = world.values('services').map((service) => serviceItem(input, service, pods.get(service.id) ?? []));
    return world.values('stacks').map((stack) => stackItem(stack.name, services)).sort((a, b) => a.name.localeCompare(b.name, 'en'));
  });

  app.put<ApplyRoute>('/v1/stacks/:name', { schema: { body: ApplySchema, querystring: applyQuery, summary: 'Make the stack as the spec says' } }, async (request) => {
    const decide = await prepare(request.body, request.params.name, request.query.resolve);
    return await inTurn(async () => {
      const { ops, result } = decide();
      if (ops.length > 0) {
        await commitAsLeader(context, ops);
        const changed = Object.values(result.services).filter((verdict) => verdict !== 'unchanged').length;
        context.events.add(`stack/${result.stack}`, `applied: ${changed} of ${Object.keys(result.services).length} services changed`);
      }
      return result;
    });
  });

  app.post<ApplyRoute>('/v1/stacks/:name/plan', { schema: { body: ApplySchema, querystring: applyQuery, summary: 'What apply would do; nothing is written' } }, async (request): Promise<PlanResult> => {
    const decide = await prepare(request.body, request.params.name, request.query.resolve);
    const { ops, result } = decide();
    return { ...preview({ maps, ops, result, planner }), ...(result.warnings.length > 0 ? { warnings: result.warnings } : {}) };
  });

  app.delete<Name & { Querystring: { volumes?: string } }>('/v1/stacks/:name', { schema: { querystring: removeQuery, summary: 'Remove a stack; its volumes only with volumes=true' } }, async (request): Promise<RemoveResult> => {
    const { name } = request.params;
    const { services, volumes } = await inTurn(async () => {
      const plan = planRemove(maps, name);
      if (plan.ops.length === 0 && plan.volumes.length === 0) throw new TsorchError('not-found', `there is no stack ${name}`, { hint: manifestHint(maps, name) ?? suggest(name, maps.stacks.keys()) ?? 'see tsorch ls' });
      await commitAsLeader(context, plan.ops);
      if (plan.ops.length > 0) context.events.add(`stack/${name}`, 'removed');
      return plan;
    });
    // Waits for pods to end: others may apply meanwhile.
    const wanted = request.query.volumes === 'true' ? volumes : [];
    if (wanted.length > 0) await removeVolumes(context, work, wanted);
    return { stack: name, services, volumes: wanted };
  });
}

/** When a node was last given the image by this name. */
function fetchedAt({ images }: Context, image: string): number | null {
  const times = images.byName(normaliseReference(image)).map(({ since }) => since);
  return times.length === 0 ? null : Math.max(...times);
}
