/**
 * The gRPC side of a master: agents' sessions and data streams, proxies' tables. Mutual TLS; the certificate alone says which
 * node is speaking, never the message.
 */
import { Server, ServerCredentials, status, type ServerDuplexStream } from '@grpc/grpc-js';
import type { PeerCertificate } from 'node:tls';
import { TsorchError } from '../model/errors.ts';
import { AgentsService, TablesService } from '../proto/gen/tsorch/node.ts';
import { refuse } from './nodes/refuse.ts';
import type { Sessions } from './nodes/sessions.ts';
import type { TablePublisher } from './table/publisher.ts';
import type { Identity } from './trust/identity.ts';

export interface GrpcOptions {
  readonly tls: { readonly ca: string; readonly cert: string; readonly key: string };
  readonly identify: (certificate: PeerCertificate) => Identity | null;
  readonly sessions: Sessions;
  readonly tables: TablePublisher;
  /** `host:port`; port 0 picks one. */
  readonly listen: string;
}

export async function startGrpc(options: GrpcOptions): Promise<{ readonly port: number; stop(): void }> {
  const server = new Server({
    // Dead peers are noticed by pings as well as by heartbeats; agents may ping as often.
    'grpc.keepalive_time_ms': 5_000,
    'grpc.keepalive_timeout_ms': 5_000,
    'grpc.http2.min_ping_interval_without_data_ms': 1_000,
    'grpc.max_receive_message_length': 32 * 1024 * 1024,
    'grpc.max_send_message_length': 128 * 1024 * 1024,
  });
  const asNode = <A, B>(serve: (node: string, stream: ServerDuplexStream<A, B>) => void) => (stream: ServerDuplexStream<A, B>) => {
    const certificate = stream.getAuthContext().sslPeerCertificate;
    const identity = certificate ? options.identify(certificate) : null;
    if (identity?.role !== 'node') {
      refuse(stream, status.PERMISSION_DENIED, 'this call is for nodes');
      return;
    }
    serve(identity.name, stream);
  };
  server.addService(AgentsService, {
    session: asNode((node, stream) => options.sessions.serve(node, stream)),
    data: asNode((node, stream) => options.sessions.acceptData(node, stream)),
  });
  server.addService(TablesService, { watch: asNode((node, stream) => options.tables.serve(node, stream)) });
  const { ca, cert, key } = options.tls;
  const credentials = ServerCredentials.createSsl(Buffer.from(ca), [{ cert_chain: Buffer.from(cert), private_key: Buffer.from(key) }], true);
  const port = await new Promise<number>((resolve, reject) => {
    server.bindAsync(options.listen, credentials, (error, bound) => {
      if (error) reject(new TsorchError('unavailable', `cannot listen on ${options.listen}: ${error.message}`, { cause: error, hint: 'another master may be running; --grpc chooses another port' }));
      else resolve(bound);
    });
  });
  return { port, stop: () => server.forceShutdown() };
}
