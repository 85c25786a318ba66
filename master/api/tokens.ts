/** `/v1/tokens` and `/v1/enrol`: how hosts and people get in. */
import type { FastifyInstance } from 'fastify';
import { randomBytes } from 'node:crypto';
import Type from 'typebox';
import type { EnrolReply, EnrolRequest } from '../../model/api.ts';
import { TsorchError } from '../../model/errors.ts';
import type { Node } from '../../model/node.ts';
import { commitAsLeader, type Context } from '../context.ts';
import type { TokenRecord } from '../store/port.ts';
import { nodeLabels } from './nodes.ts';

export interface Trust {
  /** A new token and the record to store for it. */
  makeToken(role: TokenRecord['role'], now: number, ttlMs: number | null): { readonly token: string; readonly record: TokenRecord };
  /** The record a token proves; throws `unauthenticated`. */
  checkToken(token: string, find: (id: string) => TokenRecord | undefined, now: number): TokenRecord;
  /** A certificate over the CSR's public key. PEM. */
  issueNode(csr: string, nodeId: string): Promise<string>;
  issuePerson(csr: string, role: 'admin' | 'viewer', name: string): Promise<string>;
  readonly ca: string;
}

const tokenBody = Type.Object({
  role: Type.Union([Type.Literal('node'), Type.Literal('admin'), Type.Literal('viewer')]), ttlMs: Type.Optional(Type.Union([Type.Integer({ minimum: 1000 }), Type.Null()])),
}, { additionalProperties: false });
const enrolBody = Type.Object({
  token: Type.String({ maxLength: 512 }), csr: Type.String({ maxLength: 16_384 }), name: Type.String({ pattern: '^[A-Za-z0-9]([A-Za-z0-9.-]{0,61}[A-Za-z0-9])?$' }),
  labels: nodeLabels,
}, { additionalProperties: false });

const dayMs = 86_400_000;

export function tokenRoutes(app: FastifyInstance, context: Context, trust: Trust, grpcPort: number, subnetFor: () => string): void {
  const { world, clock } = context;

  app.post<{ Body: Type.Static<typeof tokenBody> }>('/v1/tokens', { schema: { body: tokenBody, summary: 'Make a join token; it is shown once' } }, async (request) => {
    const { role, ttlMs } = request.body;
    const { token, record } = trust.makeToken(role, clock.now(), ttlMs === undefined ? dayMs : ttlMs);
    await commitAsLeader(context, [{ op: 'put', kind: 'tokens', id: record.id, value: record, guard: 0 }]);
    return { id: record.id, token };
  });

  app.get('/v1/tokens', { schema: { summary: 'Tokens, without their secrets' } }, async () => world.values('tokens').map(({ id, role, createdAt, expiresAt }) => ({ id, role, createdAt, expiresAt })));

  app.delete<{ Params: { id: string } }>('/v1/tokens/:id', { schema: { summary: 'Revoke a token' } }, async (request) => {
    if (!world.get('tokens', request.params.id)) throw new TsorchError('not-found', `there is no token ${request.params.id}`, { hint: 'see tsorch token ls' });
    await commitAsLeader(context, [{ op: 'delete', kind: 'tokens', id: request.params.id }]);
    return {};
  });

  // Joins are few and each needs the subnet the one before did not take: one at a time.
  let last: Promise<unknown> = Promise.resolve();
  app.post<{ Body: EnrolRequest }>('/v1/enrol', { schema: { body: enrolBody, summary: 'Join with a token' } }, (request): Promise<EnrolReply> => {
    const next = last.then(() => enrol(request.body), () => enrol(request.body));
    last = next.catch(() => {});
    return next;
  });

  async function enrol(request: EnrolRequest): Promise<EnrolReply> {
    const token = trust.checkToken(request.token, (id) => world.get('tokens', id), clock.now());
    if (token.role !== 'node') {
      return { nodeId: '', certificate: await trust.issuePerson(request.csr, token.role, request.name), ca: trust.ca, grpcPort };
    }
    const known = world.values('nodes').find((node) => node.name === request.name);
    if (known && context.liveness.state(known.id) === 'ready') {
      throw new TsorchError('conflict', `a node named ${request.name} is connected already`, { hint: 'join with another --name, or remove the old one: tsorch node rm' });
    }
    // A host that lost its state directory comes back under its name and keeps subnet and volumes.
    const node: Node = known ?? {
      id: `n${randomBytes(6).toString('hex')}`, name: request.name, labels: request.labels, availability: 'active', subnet: subnetFor(), createdAt: clock.now(),
    };
    const certificate = await trust.issueNode(request.csr, node.id);
    if (!known) {
      await commitAsLeader(context, [{ op: 'put', kind: 'nodes', id: node.id, value: node, guard: 0 }]);
      context.events.add(`node/${node.name}`, 'joined');
    }
    return { nodeId: node.id, certificate, ca: trust.ca, grpcPort };
  }
}
