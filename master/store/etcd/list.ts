/** Reads: one key, or a range in pages that all show the same revision. */
import type { IKeyValue, IRangeRequest, IRangeResponse, KVClient } from 'etcd3';
import type { Clock } from '../../../lib/clock.ts';
import type { Range } from '../keys.ts';
import { isOutOfRange, isTooLarge, RpcError, storeError } from './errors.ts';

/** Of usual values. Pages that turn out larger than a message may be are asked for in smaller parts. */
const pageSize = 1000;

export interface Listing {
  readonly kvs: readonly IKeyValue[];
  readonly revision: number;
  readonly cluster: string;
}

/** Linearizable. Throws `unavailable` and the like. */
export async function readKey(kv: KVClient, clock: Clock, key: string): Promise<IKeyValue | null> {
  const reply = await read(kv, clock, { key: Buffer.from(key) });
  return reply.kvs[0] ?? null;
}

/** Everything in a range as of one revision, the latest. Throws `unavailable` and the like. */
export async function listRange(kv: KVClient, clock: Clock, range: Range): Promise<Listing> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await pages(kv, clock, range, 0);
    } catch (error) {
      // Compacted between two pages.
      if (!isOutOfRange(error) || attempt === 3) throw storeError(error, `list ${range.start}`);
    }
  }
}

/** The same as of a revision of the past; null when etcd has forgotten it, or not reached it (after a restore). */
export async function listRangeAt(kv: KVClient, clock: Clock, range: Range, revision: number): Promise<Listing | null> {
  try {
    return await pages(kv, clock, range, revision);
  } catch (error) {
    if (isOutOfRange(error)) return null;
    throw storeError(error, `list ${range.start}`);
  }
}

/** `at` 0: the latest. */
async function pages(kv: KVClient, clock: Clock, range: Range, at: number): Promise<Listing> {
  const kvs: IKeyValue[] = [];
  const end = Buffer.from(range.end);
  let key = Buffer.from(range.start);
  let revision = at;
  let limit = pageSize;
  for (;;) {
    let reply: IRangeResponse;
    try {
      reply = await read(kv, clock, { key, range_end: end, limit, revision });
    } catch (error) {
      if (!isTooLarge(error) || limit === 1) throw error;
      limit = Math.ceil(limit / 8);
      continue;
    }
    if (revision === 0) revision = Number(reply.header.revision);
    for (const found of reply.kvs) kvs.push(found);
    const last = reply.kvs.at(-1);
    if (!reply.more || !last) return { kvs, revision, cluster: reply.header.cluster_id };
    key = Buffer.concat([last.key, Buffer.from([0])]);
  }
}

/** A read may be repeated, so a broken connection or a change of etcd's leader is not the caller's concern. */
async function read(kv: KVClient, clock: Clock, request: IRangeRequest): Promise<IRangeResponse> {
  for (let wait = 30; ; wait *= 4) {
    try {
      return await kv.range(request);
    } catch (error) {
      if (isOutOfRange(error) || isTooLarge(error)) throw error;
      if (!(error instanceof RpcError) || !error.unreachable || wait > 200) throw storeError(error, 'read');
    }
    await clock.sleep(wait * (0.5 + Math.random() / 2));
  }
}
