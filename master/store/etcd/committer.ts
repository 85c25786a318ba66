/** One commit: a transaction that compares guards, epoch and slot, and is settled when its reply is lost. */
import { randomBytes } from 'node:crypto';
import type { IKeyValue, ICompare, IRequestOp, ITxnRequest, ITxnResponse, KVClient } from 'etcd3';
import type { Clock } from '../../../lib/clock.ts';
import { TsorchError } from '../../../model/errors.ts';
import type { KeySpace } from '../keys.ts';
import { conflict, encodeOps } from '../ops.ts';
import type { EncodedOp } from '../ops.ts';
import type { Epoch, Op } from '../port.ts';
import { RpcError, storeError } from './errors.ts';
import { Slots } from './slots.ts';
import type { Slot } from './slots.ts';

export interface CommitterOptions {
  readonly kv: KVClient;
  readonly keys: KeySpace;
  /** Names the slots. Best one that outlives the process, so that they are used again. */
  readonly client: string;
  readonly clock: Clock;
  /** For how long to find out about a lost reply, milliseconds. */
  readonly settleMs: number;
}

/** A slot can be moved by another process that uses the same client id; more than once in a row means it is live. */
const maxAttempts = 4;

export class Committer {
  readonly #options: CommitterOptions;
  readonly #slots: Slots;
  readonly #nonce = randomBytes(6).toString('base64url');
  #count = 0;

  constructor(options: CommitterOptions) {
    this.#options = options;
    this.#slots = new Slots(options.kv, (index) => options.keys.slot(options.client, index));
  }

  async commit(ops: readonly Op[], epoch: Epoch | undefined): Promise<{ readonly revision: number }> {
    const encoded = encodeOps(ops);
    return this.#slots.with(async (slot) => {
      for (let attempt = 1; attempt <= maxAttempts; attempt++) {
        const result = await this.#attempt(encoded, epoch, slot);
        if (result !== 'slot-moved') return { revision: result };
      }
      throw new TsorchError('unavailable', 'another process commits under the same client id', { hint: 'run each master with a state directory of its own' });
    });
  }

  /** Removes this client's slots. */
  close(): Promise<void> {
    return this.#slots.remove();
  }

  async #attempt(encoded: readonly EncodedOp[], epoch: Epoch | undefined, slot: Slot): Promise<number | 'slot-moved'> {
    let expected: number;
    try {
      expected = await this.#slots.revision(slot);
    } catch (error) {
      throw storeError(error, 'before a commit');
    }
    const mark = Buffer.from(`${this.#nonce}/${++this.#count}`);
    let reply: ITxnResponse;
    try {
      reply = await this.#options.kv.txn(this.#request(encoded, epoch, slot, expected, mark));
    } catch (error) {
      slot.revision = null;
      if (error instanceof RpcError && error.effect === 'unknown') return await this.#settle(slot, expected, mark, error);
      throw storeError(error, 'commit');
    }
    const revision = Number(reply.header.revision);
    if (reply.succeeded) {
      slot.revision = revision;
      const changed = encoded.some(({ op }, index) => op.op === 'put' || Number(reply.responses[index]?.response_delete_range?.deleted ?? 0) > 0);
      return changed ? revision : 0;
    }
    return this.#explain(encoded, epoch, slot, mark, reply);
  }

  #request(encoded: readonly EncodedOp[], epoch: Epoch | undefined, slot: Slot, expected: number, mark: Buffer): ITxnRequest {
    const { keys } = this.#options;
    const compare: ICompare[] = [{ key: slot.key, target: 'Mod', result: 'Equal', mod_revision: expected }];
    const success: IRequestOp[] = [];
    const failure: IRequestOp[] = [{ request_range: { key: slot.key } }];
    if (epoch) {
      const key = Buffer.from(keys.named(epoch.key));
      compare.push({ key, target: 'Mod', result: 'Equal', mod_revision: epoch.createRevision });
      failure.push({ request_range: { key, keys_only: true } });
    }
    for (const { op, json } of encoded) {
      const key = Buffer.from(keys.key(op.kind, op.id));
      if (op.guard !== undefined) {
        compare.push({ key, target: 'Mod', result: 'Equal', mod_revision: op.guard });
        failure.push({ request_range: { key, keys_only: true } });
      }
      success.push(op.op === 'put'
        ? { request_put: { key, value: Buffer.from(json!), ...(op.lease === undefined ? {} : { lease: op.lease }) } }
        : { request_delete_range: { key } });
    }
    success.push({ request_put: { key: slot.key, value: mark } });
    return { compare, success, failure };
  }

  /** A comparison failed: says which. The reads were made in the same transaction, in the order of the request. */
  #explain(encoded: readonly EncodedOp[], epoch: Epoch | undefined, slot: Slot, mark: Buffer, reply: ITxnResponse): number | 'slot-moved' {
    const found: (IKeyValue | undefined)[] = reply.responses.map((response) => response.response_range?.kvs[0]);
    const slotNow = found.shift();
    slot.revision = Number(slotNow?.mod_revision ?? 0);
    // The transport delivered the request twice and this is the answer to the second.
    if (slotNow?.value.equals(mark)) return slot.revision;
    if (epoch && Number(found.shift()?.mod_revision ?? 0) !== epoch.createRevision) {
      throw new TsorchError('fenced', `the leader's term ${epoch.createRevision} is over`);
    }
    const failed: { op: Op; found: number }[] = [];
    for (const { op } of encoded) {
      if (op.guard === undefined) continue;
      const revision = Number(found.shift()?.mod_revision ?? 0);
      if (revision !== op.guard) failed.push({ op, found: revision });
    }
    if (failed.length > 0) throw conflict(failed);
    return 'slot-moved';
  }

  /**
   * Finds out what became of a commit, or makes sure that nothing will. The void mark is only put while the slot is as the
   * commit expected it, so a question that arrives late cannot wipe out the mark of a later commit.
   */
  async #settle(slot: Slot, expected: number, mark: Buffer, cause: RpcError): Promise<number> {
    const { kv, clock, settleMs } = this.#options;
    const end = clock.monotonic() + settleMs;
    const voided = Buffer.concat([mark, Buffer.from(' void')]);
    const question: ITxnRequest = {
      compare: [{ key: slot.key, target: 'Mod', result: 'Equal', mod_revision: expected }],
      success: [{ request_put: { key: slot.key, value: voided } }],
      failure: [{ request_range: { key: slot.key } }],
    };
    for (let wait = 50; ; wait = Math.min(wait * 2, 1000)) {
      const reply = await kv.txn(question).catch(() => null);
      if (reply) {
        const found = reply.succeeded ? undefined : reply.responses[0]?.response_range.kvs[0];
        if (found?.value.equals(mark)) return Number(found.mod_revision);
        if (reply.succeeded || found?.value.equals(voided)) {
          throw new TsorchError('unavailable', `etcd, commit: ${cause.message}; nothing was changed`, { cause });
        }
      }
      if (reply || clock.monotonic() + wait >= end) {
        throw new TsorchError('unknown-outcome', `etcd, commit: ${cause.message}; whether it was applied could not be found out`, { cause, hint: 'read again before deciding' });
      }
      await clock.sleep(wait * (0.5 + Math.random() / 2));
    }
  }
}
