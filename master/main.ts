/**
 * A master as a program: its directories, its trust, etcd (its own or a given one), and what it serves on top of them. What it serves is
 * in serve.ts, what a leader does in lead.ts.
 */
import { mkdir } from 'node:fs/promises';
import { networkInterfaces } from 'node:os';
import { join } from 'node:path';
import { systemClock, type Clock } from '../lib/clock.ts';
import { createLog, type Log } from '../lib/log.ts';
import { RegistriesFile } from '../lib/oci/registries-file.ts';
import { TsorchError } from '../model/errors.ts';
import type { ClusterWish } from './cluster.ts';
import { RegistryResolver } from './images/registry-resolver.ts';
import { masterId } from './leader-id.ts';
import { serveMaster } from './serve.ts';
import { startEtcd } from './store/daemon.ts';
import { EtcdStore } from './store/etcd.ts';
import { loadTrust } from './trust/authority.ts';
import { keepCertificate } from './trust/own.ts';

export interface MasterOptions extends ClusterWish {
  readonly stateDir: string;
  readonly runDir: string;
  /** `ADDR:PORT` of the HTTPS API and of the gRPC service for hosts. */
  readonly listen: string;
  readonly grpc: string;
  /** An existing etcd; absent: one of its own. */
  readonly etcdEndpoints?: readonly string[];
  readonly name?: string;
  readonly version: string;
  /** How registries are reached, see docs/registries.md; the usual file unless told. */
  readonly registryConfig?: string;
  /** How long certificates are good for: 90 days unless told, which is also the most. */
  readonly certificateLifeMs?: number;
  /** Called once its API answers. */
  readonly serving?: () => void;
  readonly log?: Log;
  readonly clock?: Clock;
}

type Parts = (() => Promise<void> | void)[];

/** Runs until the signal fires. However it ends, what it has started ends with it. */
export async function runMaster(options: MasterOptions, stop: AbortSignal): Promise<void> {
  const log = options.log ?? createLog('master');
  const own = new AbortController();
  const parts: Parts = [];
  try {
    await run(options, log, AbortSignal.any([stop, own.signal]), parts);
  } finally {
    own.abort(new TsorchError('aborted', 'the master ends'));
    // The last first: etcd outlives its clients.
    for (const close of parts.toReversed()) await Promise.resolve().then(close).catch((error: unknown) => log.error('could not end in good order', { error }));
  }
}

/** What it starts it puts on `parts`. */
async function run(options: MasterOptions, log: Log, signal: AbortSignal, parts: Parts): Promise<void> {
  const { stateDir, runDir, listen, grpc, version, etcdEndpoints, clock = systemClock } = options;
  await mkdir(stateDir, { recursive: true, mode: 0o700 });
  await mkdir(runDir, { recursive: true, mode: 0o755 });
  const registries = new RegistriesFile(options.registryConfig);
  // What is wrong in it is told now, and not at the first apply.
  await registries.read();
  const id = await masterId(stateDir);
  const trust = await loadTrust({
    stateDir, masterId: id, names: [hostOf(listen), hostOf(grpc), ...ownAddresses()], now: () => clock.now(),
    ...(options.certificateLifeMs === undefined ? {} : { lifeMs: options.certificateLifeMs }),
  });
  const etcd = etcdEndpoints === undefined
    ? await startEtcd({ dataDir: join(stateDir, 'etcd'), runDir: join(runDir, 'etcd'), tls: trust.etcd.current, log: log.child('etcd'), clock, signal })
    : null;
  parts.push(() => etcd?.stop());
  const store = new EtcdStore({ endpoints: etcdEndpoints ?? etcd?.endpoints ?? [], tls: trust.etcd.current, client: id, log: log.child('store'), clock });
  parts.push(() => store.close());
  const keep = (name: string) => ({ clock, log: log.child('trust').child(name), signal, random: Math.random });
  const renewal = keepCertificate(trust.etcd, async (made) => {
    await etcd?.rotate(made);
    store.rotate(made);
  }, keep('etcd'));
  const resolver = new RegistryResolver({ registries: () => registries.read(), env: process.env, clock, random: Math.random });
  const serving = await serveMaster({ store, resolver, trust, id, listen, grpc, version, wish: options, caDirectory: join(stateDir, 'ca'), clock, log, signal });
  parts.push(() => serving.close());
  options.serving?.();
  await Promise.all([serving.done, renewal]);
}

function hostOf(listen: string): string {
  const host = listen.slice(0, listen.lastIndexOf(':')).replace(/^\[|\]$/g, '');
  return host === '' || host === '0.0.0.0' || host === '::' ? '127.0.0.1' : host;
}

/** Clients may come by any of this machine's addresses. */
function ownAddresses(): string[] {
  return Object.values(networkInterfaces()).flatMap((list) => (list ?? []).filter((address) => address.family === 'IPv4').map((address) => address.address));
}
