/**
 * A master: etcd (its own or a given one), the informer over it, the servers for agents, proxies and people, and, while it leads,
 * the controllers. This function is the map of the program; what a leader does is in lead.ts.
 */
import { randomBytes } from 'node:crypto';
import { mkdir } from 'node:fs/promises';
import { networkInterfaces } from 'node:os';
import { join } from 'node:path';
import { systemClock, type Clock } from '../lib/clock.ts';
import { createLog, type Log } from '../lib/log.ts';
import { isCode, TsorchError } from '../model/errors.ts';
import type { Context } from './context.ts';
import { Planner } from './controllers/planner.ts';
import { Events } from './events.ts';
import { startApi } from './api/start.ts';
import { startGrpc } from './grpc.ts';
import { lead } from './lead.ts';
import { masterId } from './leader-id.ts';
import { runLeader } from './leader.ts';
import { Liveness } from './nodes/liveness.ts';
import { Sessions } from './nodes/sessions.ts';
import { startEtcd } from './store/daemon.ts';
import { EtcdStore } from './store/etcd.ts';
import type { ClusterConfig, Epoch, Store } from './store/port.ts';
import { TablePublisher } from './table/publisher.ts';
import { loadTrust, type MasterTrust } from './trust/authority.ts';
import { identify, identifySocket } from './trust/identity.ts';
import { World } from './world.ts';

export interface MasterOptions {
  readonly stateDir: string;
  readonly runDir: string;
  /** `ADDR:PORT` of the HTTPS API and of the gRPC service for hosts. */
  readonly listen: string;
  readonly grpc: string;
  /** An existing etcd; absent: one of its own. */
  readonly etcdEndpoints?: readonly string[];
  readonly name?: string;
  readonly podCidr?: string;
  readonly serviceCidr?: string;
  readonly underlay?: ClusterConfig['underlay'];
  readonly version: string;
  readonly log?: Log;
  readonly clock?: Clock;
}

/** How often agents say that they live, and for how long silence is forgiven. */
const heartbeatMs = 500;
const silenceMs = 2_500;
/** A lost session is given this long to come back before its pods are replaced: an agent's restart takes one second. */
const graceMs = 2_500;
const startGraceMs = 8_000;
const sessionLeaseMs = 10_000;

export async function runMaster(options: MasterOptions, signal: AbortSignal): Promise<void> {
  const clock = options.clock ?? systemClock;
  const log = options.log ?? createLog('master');
  await mkdir(options.stateDir, { recursive: true, mode: 0o700 });
  await mkdir(options.runDir, { recursive: true, mode: 0o755 });
  const id = await masterId(options.stateDir);
  const trust = await loadTrust({ stateDir: options.stateDir, masterId: id, names: [hostOf(options.listen), hostOf(options.grpc), ...ownAddresses()], now: () => clock.now() });
  const etcd = options.etcdEndpoints === undefined
    ? await startEtcd({ dataDir: join(options.stateDir, 'etcd'), runDir: join(options.runDir, 'etcd'), tls: trust.etcd, log: log.child('etcd'), clock, signal })
    : null;
  const endpoints = options.etcdEndpoints ?? etcd?.endpoints ?? [];
  const store = new EtcdStore({ endpoints, tls: trust.etcd, client: id, log: log.child('store'), clock });
  const world = new World(store, signal);
  await world.synced;
  const cluster = await ensureCluster(store, world, trust, options, signal);
  log.info('store is here', { cluster: cluster.id, revision: world.revision });

  const leadership: { current: Epoch | null } = { current: null };
  const events = new Events(clock);
  const liveness = new Liveness({ clock, graceMs, startGraceMs });
  const lease = holdSessionLease(store, clock, log, signal);
  const planner = new Planner(world, liveness, signal);
  const tables: TablePublisher = new TablePublisher({ world, stateOf: (node) => liveness.state(node), log: log.child('tables'), signal });
  const sessions = new Sessions({
    store, world, liveness, masterId: id, lease, epoch: () => leadership.current?.createRevision ?? 0, clock, log: log.child('nodes'), signal, heartbeatMs, silenceMs,
    onChange: (node) => {
      const name = world.get('nodes', node)?.name ?? node;
      events.add(`node/${name}`, liveness.state(node) === 'ready' ? 'connected' : 'connection lost');
      planner.nodeChanged(node);
      tables.refresh();
    },
  });
  planner.onStates(() => tables.refresh());
  const context: Context = { store, world, liveness, sessions, events, clock, log, signal, leadership };

  const grpc = await startGrpc({ tls: trust.server, identify, sessions, tables, listen: options.grpc });
  const api = await startApi({ context, planner, trust, identify: identifySocket, listen: options.listen, grpcPort: grpc.port, version: options.version });
  log.info('serving', { api: options.listen, grpc: options.grpc });
  try {
    await runLeader({ store, id, log: log.child('leader'), clock, signal, lead: (epoch, term) => lead(context, planner, tables, epoch, term) });
  } finally {
    grpc.stop();
    await api.close();
    await store.close();
    await etcd?.stop();
  }
}

/** The cluster's constants, written by its first master; later ones must agree with what their flags say. */
async function ensureCluster(store: Store, world: World, trust: MasterTrust, options: MasterOptions, signal: AbortSignal): Promise<ClusterConfig> {
  if (!world.get('cluster', 'config')) {
    const config: ClusterConfig = {
      id: randomBytes(8).toString('hex'), podCidr: options.podCidr ?? '10.32.0.0/12', nodePrefix: 24, serviceCidr: options.serviceCidr ?? '10.30.0.0/16', underlay: options.underlay ?? 'auto',
    };
    try {
      const { revision } = await store.commit([
        { op: 'put', kind: 'cluster', id: 'config', value: config, guard: 0 },
        { op: 'put', kind: 'ca', id: 'ca', value: trust.pem },
      ]);
      await world.waitFor(revision, signal);
    } catch (error) {
      // Another master was first: its word holds.
      if (!isCode(error, 'conflict')) throw error;
    }
  }
  const config = world.get('cluster', 'config') ?? (await store.get('cluster', 'config'))?.value;
  if (!config) throw new TsorchError('internal', 'the cluster has no configuration');
  for (const [flag, wanted, actual] of [['pod-cidr', options.podCidr, config.podCidr], ['service-cidr', options.serviceCidr, config.serviceCidr]] as const) {
    if (wanted !== undefined && wanted !== actual) throw new TsorchError('invalid', `--${flag} ${wanted} is not what the cluster was made with (${actual})`, { hint: `leave --${flag} away` });
  }
  return config;
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

function hostOf(listen: string): string {
  const host = listen.slice(0, listen.lastIndexOf(':')).replace(/^\[|\]$/g, '');
  return host === '' || host === '0.0.0.0' || host === '::' ? '127.0.0.1' : host;
}

/** Clients may come by any of this machine's addresses. */
function ownAddresses(): string[] {
  return Object.values(networkInterfaces()).flatMap((list) => (list ?? []).filter((address) => address.family === 'IPv4').map((address) => address.address));
}
