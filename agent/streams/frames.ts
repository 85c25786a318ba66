/** One data stream to a master: frames out at the pace they are taken, frames in one by one. */
import type { ClientDuplexStream } from '@grpc/grpc-js';
import { describeError, TsorchError } from '../../model/errors.ts';
import type { DataFrame } from '../../proto/gen/tsorch/node.ts';

export type Frame = NonNullable<DataFrame['kind']>;

/** More than this is not kept for a reader that does not read. */
const highWater = 256 * 1024;
const smallFrame = 64;

export class FrameStream {
  readonly #call: ClientDuplexStream<DataFrame, DataFrame>;
  readonly #over = new AbortController();
  /** Bytes that the connection has not taken yet, and who waits for that. */
  #waiting = 0;
  readonly #looks = new Set<() => void>();

  constructor(call: ClientDuplexStream<DataFrame, DataFrame>) {
    this.#call = call;
    call.on('error', () => this.#over.abort());
    call.on('close', () => this.#over.abort());
    call.on('end', () => this.#over.abort());
  }

  /** Fires when the other side has gone or the stream has ended. */
  get over(): AbortSignal {
    return this.#over.signal;
  }

  /**
   * Resolves when little waits to be taken. Until it is taken the frame's bytes are not to be written over: see `taken`. Rejects
   * with `aborted` when nobody takes it any more.
   */
  async send(frame: Frame): Promise<void> {
    if (this.#over.signal.aborted) throw new TsorchError('aborted', 'the reader has gone');
    const size = sizeOf(frame);
    this.#waiting += size;
    // The call counts frames, of which some are large.
    this.#call.write({ kind: frame }, () => {
      this.#waiting -= size;
      for (const look of this.#looks) look();
    });
    await this.#until(highWater);
  }

  /** Resolves when all that was sent is on its way, and its memory may be used again. */
  taken(): Promise<void> {
    return this.#until(0);
  }

  async #until(waiting: number): Promise<void> {
    if (this.#waiting <= waiting) return;
    const { signal } = this.#over;
    await new Promise<void>((resolve) => {
      const look = () => {
        if (this.#waiting > waiting && !signal.aborted) return;
        this.#looks.delete(look);
        signal.removeEventListener('abort', look);
        resolve();
      };
      this.#looks.add(look);
      signal.addEventListener('abort', look, { once: true });
    });
    if (signal.aborted) throw new TsorchError('aborted', 'the reader has gone');
  }

  /** What the other side sends, until it ends or breaks off. One who has read enough may stop: the rest is let pass. */
  async *incoming(): AsyncGenerator<Frame> {
    try {
      const frames = this.#call.iterator({ destroyOnReturn: false }) as AsyncIterable<DataFrame>;
      for await (const { kind } of frames) if (kind) yield kind;
    } catch {
      this.#over.abort();
    } finally {
      this.#call.resume();
    }
  }

  /** Lets frames that nobody wants pass, so that the end of the stream is seen. */
  discardInput(): void {
    this.#call.resume();
  }

  async done(code: number): Promise<void> {
    await this.send({ $case: 'done', value: code });
    this.#call.end();
  }

  fail(error: unknown): void {
    const code = error instanceof TsorchError ? error.code : 'internal';
    if (!this.#over.signal.aborted) this.#call.write({ kind: { $case: 'error', value: { code, message: describeError(error) } } });
    this.#call.end();
  }

  cancel(): void {
    this.#call.cancel();
  }
}

function sizeOf(frame: Frame): number {
  switch (frame.$case) {
    case 'stdout':
    case 'stderr':
      return frame.value.length;
    case 'logs':
      return frame.value.chunks.reduce((sum, { data }) => sum + data.length + smallFrame, 0);
    default:
      return smallFrame;
  }
}

/** Input frames as the bytes of one stream, up to `stdinEnd`. Ends in an error when the other side breaks off before. */
export async function* inputBytes(frames: AsyncIterable<Frame>): AsyncGenerator<Uint8Array> {
  for await (const frame of frames) {
    if (frame.$case === 'stdin') yield frame.value;
    else if (frame.$case === 'stdinEnd') return;
  }
  throw new TsorchError('aborted', 'the sender broke off');
}
