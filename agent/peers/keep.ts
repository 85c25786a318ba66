/** Keeps the port for peers open: where it cannot be had now it is tried again, since pods do not depend on it. */
import type { Clock } from '../../lib/clock.ts';
import type { Log } from '../../lib/log.ts';
import type { Credentials } from '../../lib/pki/credentials.ts';
import { describeError } from '../../model/errors.ts';
import type { ServedBlobs } from './blobs.ts';
import type { PeerClient } from './client.ts';
import type { ServedVolumes } from './volumes.ts';
import { BlobServer } from './server.ts';
import type { PeerSources } from './source.ts';

/** The node's certificate while its programs run. */
export interface NodeCredentials {
  readonly credentials: Credentials;
  /** Calls back with each later one. */
  onRenewed(listener: (credentials: Credentials) => void): void;
}

/** What it takes to give image blobs to other nodes and to get them from there. */
export interface Peering {
  readonly blobs: ServedBlobs;
  readonly identity: NodeCredentials;
  readonly sources: PeerSources;
  /** Fetches volumes that move here. */
  readonly client: Pick<PeerClient, 'volume'>;
  /** 0 picks one; null serves nothing, and fetches all the same. */
  readonly port: number | null;
  /** That may be sent; no limit unless told. */
  readonly bytesPerSecond?: number;
}

export interface KeepOptions extends Omit<Peering, 'sources' | 'client'> {
  readonly volumes?: ServedVolumes;
  readonly port: number;
  /** This host's on the underlay. */
  readonly address: string;
  readonly isPeer: (node: string) => boolean;
  /** It listens, from now on. */
  readonly onOpen: (port: number) => void;
  readonly clock: Clock;
  readonly log: Log;
  readonly signal: AbortSignal;
}

const retryMs = { first: 500, most: 30_000 };

/** Resolves when it was tried once, so that a host says from the start where it serves; goes on trying if it must. Never rejects. */
export async function keepServing(options: KeepOptions): Promise<void> {
  const { clock, signal } = options;
  if (await attempt(options, retryMs.first)) return;
  void (async () => {
    for (let wait = retryMs.first; !signal.aborted; ) {
      await clock.sleep(wait, signal).catch(() => {});
      wait = Math.min(wait * 2, retryMs.most);
      if (signal.aborted || (await attempt(options, wait))) return;
    }
  })();
}

async function attempt(options: KeepOptions, wait: number): Promise<boolean> {
  const { identity, onOpen, log, ...rest } = options;
  try {
    const server = await BlobServer.start({ ...rest, credentials: identity.credentials, log });
    identity.onRenewed((credentials) => server.rotate(credentials));
    onOpen(server.port);
    return true;
  } catch (error) {
    log.warn('other nodes cannot fetch images from here', { error: describeError(error), again: wait });
    return false;
  }
}
