/**
 * What a master serves on top of a store: the servers for agents, proxies and people, and, while it leads, the controllers. This function
 * is the map of the program.
 */
import type { Clock } from '../lib/clock.ts';
import type { Log } from '../lib/log.ts';
import { startApi } from './api/start.ts';
import { ensureCluster, type ClusterWish } from './cluster.ts';
import type { Context } from './context.ts';
import { Planner } from './controllers/planner.ts';
import { Events } from './events.ts';
import { startGrpc } from './grpc.ts';
import { ImageInventory } from './images/inventory.ts';
import { locateImages } from './images/locate.ts';
import type { DigestResolver } from './images/resolve.ts';
import { lead } from './lead.ts';
import { runLeader } from './leader.ts';
import { Liveness } from './nodes/liveness.ts';
import { Sessions } from './nodes/sessions.ts';
import type { Epoch, Store } from './store/port.ts';
import { TablePublisher } from './table/publisher.ts';
import type { MasterTrust } from './trust/authority.ts';
import { identify } from '../model/identity.ts';
import { identifySocket } from './trust/identity.ts';
import { keepCertificate } from './trust/own.ts';
import { shareAuthority } from './trust/shared.ts';
import { VolumeWork } from './volumes/work.ts';
import { World } from './world.ts';

export interface ServeOptions {
  readonly store: Store;
  readonly trust: MasterTrust;
  /** The master's. */
  readonly id: string;
  /** `ADDR:PORT` of the HTTPS API and of the gRPC service for hosts; port 0 picks one. */
  readonly listen: string;
  readonly grpc: string;
  readonly version: string;
  readonly wish: ClusterWish;
  /** Where this master's authority is on disk, for messages. */
  readonly caDirectory: string;
  readonly clock: Clock;
  readonly log: Log;
  readonly signal: AbortSignal;
  /** Asks registries what a tag names. Absent: they are not asked. */
  readonly resolver?: DigestResolver;
  readonly times?: Partial<Times>;
}

export interface Times {
  /** How often agents say that they live, and for how long silence is forgiven. */
  readonly heartbeatMs: number;
  readonly silenceMs: number;
  /** A lost session is given this long to come back before its pods are replaced: an agent's restart takes one second. */
  readonly graceMs: number;
  readonly startGraceMs: number;
  /** The same while the node's proxy still has its stream: the host lives, only its agent does not. */
  readonly witnessedGraceMs: number;
}

const usual: Times = { heartbeatMs: 500, silenceMs: 2_500, graceMs: 3_000, startGraceMs: 8_000, witnessedGraceMs: 20_000 };
const sessionLeaseMs = 10_000;

export interface Serving {
  readonly apiPort: number;
  readonly grpcPort: number;
  readonly context: Context;
  readonly planner: Planner;
  readonly tables: TablePublisher;
  /** Resolves when the signal has fired and the lead is given back. */
  readonly done: Promise<void>;
  /** After the signal has fired: ends the servers. The store stays open. */
  close(): Promise<void>;
}

/** Resolves when it answers. What a failed start has opened is closed again. */
export async function serveMaster(options: ServeOptions): Promise<Serving> {
  const { store, trust, id, clock, log, signal } = options;
  const times = { ...usual, ...options.times };
  const world = new World(store, signal);
  await world.synced;
  await shareAuthority(store, trust.pem, options.caDirectory);
  const cluster = await ensureCluster(store, world, options.wish, signal);
  log.info('store is here', { cluster: cluster.id, revision: world.revision });

  const leadership: { current: Epoch | null } = { current: null };
  const events = new Events(clock);
  const liveness = new Liveness({ clock, ...times });
  const lease = holdSessionLease(store, clock, log, signal);
  const planner = new Planner(world, liveness, signal);
  const images: ImageInventory = new ImageInventory((node, names) => sessions.imagesFound(node, names));
  const sessions: Sessions = new Sessions({
    store, world, liveness, images, masterId: id, lease, epoch: () => leadership.current?.createRevision ?? 0, clock, log: log.child('nodes'), signal,
    heartbeatMs: times.heartbeatMs, silenceMs: times.silenceMs,
    onProblem: (node, problem) => events.add(`node/${world.get('nodes', node)?.name ?? node}`, problem),
    onChange: (node) => {
      const name = world.get('nodes', node)?.name ?? node;
      events.add(`node/${name}`, liveness.state(node) === 'ready' ? 'connected' : 'connection lost');
      planner.nodeChanged(node);
      tables.refresh();
    },
  });
  // After the sessions: what agents are to begin is on its way before the table is looked at.
  const tables: TablePublisher = new TablePublisher({
    world, stateOf: (node) => liveness.state(node), clock, log: log.child('tables'), signal,
    onWatcher: (node, began) => {
      liveness.witness(node, began);
      planner.nodeChanged(node);
    },
  });
  planner.onStates(() => tables.refresh());
  const context: Context = { store, world, liveness, sessions, images, resolver: options.resolver ?? null, events, clock, log, signal, leadership };
  const work = new VolumeWork(context, planner);

  const tls = trust.server.current;
  const grpc = await startGrpc({ tls, identify, world, sessions, tables, locate: (node, request) => locateImages(images, node, request, clock.monotonic(), Math.random), listen: options.grpc, signal });
  const api = await startApi({ context, planner, work, trust, tls, identify: identifySocket, listen: options.listen, grpcPort: grpc.port, version: options.version }).catch((error: unknown) => {
    grpc.stop();
    throw error;
  });
  log.info('serving', { api: options.listen, grpc: options.grpc });
  const keep = (name: string) => ({ clock, log: log.child('trust').child(name), signal, random: Math.random });
  const running = [
    runLeader({ store, id, log: log.child('leader'), clock, signal, lead: (epoch, term) => lead(context, planner, work, tables, epoch, term) }),
    keepCertificate(trust.server, (made) => {
      grpc.rotate(made);
      api.rotate(made);
    }, keep('server')),
    keepCertificate(trust.admin, () => {}, keep('admin')),
  ];
  return {
    apiPort: api.port, grpcPort: grpc.port, context, planner, tables,
    done: Promise.all(running).then(() => {}),
    async close() {
      grpc.stop();
      await api.close();
    },
  };
}

/** Keeps a lease for the session keys, and a new one whenever it is lost. */
function holdSessionLease(store: Store, clock: Clock, log: Log, signal: AbortSignal): () => string | undefined {
  let current: string | undefined;
  const keep = async () => {
    while (!signal.aborted) {
      try {
        const lease = await store.lease(sessionLeaseMs, signal);
        current = lease.id;
        await new Promise<void>((resolve) => {
          if (lease.lost.aborted) resolve();
          lease.lost.addEventListener('abort', () => resolve(), { once: true });
        });
      } catch (error) {
        if (!signal.aborted) log.warn('no session lease', { error });
        await clock.sleep(500, signal).catch(() => {});
      }
      current = undefined;
    }
  };
  keep().catch(() => {});
  return () => current;
}
