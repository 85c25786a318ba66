/**
 * The thread in which a volume is read, written and compared: its file system calls wait for disks, which the agent must not. `work` says what
 * to do; pieces go one way, credit for them the other, so that few are ever held.
 */
import { parentPort, workerData } from 'node:worker_threads';
import { TsorchError } from '../../../model/errors.ts';
import { beginQuota } from '../quota.ts';
import type { Position } from './format.ts';
import { Litter } from './litter.ts';
import { TreeReceiver } from './receive.ts';
import { sendTree } from './send.ts';
import { verifyTree } from './verify.ts';

export type Work =
  | { readonly kind: 'send'; readonly root: string; readonly from: Position }
  | { readonly kind: 'receive'; readonly incoming: string; readonly bootId: string; readonly quota: { readonly name: string; readonly directory: string; readonly bytes: number } | null }
  | { readonly kind: 'verify'; readonly incoming: string };

export type Told =
  | { readonly kind: 'piece'; readonly piece: Uint8Array<ArrayBuffer> }
  | { readonly kind: 'position'; readonly position: Position }
  /** What was given is written; `over` with the last. */
  | { readonly kind: 'written'; readonly entries: number; readonly bytes: number; readonly over: boolean }
  | { readonly kind: 'compared'; readonly bytes: number }
  | { readonly kind: 'done' }
  | { readonly kind: 'failed'; readonly code: string; readonly message: string; readonly hint?: string };

interface Data {
  readonly work: Work;
  /** One number: how many more pieces may be told. */
  readonly credit: Int32Array;
}

const port = parentPort;
const { work, credit } = workerData as Data;
const reportBytes = 8 << 20;
const litter = new Litter();

function tell(told: Told, transfer: ArrayBuffer[] = []): void {
  port?.postMessage(told, transfer);
}

function send({ root, from }: Extract<Work, { kind: 'send' }>): void {
  for (const piece of sendTree(root, from)) {
    while (Atomics.load(credit, 0) <= 0) Atomics.wait(credit, 0, 0);
    Atomics.sub(credit, 0, 1);
    litter.add(piece.length);
    tell({ kind: 'piece', piece }, [piece.buffer]);
  }
  tell({ kind: 'done' });
}

function receive({ incoming, bootId, quota }: Extract<Work, { kind: 'receive' }>): void {
  const receiver = new TreeReceiver(incoming, bootId, (data) => {
    if (quota) beginQuota(quota.name, quota.directory, data, quota.bytes);
  });
  tell({ kind: 'position', position: receiver.position });
  port?.on('message', (piece: Uint8Array | null) => attempt(() => {
    if (piece !== null) receiver.write(piece);
    litter.add(piece?.length ?? 0);
    tell({ kind: 'written', entries: receiver.entries, bytes: receiver.bytes, over: receiver.over });
    if (piece !== null && !receiver.over) return;
    receiver.close();
    tell({ kind: 'done' });
    port?.close();
  }));
}

function verify({ incoming }: Extract<Work, { kind: 'verify' }>): void {
  let told = 0;
  for (const bytes of verifyTree(incoming)) {
    if (bytes - told < reportBytes) continue;
    told = bytes;
    tell({ kind: 'compared', bytes });
  }
  tell({ kind: 'done' });
}

function attempt(what: () => void): void {
  try {
    what();
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    const full = code === 'ENOSPC' || code === 'EDQUOT';
    tell({
      kind: 'failed', code: error instanceof TsorchError ? error.code : full ? 'exhausted' : 'internal',
      message: full ? 'there is no room on the disk' : message, ...(error instanceof TsorchError && error.hint !== undefined ? { hint: error.hint } : {}),
    });
    port?.close();
  }
}

attempt(() => {
  switch (work.kind) {
    case 'send': return send(work);
    case 'receive': return receive(work);
    case 'verify': return verify(work);
  }
});
