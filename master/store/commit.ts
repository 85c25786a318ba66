/** Plans larger than one transaction. */
import { encodeOp, maxBytes, maxOps, opName } from './ops.ts';
import type { Epoch, Op, Store } from './port.ts';

/**
 * Commits a plan of any length, in order, in as few transactions as fit. Each is atomic, the whole is not: when one fails,
 * those before it stay, so a plan must be one that may be decided again from any prefix of itself.
 *
 * Resolves to the last revision, 0 when nothing was changed. Throws what `Store.commit` throws.
 */
export async function commitAll(store: Store, ops: readonly Op[], epoch?: Epoch): Promise<{ readonly revision: number }> {
  let revision = 0;
  for (const batch of split(ops)) {
    const result = await store.commit(batch, epoch);
    revision = Math.max(revision, result.revision);
  }
  return { revision };
}

/** Cuts a plan by count and size, and between two operations on the same key, which one transaction may not hold. */
export function split(ops: readonly Op[]): readonly (readonly Op[])[] {
  const batches: Op[][] = [];
  let batch: Op[] = [];
  let names = new Set<string>();
  let bytes = 0;
  for (const op of ops) {
    const size = encodeOp(op).bytes;
    if (batch.length > 0 && (batch.length === maxOps || bytes + size > maxBytes || names.has(opName(op)))) {
      batches.push(batch);
      batch = [];
      names = new Set();
      bytes = 0;
    }
    batch.push(op);
    names.add(opName(op));
    bytes += size;
  }
  if (batch.length > 0) batches.push(batch);
  return batches;
}
