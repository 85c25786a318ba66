/** Reading a data stream to its end, and ending it in a way that the agent hears of. */
import { TsorchError } from '../../model/errors.ts';
import type { DataFrame } from '../../proto/gen/tsorch/node.ts';
import type { DataStream } from './streams.ts';

export type Frame = NonNullable<DataFrame['kind']>;

/**
 * The frames the agent sends. Leaving the loop ends the call: a plain loop over the stream would destroy it instead, which says
 * nothing on the wire and leaves the call open on both sides for as long as the connection lasts. Rejects with
 * `unavailable` when it breaks off before the agent said `done` or `error`.
 */
export async function* framesOf(stream: DataStream): AsyncGenerator<Frame> {
  const frames = (stream.iterator({ destroyOnReturn: false }) as AsyncIterable<DataFrame>)[Symbol.asyncIterator]();
  try {
    for (;;) {
      const next = await frames.next().catch((cause: Error) => {
        throw new TsorchError('unavailable', `the node went away: ${cause.message}`, { cause });
      });
      // `done` and `error` are the agent's last words; whoever heard one of them has left the loop.
      if (next.done) throw new TsorchError('unavailable', 'the node went away');
      if (next.value.kind) yield next.value.kind;
    }
  } finally {
    await frames.return?.();
    if (!stream.destroyed) {
      stream.end();
      stream.resume();
    }
  }
}
