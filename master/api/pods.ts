/** `/v1/pods`. */
import type { FastifyInstance } from 'fastify';
import Type from 'typebox';
import type { PodDetail } from '../../model/api.ts';
import { TsorchError } from '../../model/errors.ts';
import { isFinal, type Pod } from '../../model/pod.ts';
import type { Context } from '../context.ts';
import type { Pending } from '../controllers/pending.ts';
import { allPods, podStatusOf } from '../pods.ts';
import { findNode, findPods } from './targets.ts';
import { podItem, type ViewInput } from './views.ts';

const query = Type.Object({ stack: Type.Optional(Type.String()), service: Type.Optional(Type.String()), node: Type.Optional(Type.String()), target: Type.Optional(Type.String()), all: Type.Optional(Type.String()) });

export function podRoutes(app: FastifyInstance, context: Context, view: () => ViewInput, pending: Pending): void {
  const { maps } = context.world;

  app.get<{ Querystring: Type.Static<typeof query> }>('/v1/pods', { schema: { querystring: query, summary: 'Pods; stopped ones with all=true' } }, async (request) => {
    const { stack, service, node, target, all } = request.query;
    const nodeId = node === undefined ? undefined : findNode(maps, node).id;
    const pods = target === undefined ? allPods(maps) : findPods(maps, target);
    const input = view();
    return pods
      .filter((pod) => (stack === undefined || pod.stack === stack) && (service === undefined || pod.service === service) && (nodeId === undefined || pod.node === nodeId))
      .filter((pod) => all === 'true' || isShown(pod))
      .map((pod) => podItem(input, pod))
      .sort((a, b) => a.name.localeCompare(b.name, 'en', { numeric: true }) || b.since - a.since);
  });

  app.get<{ Params: { id: string } }>('/v1/pods/:id', { schema: { summary: 'One pod, with why it is pending' } }, async (request): Promise<PodDetail> => {
    const [pod] = findPods(maps, request.params.id);
    if (!pod) throw new TsorchError('not-found', `there is no pod ${request.params.id}`, { hint: 'see tsorch ps' });
    return { ...podItem(view(), pod), pod, status: podStatusOf(maps, pod.id) ?? null, why: pending.get(pod.id)?.why ?? [] };
  });

  /** Without `all`: what runs or should, and jobs and failures that are the last word on their slot. */
  function isShown(pod: Pod): boolean {
    if (pod.desired === 'running') return !isReplaced(pod);
    const status = podStatusOf(maps, pod.id);
    // A replaced pod on a host that is down will be told to stop when the host is back; until then nobody can say more of it.
    return status !== undefined && !isFinal(status.phase) && (pod.node === null || context.liveness.state(pod.node) !== 'down');
  }

  function isReplaced(pod: Pod): boolean {
    const status = podStatusOf(maps, pod.id);
    if (!status || !isFinal(status.phase)) return false;
    return Array.from(maps.pods.values()).some(({ value: other }) => other.service === pod.service && other.slot === pod.slot && other.createdAt > pod.createdAt);
  }
}
