/** What every store checks before it commits, and the sizes that plans are cut by. */
import { TsorchError } from '../../model/errors.ts';
import type { Op } from './port.ts';

/** etcd takes 128; the rest is room for the epoch and the mark of the commit itself. */
export const maxOps = 100;

/** etcd takes 1.5 MiB per request. */
export const maxBytes = 1_000_000;

export interface EncodedOp {
  readonly op: Op;
  /** JSON of a put, null for a delete. */
  readonly json: string | null;
  readonly bytes: number;
}

/** Keys, guards and framing of one operation, generously. */
const overhead = 200;

export function encodeOp(op: Op): EncodedOp {
  const json = op.op === 'put' ? JSON.stringify(op.value) : null;
  return { op, json, bytes: overhead + op.id.length * 3 + (json === null ? 0 : Buffer.byteLength(json)) };
}

export function opName(op: Op): string {
  return `${op.kind}/${op.id}`;
}

/** Throws `invalid` for a commit no store could apply, `exhausted` for one that is too large. */
export function encodeOps(ops: readonly Op[]): readonly EncodedOp[] {
  if (ops.length === 0) throw new TsorchError('invalid', 'a commit needs at least one operation');
  if (ops.length > maxOps) throw new TsorchError('invalid', `${ops.length} operations in one commit, at most ${maxOps} fit`, { hint: 'split it with commitAll' });
  const names = new Set<string>();
  for (const op of ops) {
    if (op.id === '') throw new TsorchError('invalid', `an operation on ${op.kind} has an empty id`);
    if (op.guard !== undefined && !(Number.isSafeInteger(op.guard) && op.guard >= 0)) throw new TsorchError('invalid', `guard ${op.guard} of ${opName(op)} is not a revision`);
    if (names.has(opName(op))) throw new TsorchError('invalid', `${opName(op)} occurs twice in one commit`);
    names.add(opName(op));
  }
  const encoded = ops.map(encodeOp);
  const bytes = encoded.reduce((sum, op) => sum + op.bytes, 0);
  if (bytes > maxBytes) {
    const largest = encoded.reduce((a, b) => (a.bytes >= b.bytes ? a : b));
    throw new TsorchError('exhausted', `a commit of ${bytes} bytes is too large, ${maxBytes} fit; the largest part is ${opName(largest.op)} with ${largest.bytes}`);
  }
  return encoded;
}

/** `conflict`: what was expected of a key and what was found, for people. */
export function conflict(failed: readonly { readonly op: Op; readonly found: number }[]): TsorchError {
  const first = failed.slice(0, 3).map(({ op, found }) => `${opName(op)} ${expectation(op.guard ?? 0)}, found ${found === 0 ? 'nothing' : `revision ${found}`}`);
  const more = failed.length > 3 ? ` and ${failed.length - 3} more` : '';
  return new TsorchError('conflict', `changed by somebody else: ${first.join('; ')}${more}`);
}

function expectation(guard: number): string {
  return guard === 0 ? 'should not exist' : `should be at revision ${guard}`;
}
