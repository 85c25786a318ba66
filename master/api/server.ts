/**
 * The HTTP API: HTTPS only, and every call but enrolment needs a client certificate of the cluster's CA. What a role may do
 * is decided in one place, here: viewers read, admins do everything, nodes renew their certificate, strangers do nothing.
 */
import { fastify, type FastifyInstance, type FastifyRequest } from 'fastify';
import swagger from '@fastify/swagger';
import websocket from '@fastify/websocket';
import type { ServerResponse } from 'node:http';
import type { TLSSocket } from 'node:tls';
import { TsorchError } from '../../model/errors.ts';
import type { Identity } from '../../model/identity.ts';
import type { Log } from '../../lib/log.ts';
import { installErrors } from './errors.ts';

export interface ServerOptions {
  readonly tls: { readonly ca: string; readonly cert: string; readonly key: string };
  readonly identify: (socket: TLSSocket) => Identity | null;
  readonly log: Log;
  readonly version: string;
}

/** The call that answers without a certificate. */
const open = '/v1/enrol';
/** The one that is for nodes, and for nobody else. */
const nodesOwn = '/v1/renew';
/** These reach into containers, whatever their method is: for administrators. */
const handsOn: ReadonlySet<string | undefined> = new Set(['/v1/exec', '/v1/attach', '/v1/archive', '/v1/archive/stat', '/v1/port-forward']);
/** This one reads although it is a POST. */
const readsByPost = '/v1/logs';

/** A stack file's specs stay below this; image archives have a limit of their own. */
const bodyLimit = 16 * 1024 * 1024;

export async function createServer(options: ServerOptions, install: (app: FastifyInstance) => void): Promise<FastifyInstance> {
  const app = fastify({
    https: { ...secureContext(options.tls), requestCert: true, rejectUnauthorized: false },
    bodyLimit,
    // Image archives take as long as they take; see limitBodyTime for everything else.
    requestTimeout: 0,
    connectionTimeout: 0,
    keepAliveTimeout: 60_000,
    routerOptions: { maxParamLength: 512 },
    forceCloseConnections: true,
    ajv: { customOptions: { removeAdditional: false, coerceTypes: false, useDefaults: false, allErrors: false } },
  });
  // fastify's https type and its plain one differ; every route below uses only what both have.
  const plain = app as unknown as FastifyInstance;
  app.server.headersTimeout = 10_000;
  installErrors(plain, options.log);
  await app.register(swagger, {
    openapi: {
      openapi: '3.1.0',
      info: { title: 'tsorch', version: options.version, description: 'State of a tsorch cluster. Mutual TLS: the client certificate says who you are.' },
    },
  });
  await app.register(websocket, { options: { maxPayload: 4 * 1024 * 1024 } });
  // The plugin hides its routes from the document.
  plain.addHook('onRoute', ({ schema }) => {
    if (schema?.summary !== undefined) schema.hide = false;
  });
  plain.addHook('onRequest', async (request) => authorize(request, options.identify));
  plain.addHook('onRequest', async (request, reply) => limitBodyTime(request, reply.raw));
  install(plain);
  app.get('/v1/openapi.json', { schema: { hide: true } }, async () => app.swagger());
  return plain;
}

/** What a TLS server needs, at its start and for a new certificate alike. */
export function secureContext({ ca, cert, key }: ServerOptions['tls']): { readonly ca: string; readonly cert: string; readonly key: string; readonly minVersion: 'TLSv1.2' } {
  return { ca, cert, key, minVersion: 'TLSv1.2' };
}

/** A body that comes drop by drop holds a connection for ever: it has this long to arrive. */
const bodyMs = 30_000;

function limitBodyTime(request: FastifyRequest, response: ServerResponse): void {
  if (request.raw.complete || request.url.startsWith('/v1/images') || request.url.startsWith('/v1/archive')) return;
  const timer = setTimeout(() => {
    if (!request.raw.complete) request.raw.destroy();
  }, bodyMs);
  timer.unref();
  response.once('close', () => clearTimeout(timer));
}

async function authorize(request: FastifyRequest, identify: ServerOptions['identify']): Promise<void> {
  // By the route that will answer: one route has many spellings.
  const route = request.routeOptions.url;
  if (route === open) return;
  const identity = identify(request.raw.socket as TLSSocket);
  if (!identity) {
    throw new TsorchError('unauthenticated', 'a client certificate of this cluster is needed', { hint: 'run tsorch login' });
  }
  if (route === nodesOwn) {
    if (identity.role === 'node') return;
    throw new TsorchError('forbidden', 'only nodes renew their certificate here', { hint: 'people log in again: tsorch login' });
  }
  const reads = request.method === 'GET' || request.method === 'HEAD' || route === readsByPost;
  if (identity.role === 'admin' || (identity.role === 'viewer' && reads && !handsOn.has(route))) return;
  throw new TsorchError('forbidden', `role ${identity.role} may not ${request.method} ${request.url.split('?')[0]}`);
}
