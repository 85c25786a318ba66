/** `/v1/nodes`: the hosts, their labels and availability. */
import type { FastifyInstance } from 'fastify';
import Type from 'typebox';
import { TsorchError } from '../../model/errors.ts';
import type { Node } from '../../model/node.ts';
import type { NodeListItem } from '../../model/api.ts';
import { commitAsLeader, type Context } from '../context.ts';
import type { Op } from '../store/port.ts';
import { findNode } from './targets.ts';
import { nodeItems, type ViewInput } from './views.ts';

const labelKey = Type.String({ pattern: '^[A-Za-z0-9]([A-Za-z0-9._/-]{0,251}[A-Za-z0-9])?$' });
const labelValue = Type.String({ maxLength: 256 });
export const nodeLabels = Type.Record(labelKey, labelValue, { additionalProperties: false });

const patch = Type.Object({
  labels: Type.Optional(Type.Record(labelKey, Type.Union([labelValue, Type.Null()]), { additionalProperties: false })),
  availability: Type.Optional(Type.Union([Type.Literal('active'), Type.Literal('pause'), Type.Literal('drain')])),
}, { additionalProperties: false });
type Patch = Type.Static<typeof patch>;
const params = Type.Object({ node: Type.String() });
const removeQuery = Type.Object({ force: Type.Optional(Type.String()) });

export function nodeRoutes(app: FastifyInstance, context: Context, view: () => ViewInput): void {
  const item = (node: Node): NodeListItem => nodeItems(view()).find(({ id }) => id === node.id) as NodeListItem;

  app.get('/v1/nodes', { schema: { summary: 'All nodes' } }, async () => nodeItems(view()));

  app.get<{ Params: { node: string } }>('/v1/nodes/:node', { schema: { params, summary: 'One node, by name or id' } }, async (request) => item(findNode(context.world.maps, request.params.node)));

  app.patch<{ Params: { node: string }; Body: Patch }>('/v1/nodes/:node', { schema: { params, body: patch, summary: 'Change labels (null removes one) and availability' } }, async (request) => {
    const found = findNode(context.world.maps, request.params.node);
    const labels: Record<string, string> = { ...found.labels };
    for (const [key, value] of Object.entries(request.body.labels ?? {})) {
      if (value === null) delete labels[key];
      else labels[key] = value;
    }
    const availability = request.body.availability ?? found.availability;
    const next: Node = { ...found, labels, availability };
    if (JSON.stringify(next) !== JSON.stringify(found)) {
      await commitAsLeader(context, [{ op: 'put', kind: 'nodes', id: found.id, value: next, guard: context.world.entry('nodes', found.id)?.revision ?? 0 }]);
      if (availability !== found.availability) context.events.add(`node/${found.name}`, `availability is now ${availability}`);
    }
    return item(next);
  });

  app.delete<{ Params: { node: string }; Querystring: { force?: string } }>('/v1/nodes/:node', { schema: { params, querystring: removeQuery, summary: 'Remove a node that is down (force: any)' } }, async (request) => {
    const { world, liveness } = context;
    const node = findNode(world.maps, request.params.node);
    const force = request.query.force !== undefined && request.query.force !== 'false';
    if (liveness.state(node.id) === 'ready' && !force) {
      throw new TsorchError('conflict', `node ${node.name} is still connected`, { hint: `stop tsorch on it first, or drain it: tsorch node drain ${node.name}` });
    }
    const bound = world.values('volumes').filter((volume) => volume.node === node.id).map((volume) => volume.name);
    if (bound.length > 0 && !force) {
      throw new TsorchError('conflict', `node ${node.name} holds the volumes ${bound.join(', ')}`, { hint: '--force forgets the node and its volumes' });
    }
    const ops: Op[] = [{ op: 'delete', kind: 'nodes', id: node.id }, { op: 'delete', kind: 'nodestatus', id: node.id }, { op: 'delete', kind: 'sessions', id: node.id }];
    for (const pod of world.values('pods')) {
      if (pod.node === node.id) ops.push({ op: 'delete', kind: 'pods', id: pod.id }, { op: 'delete', kind: 'podstatus', id: pod.id });
    }
    for (const { pod } of world.values('staticpods')) if (pod.node === node.id) ops.push({ op: 'delete', kind: 'staticpods', id: pod.id });
    for (const volume of world.values('volumes')) {
      if (volume.node === node.id) ops.push({ op: 'put', kind: 'volumes', id: volume.name, value: { ...volume, node: null } });
    }
    await commitAsLeader(context, ops);
    context.sessions.remove(node.id);
    liveness.forget(node.id);
    context.events.add(`node/${node.name}`, 'removed');
    return {};
  });
}
