/** Keeps a certificate young: a new one at a random point of 50 to 80 % of its life, so that a thousand hosts do not come at once. */
import type { Clock } from '../clock.ts';
import type { Log } from '../log.ts';
import { certificateLife, renewalTime } from './certificate.ts';

export interface RenewalOptions {
  readonly clock: Clock;
  readonly log: Log;
  readonly signal: AbortSignal;
  /** In [0, 1). */
  readonly random: () => number;
  /** The certificate in use, PEM. */
  readonly certificate: string;
  /** It lacks something that one of today has: the first renewal is due now, whatever its age. */
  readonly outdated?: boolean;
  /** Gets and installs a new one; returns its PEM. */
  readonly renew: (signal: AbortSignal) => Promise<string>;
}

/** The wall clock is looked at this often: it may be set, and hosts sleep. */
const lookMs = 3_600_000;
const firstRetryMs = 60_000;
const maxRetryMs = 3_600_000;
/** A certificate that does not live long cannot wait that long: at most this part of its life. */
const retryShare = 0.05;
/** A new certificate is kept for this part of its life, whatever its dates say. */
const leastShare = 0.1;

/** Renews until the signal fires; a failure is tried again after a minute, later after up to an hour. Never rejects. */
export async function runRenewal(options: RenewalOptions): Promise<void> {
  const { clock, log, signal, random } = options;
  let certificate = options.certificate;
  let due = options.outdated === true ? clock.now() : renewalTime(certificate, random());
  let retry = 0;
  while (!signal.aborted) {
    const left = due - clock.now();
    if (left > 0) {
      await clock.sleep(Math.min(left, lookMs), signal).catch(() => {});
      continue;
    }
    try {
      certificate = await options.renew(signal);
      // An issuer whose clock is far behind ours must not be asked again and again.
      due = Math.max(renewalTime(certificate, random()), clock.now() + lifeOf(certificate) * leastShare);
      retry = 0;
      log.info('certificate renewed', { until: until(certificate) });
    } catch (error) {
      if (signal.aborted) return;
      const expired = certificateLife(certificate).to <= clock.now();
      log[expired ? 'error' : 'warn']('could not renew the certificate', { error, until: until(certificate) });
      retry = Math.min(retry === 0 ? firstRetryMs : retry * 2, maxRetryMs, lifeOf(certificate) * retryShare);
      await clock.sleep(retry * (0.5 + random() / 2), signal).catch(() => {});
    }
  }
}

function lifeOf(certificate: string): number {
  const { from, to } = certificateLife(certificate);
  return to - from;
}

function until(certificate: string): string {
  return new Date(certificateLife(certificate).to).toISOString();
}
