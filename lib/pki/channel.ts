/**
 * TLS for gRPC clients that dial addresses as well as names. The library names whom it dials in the handshake, an address too, which
 * RFC 6066 forbids and Node will not do any longer; a server that is dialled by its address is named nothing here, and its certificate
 * must be made out to that address all the same.
 */
import { isIP, type Socket } from 'node:net';
import { connect, createSecureContext, type SecureContext, type TLSSocket } from 'node:tls';
import { CallCredentials, ChannelCredentials, type ChannelOptions, type experimental } from '@grpc/grpc-js';

/** PEM, each. Without certificate and key the client stays unknown. */
export interface ChannelTls {
  readonly ca: string;
  readonly cert?: string;
  readonly key?: string;
}

export function channelCredentials(tls: ChannelTls): ChannelCredentials {
  const { ca, cert, key } = tls;
  return new TlsCredentials(createSecureContext({ ca, ...(cert === undefined ? {} : { cert }), ...(key === undefined ? {} : { key }) }));
}

class TlsCredentials extends ChannelCredentials {
  readonly #context: SecureContext;
  readonly #named: ChannelCredentials;

  constructor(context: SecureContext) {
    super();
    this.#context = context;
    this.#named = ChannelCredentials.createFromSecureContext(context);
  }

  override _isSecure(): boolean {
    return true;
  }

  override _equals(other: ChannelCredentials): boolean {
    return this === other;
  }

  override _createSecureConnector(target: experimental.GrpcUri, options: ChannelOptions, calls?: CallCredentials): experimental.SecureConnector {
    const host = hostOf(target.path);
    // Through a proxy, `target` is the proxy.
    if (isIP(host) === 0 || options['grpc.http_connect_target'] !== undefined) return this.#named._createSecureConnector(target, options, calls);
    return {
      connect: async (socket) => ({ socket: await secured(socket, host, this.#context), secure: true }),
      waitForReady: () => Promise.resolve(),
      getCallCredentials: () => calls ?? CallCredentials.createEmpty(),
      destroy: () => {},
    };
  }
}

/** `10.0.0.1:7444` → `10.0.0.1`, `[::1]:7444` → `::1`. */
function hostOf(path: string): string {
  return /^\[(.*)\](?::\d+)?$/.exec(path)?.[1] ?? path.replace(/:\d+$/, '');
}

/** `host` is what the certificate is checked against, no more. */
function secured(socket: Socket, host: string, secureContext: SecureContext): Promise<TLSSocket> {
  return new Promise((resolve, reject) => {
    const tls = connect({ socket, host, secureContext, ALPNProtocols: ['h2'] }, () => resolve(tls));
    // It stays: a socket whose errors nobody hears ends the program.
    tls.on('error', reject);
  });
}
