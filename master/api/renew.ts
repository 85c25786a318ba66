/** `POST /v1/renew`: a node gets a new certificate for the one it has. Any master answers: nothing is written. */
import type { FastifyInstance } from 'fastify';
import type { TLSSocket } from 'node:tls';
import Type from 'typebox';
import type { RenewReply, RenewRequest } from '../../model/api.ts';
import { TsorchError } from '../../model/errors.ts';
import type { Context } from '../context.ts';
import type { Identity } from '../../model/identity.ts';
import type { Trust } from './tokens.ts';

const body = Type.Object({ csr: Type.String({ maxLength: 16_384 }) }, { additionalProperties: false });

export function renewRoutes(app: FastifyInstance, context: Pick<Context, 'world' | 'clock'>, trust: Pick<Trust, 'ca' | 'issueNode'>, identify: (socket: TLSSocket) => Identity | null): void {
  app.post<{ Body: RenewRequest }>('/v1/renew', { schema: { body, summary: 'A new certificate for the node that asks' } }, async (request): Promise<RenewReply> => {
    const socket = request.raw.socket as TLSSocket;
    const identity = identify(socket);
    // The handshake looked at the dates; a connection may have been kept open since.
    if (identity?.role !== 'node' || Date.parse(socket.getPeerCertificate().valid_to) <= context.clock.now()) {
      throw new TsorchError('unauthenticated', 'a valid node certificate is needed', { hint: 'join again with a token' });
    }
    if (!context.world.get('nodes', identity.name)) throw new TsorchError('forbidden', 'this node was removed from the cluster', { hint: 'join it again with a token' });
    return { certificate: await trust.issueNode(request.body.csr, identity.name), ca: trust.ca };
  });
}
