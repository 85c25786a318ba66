/**
 * Marks of commits. Every commit also overwrites one small key of this client, its slot, and demands that the slot is as
 * it was. So when a reply is lost, one more transaction settles what happened: either the slot carries the commit's mark,
 * or the slot is moved on, after which the lost commit cannot be applied any more, however late it arrives.
 */
import type { KVClient } from 'etcd3';

export interface Slot {
  readonly key: Buffer;
  /** Its mod_revision as last seen; null when it must be read first. */
  revision: number | null;
}

/** As many commits are under way at once; further ones wait in line. */
const maxSlots = 64;

export class Slots {
  readonly #kv: KVClient;
  readonly #keyOf: (index: number) => string;
  readonly #free: Slot[] = [];
  readonly #waiting: ((slot: Slot) => void)[] = [];
  #made = 0;

  constructor(kv: KVClient, keyOf: (index: number) => string) {
    this.#kv = kv;
    this.#keyOf = keyOf;
  }

  /** Runs `use` with a slot of its own. */
  async with<T>(use: (slot: Slot) => Promise<T>): Promise<T> {
    const slot = await this.#acquire();
    try {
      return await use(slot);
    } finally {
      const next = this.#waiting.shift();
      if (next) next(slot);
      else this.#free.push(slot);
    }
  }

  /** The revision to expect of a slot. Throws RpcError. */
  async revision(slot: Slot): Promise<number> {
    if (slot.revision !== null) return slot.revision;
    const reply = await this.#kv.range({ key: slot.key });
    slot.revision = Number(reply.kvs[0]?.mod_revision ?? 0);
    return slot.revision;
  }

  /** Removes the slots: for a client that ends in good order. */
  async remove(): Promise<void> {
    const keys = Array.from({ length: this.#made }, (_, index) => Buffer.from(this.#keyOf(index)));
    if (keys.length > 0) await this.#kv.txn({ compare: [], success: keys.map((key) => ({ request_delete_range: { key } })), failure: [] });
  }

  #acquire(): Promise<Slot> {
    const free = this.#free.pop();
    if (free) return Promise.resolve(free);
    if (this.#made < maxSlots) return Promise.resolve({ key: Buffer.from(this.#keyOf(this.#made++)), revision: null });
    return new Promise((resolve) => this.#waiting.push(resolve));
  }
}
