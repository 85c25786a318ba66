/** The node's identity while its programs run: always the newest, renewed in time, and the same for agent and proxy. */
import type { ChannelCredentials } from '@grpc/grpc-js';
import type { Clock } from '../../lib/clock.ts';
import type { Log } from '../../lib/log.ts';
import { canServe, certificateLife } from '../../lib/pki/certificate.ts';
import { channelCredentials } from '../../lib/pki/channel.ts';
import type { Credentials } from '../../lib/pki/credentials.ts';
import { readCredentials } from '../../lib/pki/credentials.ts';
import { runRenewal } from '../../lib/pki/renewal.ts';
import type { HostArguments } from './arguments.ts';
import { identityDirectory, isOver, rejoin, renewIdentity, type NodeIdentity } from './enrol.ts';

export interface IdentityOptions {
  readonly args: HostArguments;
  readonly first: NodeIdentity;
  readonly clock: Clock;
  readonly log: Log;
  readonly signal: AbortSignal;
  readonly random: () => number;
}

/** A proxy beside an agent leaves renewing to it, and does so itself only when the agent has not by this point of the 0 to 1. */
const lastResort = 1.2;

export class LivingIdentity {
  readonly #options: IdentityOptions;
  readonly #listeners = new Set<(credentials: Credentials) => void>();
  #current: NodeIdentity;
  /** Resolves when the signal has fired. */
  readonly done: Promise<void>;

  constructor(options: IdentityOptions) {
    const { args, first, clock, log, signal, random } = options;
    this.#options = options;
    this.#current = first;
    this.done = runRenewal({
      clock, log, signal, certificate: first.credentials.cert,
      // One of a cluster that was made before hosts served each other.
      outdated: args.kind !== 'proxy' && !canServe(first.credentials.cert, first.nodeId),
      random: args.kind === 'proxy' ? () => lastResort : random, renew: () => this.#renew(),
    });
  }

  get current(): NodeIdentity {
    return this.#current;
  }

  get credentials(): Credentials {
    return this.#current.credentials;
  }

  /** For a new connection; those there are keep what they began with. */
  channelCredentials(): ChannelCredentials {
    return channelCredentials(this.#current.credentials);
  }

  /** Called with each new certificate, for servers. */
  onRenewed(listener: (credentials: Credentials) => void): void {
    this.#listeners.add(listener);
  }

  async #renew(): Promise<string> {
    const { args, clock } = this.#options;
    const found = await this.#fromDisk();
    if (found) this.#current = { ...this.#current, credentials: found };
    else if (isOver(this.#current, clock.now())) this.#current = await rejoin(args, this.#current, clock.now());
    else this.#current = { ...this.#current, credentials: await renewIdentity(args, this.#current) };
    for (const listener of this.#listeners) listener(this.#current.credentials);
    return this.#current.credentials.cert;
  }

  /** What another program of this host has renewed meanwhile. */
  async #fromDisk(): Promise<Credentials | null> {
    const found = await readCredentials(identityDirectory(this.#options.args));
    const { cert } = this.#current.credentials;
    return found && found.cert !== cert && certificateLife(found.cert).to >= certificateLife(cert).to ? found : null;
  }
}
