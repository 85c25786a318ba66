/** TLS for the gRPC server that takes a new certificate while it runs: new connections get it, those there are go on. */
import { experimental, type ServerCredentials } from '@grpc/grpc-js';
import type { Credentials } from '../../lib/pki/credentials.ts';

type AuthorityListener = experimental.CaCertificateUpdateListener;
type IdentityListener = experimental.IdentityCertificateUpdateListener;

export class RotatingCredentials implements experimental.CertificateProvider {
  /** Clients without a certificate of the authority are refused in the handshake. */
  readonly server: ServerCredentials;
  readonly #authority = new Set<AuthorityListener>();
  readonly #identity = new Set<IdentityListener>();
  #current: Credentials;

  constructor(first: Credentials) {
    this.#current = first;
    this.server = experimental.createCertificateProviderServerCredentials(this, this, true);
  }

  rotate(credentials: Credentials): void {
    this.#current = credentials;
    for (const listener of this.#identity) this.#tellIdentity(listener);
  }

  addCaCertificateListener(listener: AuthorityListener): void {
    this.#authority.add(listener);
    // The library hears only what is said once it has finished adding us.
    queueMicrotask(() => listener({ caCertificate: Buffer.from(this.#current.ca) }));
  }

  removeCaCertificateListener(listener: AuthorityListener): void {
    this.#authority.delete(listener);
  }

  addIdentityCertificateListener(listener: IdentityListener): void {
    this.#identity.add(listener);
    queueMicrotask(() => this.#tellIdentity(listener));
  }

  removeIdentityCertificateListener(listener: IdentityListener): void {
    this.#identity.delete(listener);
  }

  #tellIdentity(listener: IdentityListener): void {
    listener({ certificate: Buffer.from(this.#current.cert), privateKey: Buffer.from(this.#current.key) });
  }
}
