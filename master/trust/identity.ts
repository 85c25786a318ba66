/** Who is at the other end of a TLS connection. */
import type { TLSSocket } from 'node:tls';
import { identify, type Identity } from '../../model/identity.ts';

/** Null for connections without a certificate, or with one that is not the CA's. */
export function identifySocket(socket: TLSSocket): Identity | null {
  return socket.authorized ? identify(socket.getPeerCertificate()) : null;
}
