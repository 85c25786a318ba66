/**
 * A connection to an etcd cluster that does what it is told once. The library's own pool repeats writes whose reply was
 * lost, has no deadlines, and breaks every call of a host after one that was too large; its typed clients are good, so
 * they run on this instead.
 *
 * Calls go to one endpoint until it fails, then to the next.
 */
import * as grpc from '@grpc/grpc-js';
import { Host } from 'etcd3/lib/connection-pool.js';
import { KVClient, LeaseClient, MaintenanceClient, WatchClient } from 'etcd3';
import type { Services } from 'etcd3';
import { channelCredentials } from '../../../lib/pki/channel.ts';
import { rpcError } from './errors.ts';

export interface EtcdTls {
  /** PEM, each. */
  readonly ca: string;
  readonly cert: string;
  readonly key: string;
}

export interface ConnectionOptions {
  /** `https://127.0.0.1:2379`; all of them with TLS or none. */
  readonly endpoints: readonly string[];
  readonly tls?: EtcdTls;
  /** For every unary call, milliseconds. */
  readonly deadlineMs: number;
}

type Service = keyof typeof Services;

type UnaryMethod = (payload: unknown, metadata: grpc.Metadata, options: grpc.CallOptions, callback: (error: grpc.ServiceError | null, reply: unknown) => void) => void;

const channelOptions: grpc.ChannelOptions = {
  // A page of a list or a fragment of a watch stays far below; the limit only guards against nonsense.
  'grpc.max_receive_message_length': 64 << 20,
  'grpc.max_send_message_length': 8 << 20,
  // Above etcd's minimum of 5 s between pings. A dead peer is noticed in 9 s.
  'grpc.keepalive_time_ms': 6000,
  'grpc.keepalive_timeout_ms': 3000,
  // etcd breaks connections that ping without a call under way.
  'grpc.keepalive_permit_without_calls': 0,
  'grpc.initial_reconnect_backoff_ms': 50,
  'grpc.max_reconnect_backoff_ms': 2000,
  'grpc.enable_retries': 0,
  'grpc.enable_http_proxy': 0,
  'grpc.use_local_subchannel_pool': 1,
  'grpc-node.flow_control_window': 4 << 20,
};

export class EtcdConnection {
  readonly kv: KVClient;
  readonly watch: WatchClient;
  readonly lease: LeaseClient;
  readonly maintenance: MaintenanceClient;
  /** The library's clients ask for it; nothing is added by it. */
  readonly callOptionsFactory = undefined;
  readonly #options: ConnectionOptions;
  #hosts: readonly Host[];
  #current = 0;
  #closed = false;

  constructor(options: ConnectionOptions) {
    this.#options = options;
    this.#hosts = makeHosts(options.endpoints, options.tls);
    this.kv = new KVClient(this);
    this.watch = new WatchClient(this);
    this.lease = new LeaseClient(this);
    this.maintenance = new MaintenanceClient(this);
  }

  /** One unary call, sent at most once. Throws RpcError. */
  exec<T>(service: Service, method: string, payload: unknown, options: grpc.CallOptions = {}): Promise<T> {
    return new Promise((resolve, reject) => {
      const host = this.#host();
      const client = this.#client(host, service);
      const call = (client as unknown as Record<string, UnaryMethod>)[method]!;
      const deadline = options.deadline ?? Date.now() + this.#options.deadlineMs;
      call.call(client, payload, metadata(), { ...options, deadline }, (error, reply) => {
        if (!error) return resolve(reply as T);
        const failure = rpcError(error);
        if (failure.unreachable) this.#failover(host);
        // A connection that is dead without knowing it: the next call makes a new one.
        if (failure.code === grpc.status.DEADLINE_EXCEEDED && this.#isOpen(host) && host.getServiceClient(service) === client) host.resetAllServices();
        reject(failure);
      });
    });
  }

  /** Streams: the library's clients open them through this. */
  async withConnection<R>(service: Service, open: (args: { resource: Host; client: grpc.Client; metadata: grpc.Metadata }) => Promise<R> | R): Promise<R> {
    const host = this.#host();
    return await open({ resource: host, client: this.#client(host, service), metadata: metadata() });
  }

  /** A stream of this host broke. */
  markFailed(host: Host, error: Error): void {
    if (rpcError(error).unreachable) this.#failover(host);
  }

  /** New calls use the new certificate; those under way go on. */
  rotate(tls: EtcdTls): void {
    if (this.#closed) return;
    const old = this.#hosts;
    this.#hosts = makeHosts(this.#options.endpoints, tls);
    this.#current %= this.#hosts.length;
    for (const host of old) host.close();
  }

  close(): void {
    this.#closed = true;
    for (const host of this.#hosts) host.close();
  }

  #host(): Host {
    return this.#hosts[this.#current]!;
  }

  #client(host: Host, service: Service): grpc.Client {
    if (this.#closed) throw rpcError(Object.assign(new Error('closed'), { code: grpc.status.CANCELLED, details: 'Channel closed before call started' }));
    return host.getServiceClient(service);
  }

  #isOpen(host: Host): boolean {
    return !this.#closed && this.#hosts.includes(host);
  }

  #failover(failed: Host): void {
    if (failed === this.#host()) this.#current = (this.#current + 1) % this.#hosts.length;
  }
}

/** Without it, a member cut off from its cluster answers reads of the past and keeps watches that nothing comes through. */
function metadata(): grpc.Metadata {
  const result = new grpc.Metadata();
  result.set('hasleader', 'true');
  return result;
}

function makeHosts(endpoints: readonly string[], tls: EtcdTls | undefined): readonly Host[] {
  const credentials = tls ? channelCredentials(tls) : grpc.credentials.createInsecure();
  return endpoints.map((endpoint) => new Host(endpoint, credentials, channelOptions));
}
