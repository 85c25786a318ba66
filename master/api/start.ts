/** All of the API's resources on one server. */
import type { AddressInfo } from 'node:net';
import type { Server, TLSSocket } from 'node:tls';
import type { VersionInfo } from '../../model/api.ts';
import { TsorchError } from '../../model/errors.ts';
import { nextSubnet } from '../apply/allocations.ts';
import type { Context } from '../context.ts';
import type { Planner } from '../controllers/planner.ts';
import type { Identity } from '../../model/identity.ts';
import type { Credentials } from '../../lib/pki/credentials.ts';
import { archiveRoutes } from './archive.ts';
import { execRoutes } from './exec.ts';
import { imageRoutes } from './images.ts';
import { logsRoutes } from './logs.ts';
import { nodeRoutes } from './nodes.ts';
import { podRoutes } from './pods.ts';
import { pushRoutes } from './pushes.ts';
import { renewRoutes } from './renew.ts';
import { createServer, secureContext } from './server.ts';
import { serviceRoutes } from './services.ts';
import { stackRoutes } from './stacks.ts';
import { statsRoutes } from './stats.ts';
import { tokenRoutes, type Trust } from './tokens.ts';
import type { ViewInput } from './views.ts';
import { volumeRoutes } from './volumes.ts';
import { fileObjectRoutes } from './file-objects.ts';
import { networkRoutes } from './networks.ts';
import type { VolumeWork } from '../volumes/work.ts';
import { watchRoutes } from './watch.ts';

export interface ApiOptions {
  readonly context: Context;
  readonly planner: Planner;
  readonly work: VolumeWork;
  readonly trust: Trust;
  readonly tls: Credentials;
  readonly identify: (socket: TLSSocket) => Identity | null;
  /** `ADDR:PORT`. */
  readonly listen: string;
  readonly grpcPort: number;
  readonly version: string;
}

export interface Api {
  readonly port: number;
  /** New connections see the new certificate. */
  rotate(credentials: Credentials): void;
  close(): Promise<void>;
}

export async function startApi(options: ApiOptions): Promise<Api> {
  const { context, planner, trust, work } = options;
  const view = (): ViewInput => ({ maps: context.world.maps, stateOf: (node) => context.liveness.state(node), pending: planner.pending.all });
  const app = await createServer({ tls: options.tls, identify: options.identify, log: context.log.child('api'), version: options.version }, (server) => {
    server.get('/v1/version', { schema: { summary: 'Versions, and whether this master leads' } }, async (): Promise<VersionInfo> => ({
      version: options.version, api: 'v1', cluster: context.world.get('cluster', 'config')?.id ?? '', leader: context.leadership.current !== null,
    }));
    stackRoutes(server, context, view, planner, work);
    serviceRoutes(server, context, view);
    podRoutes(server, context, view, planner.pending);
    nodeRoutes(server, context, view);
    volumeRoutes(server, context, planner, work);
    fileObjectRoutes(server, context);
    networkRoutes(server, context);
    imageRoutes(server, context);
    pushRoutes(server, context);
    tokenRoutes(server, context, trust, options.grpcPort, () => nextSubnet(context.world.maps));
    renewRoutes(server, context, trust, options.identify);
    logsRoutes(server, context);
    execRoutes(server, context);
    archiveRoutes(server, context);
    statsRoutes(server, context, view);
    watchRoutes(server, context, view);
  });
  const colon = options.listen.lastIndexOf(':');
  try {
    await app.listen({ host: options.listen.slice(0, colon).replace(/^\[|\]$/g, ''), port: Number(options.listen.slice(colon + 1)) });
  } catch (cause) {
    throw new TsorchError('unavailable', `cannot listen on ${options.listen}: ${(cause as Error).message}`, { cause, hint: 'another master may be running; --listen chooses another address' });
  }
  return {
    port: (app.server.address() as AddressInfo).port,
    rotate: (credentials) => (app.server as unknown as Server).setSecureContext(secureContext(credentials)),
    close: async () => app.close(),
  };
}
