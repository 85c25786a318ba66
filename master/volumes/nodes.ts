/** What masters ask agents about volumes, over data streams. */
import { TsorchError } from '../../model/errors.ts';
import { toErrorCode } from '../api/errors.ts';
import type { Context } from '../context.ts';
import { framesOf } from '../nodes/frames.ts';
import type { DataStream } from '../nodes/streams.ts';

/** Asks and waits for the end; `message` frames go to `told`. Rejects with what the agent says. */
export async function ask(context: Pick<Context, 'sessions' | 'leadership'>, node: string, kind: string, params: object, told: (message: unknown) => void = () => {}, signal?: AbortSignal): Promise<void> {
  const stream = await context.sessions.openStream(node, kind, { ...params, epoch: context.leadership.current?.createRevision ?? 0 });
  const stop = () => void stream.end();
  signal?.addEventListener('abort', stop, { once: true });
  try {
    for await (const frame of framesOf(stream)) {
      if (frame.$case === 'message') told(JSON.parse(frame.value) as unknown);
      else if (frame.$case === 'error') throw new TsorchError(toErrorCode(frame.value.code), frame.value.message);
      else if (frame.$case === 'done') return;
    }
  } finally {
    signal?.removeEventListener('abort', stop);
  }
}

/** Holds a stream whose agent does something for as long as it is open. `use` gets its first message. */
export async function hold<T>(context: Pick<Context, 'sessions' | 'leadership'>, node: string, kind: string, params: object, use: (first: unknown) => Promise<T>): Promise<T> {
  const stream: DataStream = await context.sessions.openStream(node, kind, { ...params, epoch: context.leadership.current?.createRevision ?? 0 });
  const frames = framesOf(stream);
  try {
    const { value: first } = await frames.next();
    if (first?.$case === 'error') throw new TsorchError(toErrorCode(first.value.code), first.value.message);
    if (first?.$case !== 'message') throw new TsorchError('unavailable', `node ${node} said nothing of ${kind}`);
    // The agent's end of it ends the work: it lets go of what it held.
    const over = frames.next().then(({ value }) => {
      throw value?.$case === 'error' ? new TsorchError(toErrorCode(value.value.code), value.value.message) : new TsorchError('unavailable', `node ${node} broke off`);
    });
    over.catch(() => {});
    return await Promise.race([use(JSON.parse(first.value) as unknown), over]);
  } finally {
    if (!stream.destroyed) stream.end();
    await frames.return(undefined).catch(() => {});
  }
}
