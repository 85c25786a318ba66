/**
 * The gRPC side of a master: agents' sessions and data streams, proxies' tables. Mutual TLS; the certificate alone says which
 * node is speaking, never the message. A certificate outlives its node: once the node is removed from the cluster its streams
 * are cut and new ones refused.
 */
import { Server, status, type sendUnaryData, type ServerDuplexStream, type ServerUnaryCall } from '@grpc/grpc-js';
import type { PeerCertificate } from 'node:tls';
import type { Credentials } from '../lib/pki/credentials.ts';
import { TsorchError } from '../model/errors.ts';
import { AgentsService } from '../proto/agents.ts';
import { type LocateReply, type LocateRequest, TablesService } from '../proto/gen/tsorch/node.ts';
import { refuse } from './nodes/refuse.ts';
import type { Sessions } from './nodes/sessions.ts';
import type { TablePublisher } from './table/publisher.ts';
import type { Identity } from '../model/identity.ts';
import { RotatingCredentials } from './trust/server-credentials.ts';
import type { World } from './world.ts';
import { widenWindows } from './window.ts';

export interface GrpcOptions {
  readonly tls: Credentials;
  readonly identify: (certificate: PeerCertificate) => Identity | null;
  readonly world: Pick<World, 'get' | 'subscribe'>;
  readonly sessions: Pick<Sessions, 'serve' | 'acceptData'>;
  readonly tables: Pick<TablePublisher, 'serve'>;
  readonly locate: (node: string, request: LocateRequest) => LocateReply;
  /** `host:port`; port 0 picks one. */
  readonly listen: string;
  /** Ends the watch for removed nodes; the server ends with `stop`. */
  readonly signal: AbortSignal;
}

export interface GrpcServer {
  readonly port: number;
  /** New connections see the new certificate. */
  rotate(credentials: Credentials): void;
  stop(): void;
}

type Stream = ServerDuplexStream<never, never>;

export async function startGrpc(options: GrpcOptions): Promise<GrpcServer> {
  const { world } = options;
  const server = new Server({
    // Dead peers are noticed by pings as well as by heartbeats; agents may ping as often.
    'grpc.keepalive_time_ms': 5_000,
    'grpc.keepalive_timeout_ms': 5_000,
    'grpc.http2.min_ping_interval_without_data_ms': 1_000,
    'grpc.max_receive_message_length': 32 * 1024 * 1024,
    'grpc.max_send_message_length': 128 * 1024 * 1024,
  });
  widenWindows(options.signal);
  const streams = new Map<string, Set<Stream>>();
  const nodeOf = (call: Pick<Stream, 'getAuthContext'>): string | null => {
    const certificate = call.getAuthContext().sslPeerCertificate;
    const identity = certificate ? options.identify(certificate) : null;
    return identity?.role === 'node' ? identity.name : null;
  };
  /** Why this caller is refused; null when it is not. */
  const refusal = (node: string | null) => (node === null ? 'this call is for nodes' : world.get('nodes', node) ? null : removed);
  const asNode = <A, B>(serve: (node: string, stream: ServerDuplexStream<A, B>) => void) => (stream: ServerDuplexStream<A, B>) => {
    // Somebody must listen from the start: a stream may break before whoever serves it looks.
    stream.on('error', () => {});
    const node = nodeOf(stream);
    const refused = refusal(node);
    if (node === null || refused !== null) return refuse(stream, status.PERMISSION_DENIED, refused ?? removed);
    track(streams, node, stream as unknown as Stream);
    serve(node, stream);
  };
  const answerNode = <A, B>(answer: (node: string, request: A) => B) => (call: ServerUnaryCall<A, B>, reply: sendUnaryData<B>) => {
    const node = nodeOf(call);
    const refused = refusal(node);
    if (node === null || refused !== null) return reply(Object.assign(new Error(refused ?? removed), { code: status.PERMISSION_DENIED, details: refused ?? removed }));
    reply(null, answer(node, call.request));
  };
  world.subscribe((changes) => {
    for (const change of changes) {
      if (change.kind !== 'nodes' || change.entry !== null) continue;
      for (const stream of streams.get(change.id) ?? []) refuse(stream, status.PERMISSION_DENIED, removed);
    }
  }, options.signal);
  server.addService(AgentsService, {
    session: asNode((node, stream) => options.sessions.serve(node, stream)),
    data: asNode((node, stream) => options.sessions.acceptData(node, stream)),
    locate: answerNode((node, request) => options.locate(node, request)),
  });
  server.addService(TablesService, { watch: asNode((node, stream) => options.tables.serve(node, stream)) });
  const credentials = new RotatingCredentials(options.tls);
  const port = await new Promise<number>((resolve, reject) => {
    server.bindAsync(options.listen, credentials.server, (error, bound) => {
      if (error) reject(new TsorchError('unavailable', `cannot listen on ${options.listen}: ${error.message}`, { cause: error, hint: 'another master may be running; --grpc chooses another port' }));
      else resolve(bound);
    });
  });
  return { port, rotate: (next) => credentials.rotate(next), stop: () => server.forceShutdown() };
}

const removed = 'this node was removed from the cluster; join it again with a token';

function track(streams: Map<string, Set<Stream>>, node: string, stream: Stream): void {
  const own = streams.get(node) ?? new Set();
  streams.set(node, own.add(stream));
  const forget = () => {
    own.delete(stream);
    if (own.size === 0 && streams.get(node) === own) streams.delete(node);
  };
  stream.once('close', forget).once('cancelled', forget);
}
