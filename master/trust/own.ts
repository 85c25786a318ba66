/** A certificate of a master's own: on disk, in use, and made anew while the master runs. */
import type { Clock } from '../../lib/clock.ts';
import type { Log } from '../../lib/log.ts';
import { runRenewal } from '../../lib/pki/renewal.ts';
import type { Credentials } from '../../lib/pki/credentials.ts';

export interface OwnCertificate {
  /** The one in use now. */
  readonly current: Credentials;
  /** Makes a new key and certificate and puts them on disk; from then on they are `current`. */
  renew(): Promise<Credentials>;
}

export interface KeepOptions {
  readonly clock: Clock;
  readonly log: Log;
  readonly signal: AbortSignal;
  /** In [0, 1). */
  readonly random: () => number;
}

/** Renews before it is over, until the signal fires, and hands each new one to `install`. Never rejects. */
export async function keepCertificate(own: OwnCertificate, install: (credentials: Credentials) => Promise<void> | void, options: KeepOptions): Promise<void> {
  await runRenewal({
    ...options, certificate: own.current.cert,
    renew: async () => {
      const made = await own.renew();
      await install(made);
      return made.cert;
    },
  });
}
