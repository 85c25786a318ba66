/** The agent's side of the thread: streams in and out of it, at the pace of whoever is slower. */
import { Worker } from 'node:worker_threads';
import { describeError, type ErrorCode, TsorchError } from '../../../model/errors.ts';
import type { Position } from './format.ts';
import { Litter } from './litter.ts';
import type { Told, Work } from './thread.ts';

/** Pieces on their way between the threads, of about 256 KiB. */
const window = 8;

/** Beside the compiled copy's entry the thread is a file of its own. */
const script = import.meta.url.endsWith('.ts') ? new URL('./thread.ts', import.meta.url) : new URL('./volume-thread.js', import.meta.url);

class Thread {
  readonly #worker: Worker;
  readonly #credit = new Int32Array(new SharedArrayBuffer(4));
  readonly #told: Told[] = [];
  #failure: TsorchError | null = null;
  #wake: (() => void) | undefined;

  constructor(work: Work) {
    this.#credit[0] = window;
    this.#worker = new Worker(script, { workerData: { work, credit: this.#credit }, execArgv: ['--disable-warning=ExperimentalWarning'], resourceLimits: { maxOldGenerationSizeMb: 256 } });
    this.#worker.on('message', (told: Told) => {
      if (told.kind === 'failed') this.#failure ??= new TsorchError(told.code as ErrorCode, told.message, told.hint === undefined ? {} : { hint: told.hint });
      else this.#told.push(told);
      this.#wake?.();
    });
    this.#worker.on('error', (cause: Error) => this.#end(new TsorchError('internal', `the thread that copies a volume failed: ${describeError(cause)}`, { cause })));
    this.#worker.on('exit', () => this.#end(new TsorchError('aborted', 'the thread that copies a volume has ended')));
  }

  /** What it tells next. Throws what failed it, or the signal's reason. */
  async next(signal: AbortSignal): Promise<Told> {
    for (;;) {
      const told = this.#told.shift();
      if (told) return told;
      if (this.#failure) throw this.#failure;
      signal.throwIfAborted();
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
        signal.addEventListener('abort', () => resolve(), { once: true });
      });
    }
  }

  /** Another piece may come. */
  give(): void {
    Atomics.add(this.#credit, 0, 1);
    Atomics.notify(this.#credit, 0);
  }

  post(piece: Uint8Array | null): void {
    this.#worker.postMessage(piece);
  }

  async stop(): Promise<void> {
    await this.#worker.terminate();
  }

  #end(error: TsorchError): void {
    this.#failure ??= error;
    this.#wake?.();
  }
}

/** The volume's tree as pieces of the stream, from a position on. Leaving the loop ends the reading. */
export async function* sendVolume(root: string, from: Position, signal: AbortSignal): AsyncGenerator<Uint8Array> {
  const thread = new Thread({ kind: 'send', root, from });
  const litter = new Litter();
  try {
    for (;;) {
      const told = await thread.next(signal);
      if (told.kind === 'done') return;
      if (told.kind !== 'piece') continue;
      yield told.piece;
      litter.add(told.piece.length);
      thread.give();
    }
  } finally {
    await thread.stop();
  }
}

export interface Received {
  readonly entries: number;
  readonly bytes: number;
}

export interface ReceiveOptions {
  readonly incoming: string;
  readonly bootId: string;
  readonly quota: Extract<Work, { kind: 'receive' }>['quota'];
  /** Asked for the stream from where it is to go on. */
  readonly open: (from: Position) => AsyncIterable<Uint8Array>;
  readonly progress: (received: Received) => void;
  readonly signal: AbortSignal;
}

/** Resolves when all of it is written. What was written stays for another try when it breaks off. */
export async function receiveVolume({ incoming, bootId, quota, open, progress, signal }: ReceiveOptions): Promise<void> {
  const thread = new Thread({ kind: 'receive', incoming, bootId, quota });
  try {
    const first = await thread.next(signal);
    if (first.kind !== 'position') throw new TsorchError('internal', 'the thread said nothing of its position');
    let under = 0;
    let over = false;
    const litter = new Litter();
    const settle = async (most: number) => {
      while (under > most && !over) {
        const told = await thread.next(signal);
        if (told.kind !== 'written') continue;
        under--;
        over = told.over;
        progress(told);
      }
    };
    try {
      for await (const piece of open(first.position)) {
        thread.post(piece);
        under++;
        litter.add(piece.length);
        await settle(window - 1);
      }
    } catch (error) {
      // What came before it broke off is worth keeping.
      await settle(0).catch(() => {});
      thread.post(null);
      while ((await thread.next(AbortSignal.timeout(10_000))).kind !== 'done');
      throw error;
    }
    await settle(0);
    if (!over) throw new TsorchError('unavailable', 'the volume\'s copy broke off before its end');
  } finally {
    await thread.stop();
  }
}

/** Resolves when every byte on the disk was found to be what was sent. */
export async function verifyVolume(incoming: string, progress: (bytes: number) => void, signal: AbortSignal): Promise<void> {
  const thread = new Thread({ kind: 'verify', incoming });
  try {
    for (;;) {
      const told = await thread.next(signal);
      if (told.kind === 'done') return;
      if (told.kind === 'compared') progress(told.bytes);
    }
  } finally {
    await thread.stop();
  }
}
