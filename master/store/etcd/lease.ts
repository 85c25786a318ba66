/**
 * A lease with a deadline of its own: it counts as lost once the last renewal that etcd acknowledged was *sent* too long
 * ago, by a clock that only grows. That is well before etcd gives the keys to somebody else, whatever the network does.
 */
import { randomBytes } from 'node:crypto';
import type { ILeaseKeepAliveRequest, ILeaseKeepAliveResponse, LeaseClient } from 'etcd3';
import type { Clock } from '../../../lib/clock.ts';
import type { Log } from '../../../lib/log.ts';
import { TsorchError } from '../../../model/errors.ts';
import { storeError } from './errors.ts';

/** The part of its time to live for which a holder may rely on a lease: 6 of 10 seconds. */
export const safePart = 0.6;

/** Renewals per time to live: two may go missing before the lease counts as lost. */
const renewals = 5;

export interface LeaseOptions {
  readonly client: LeaseClient;
  readonly clock: Clock;
  readonly log: Log;
  readonly ttlMs: number;
  /** Ends the lease: it is revoked, its keys vanish at once. */
  readonly signal: AbortSignal;
}

export interface HeldLease {
  readonly id: string;
  readonly lost: AbortSignal;
  /** Resolves when the lease is over and, if etcd could be reached, revoked. */
  readonly done: Promise<void>;
}

/** Throws `unavailable` when etcd does not answer, `aborted` when the signal has fired. */
export async function holdLease(options: LeaseOptions): Promise<HeldLease> {
  const { client, clock, ttlMs, signal } = options;
  if (signal.aborted) throw new TsorchError('aborted', 'no lease was taken');
  // An id of our choice: if the reply is lost, the lease runs out by itself and nobody mistakes it for another.
  const id = BigInt.asUintN(62, BigInt(`0x${randomBytes(8).toString('hex')}`)).toString();
  const sent = clock.monotonic();
  try {
    await client.leaseGrant({ ID: id, TTL: Math.max(1, Math.ceil(ttlMs / 1000)) });
  } catch (error) {
    throw storeError(error, 'lease');
  }
  const lost = new AbortController();
  return { id, lost: lost.signal, done: keep(options, id, sent, lost) };
}

async function keep({ client, clock, log, ttlMs, signal }: LeaseOptions, id: string, granted: number, lost: AbortController): Promise<void> {
  const end = AbortSignal.any([signal, lost.signal]);
  let deadline = granted + ttlMs * safePart;
  const lose = (why: string) => {
    if (end.aborted) return;
    log.warn('lease lost', { lease: id, why });
    lost.abort(new TsorchError('fenced', `the lease is lost: ${why}`));
  };

  const watchDeadline = async () => {
    while (!end.aborted) {
      const left = deadline - clock.monotonic();
      if (left <= 0) return lose('etcd did not acknowledge a renewal in time');
      await clock.sleep(left, end).catch(() => {});
    }
  };

  const renew = async () => {
    while (!end.aborted) {
      await renewOnStream(client, clock, id, ttlMs / renewals, end, (sent) => {
        deadline = Math.max(deadline, sent + ttlMs * safePart);
      }, () => lose('etcd has ended it'));
      await clock.sleep(Math.min(200, ttlMs / 20), end).catch(() => {});
    }
  };

  await Promise.all([watchDeadline(), renew()]);
  await client.leaseRevoke({ ID: id }, { deadline: Date.now() + 1000 }).catch(() => {});
}

/** Renews until the stream breaks or `end` fires. etcd answers in the order it was asked. */
async function renewOnStream(client: LeaseClient, clock: Clock, id: string, everyMs: number, end: AbortSignal, renewed: (sent: number) => void, gone: () => void): Promise<void> {
  const stream = await client.leaseKeepAlive().catch(() => null);
  if (!stream) return;
  const over = new AbortController();
  const stop = AbortSignal.any([end, over.signal]);
  const asked: number[] = [];
  stream.on('data', (reply: ILeaseKeepAliveResponse) => {
    const sent = asked.shift();
    if (Number(reply.TTL) <= 0) gone();
    else if (sent !== undefined) renewed(sent);
  });
  stream.on('error', () => over.abort());
  stream.on('end', () => over.abort());
  while (!stop.aborted) {
    // A stream that does not answer is given up for a new one, perhaps of another member.
    if (asked.length >= 2) break;
    asked.push(clock.monotonic());
    stream.write({ ID: id } satisfies ILeaseKeepAliveRequest);
    await clock.sleep(everyMs, stop).catch(() => {});
  }
  stream.cancel();
}
