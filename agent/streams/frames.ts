/** One data stream to a master: frames out at the pace they are taken, frames in one by one. */
import type { ClientDuplexStream } from '@grpc/grpc-js';
import { describeError, TsorchError } from '../../model/errors.ts';
import type { DataFrame } from '../../proto/gen/tsorch/node.ts';

export type Frame = NonNullable<DataFrame['kind']>;

export class FrameStream {
  readonly #call: ClientDuplexStream<DataFrame, DataFrame>;
  readonly #over = new AbortController();

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

  /** Rejects with `aborted` when nobody takes it any more. */
  async send(frame: Frame): Promise<void> {
    if (this.#over.signal.aborted) throw new TsorchError('aborted', 'the reader has gone');
    if (this.#call.write({ kind: frame })) return;
    await new Promise<void>((resolve) => {
      const finish = () => {
        this.#call.off('drain', finish);
        this.#over.signal.removeEventListener('abort', finish);
        resolve();
      };
      this.#call.once('drain', finish);
      this.#over.signal.addEventListener('abort', finish, { once: true });
    });
    if (this.#over.signal.aborted) throw new TsorchError('aborted', 'the reader has gone');
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

/** Input frames as the bytes of one stream, up to `stdinEnd`. Ends in an error when the other side breaks off before. */
export async function* inputBytes(frames: AsyncIterable<Frame>): AsyncGenerator<Uint8Array> {
  for await (const frame of frames) {
    if (frame.$case === 'stdin') yield frame.value;
    else if (frame.$case === 'stdinEnd') return;
  }
  throw new TsorchError('aborted', 'the sender broke off');
}
