/** A person, or a pipe, in front of a process somewhere else: input, output, the terminal's size, signals, leaving it. */
import { constants } from 'node:os';
import { TsorchError } from '../../model/errors.ts';
import type { Channel } from '../client/channel.ts';
import { type Input, type Io, type Output, writeTo } from '../io.ts';
import { DetachScanner } from './detach-keys.ts';

export interface InteractOptions {
  /** Give it our input. */
  readonly stdin: boolean;
  /** It has a terminal: ours is raw meanwhile, and it follows our size. */
  readonly tty: boolean;
  /** It was there before us: let it draw its screen anew. */
  readonly redraw?: boolean;
  /** What is told to it when we are interrupted; false: it is left alone. */
  readonly signals: boolean;
  readonly detachKeys: Uint8Array;
}

export type Outcome = { readonly kind: 'exit'; readonly code: number } | { readonly kind: 'detached' };

/** How long what was interrupted may take to end. */
const graceMs = 10_000;

/** Writes output where it belongs, at the pace it is taken. */
export function outputTo(io: Io): (stream: 'stdout' | 'stderr', data: Buffer) => Promise<void> | void {
  return (stream, data) => {
    const out: Output = stream === 'stdout' ? io.stdout : io.stderr;
    return out.write(data) ? undefined : drained(out, io.signal);
  };
}

async function drained(out: Output, signal: AbortSignal): Promise<void> {
  if (out.writableNeedDrain) await writeTo(out, '', signal);
}

/** Resolves when it has ended or was left. The terminal is as before afterwards, whatever happens. */
export async function interact(io: Io, channel: Channel, options: InteractOptions): Promise<Outcome> {
  const raw = options.tty && options.stdin && io.stdin.isTTY === true;
  const over = new AbortController();
  const outcome = Promise.withResolvers<Outcome>();
  let leaving = false;
  channel.exit.then((code) => outcome.resolve(leaving ? { kind: 'detached' } : { kind: 'exit', code }), (error: unknown) => (leaving ? outcome.resolve({ kind: 'detached' }) : outcome.reject(error as Error)));
  // What has our terminal gets its keys, Ctrl-C among them.
  const onSignal = () => interrupt(io, channel, options.signals && !raw, over.signal);
  if (raw) io.stdin.setRawMode?.(true);
  const stopResizing = options.tty ? followSize(io, channel, options.redraw === true) : () => {};
  try {
    if (io.signal.aborted) onSignal();
    else io.signal.addEventListener('abort', onSignal, { once: true });
    if (options.stdin) {
      const scanner = raw ? new DetachScanner(options.detachKeys) : null;
      void pump(io.stdin, channel, scanner, over.signal).then(async (how) => {
        if (how !== 'detached') return channel.end();
        leaving = true;
        await channel.detach();
      }, () => {});
    } else channel.end();
    return await outcome.promise;
  } catch (error) {
    if (io.signal.aborted) throw new TsorchError('aborted', 'interrupted', { cause: error });
    throw error;
  } finally {
    over.abort();
    io.signal.removeEventListener('abort', onSignal);
    stopResizing();
    if (raw) io.stdin.setRawMode?.(false);
    io.stdin.pause();
  }
}

/** Ctrl-C where there is no terminal that would pass it on, or we are told to end. */
function interrupt(io: Io, channel: Channel, tell: boolean, over: AbortSignal): void {
  const stop = () => channel.close(new TsorchError('aborted', 'interrupted'));
  if (!tell) return stop();
  const name = (io.signal.reason as Error | undefined)?.message ?? '';
  channel.signal(constants.signals[name as NodeJS.Signals] ?? constants.signals.SIGINT);
  const timer = setTimeout(stop, graceMs);
  over.addEventListener('abort', () => clearTimeout(timer), { once: true });
}

function followSize(io: Io, channel: Channel, redraw: boolean): () => void {
  const size = () => ({ width: io.stdout.columns ?? 80, height: io.stdout.rows ?? 24 });
  const resize = () => channel.resize(size());
  // Whatever draws on a terminal draws anew when its size changes, and it may have had this one already.
  if (redraw) channel.resize({ ...size(), height: size().height + 1 });
  resize();
  io.stdout.on('resize', resize);
  return () => io.stdout.off('resize', resize);
}

/** Chunk by chunk, the next when there is room for it. Another one may take over where this one was told to stop. */
function pump(stdin: Input, channel: Channel, scanner: DetachScanner | null, over: AbortSignal): Promise<'ended' | 'detached'> {
  return new Promise((resolve) => {
    const settle = (how: 'ended' | 'detached') => {
      stdin.off('data', onData);
      stdin.off('end', onEnd);
      resolve(how);
    };
    const onEnd = () => settle('ended');
    const onData = (chunk: Buffer | string) => {
      const bytes = typeof chunk === 'string' ? Buffer.from(chunk) : chunk;
      const { forward, detached } = scanner?.push(bytes) ?? { forward: bytes, detached: false };
      if (detached) return settle('detached');
      stdin.pause();
      void channel.write(forward).then(() => over.aborted || stdin.resume());
    };
    over.addEventListener('abort', () => {
      stdin.off('data', onData);
      stdin.off('end', onEnd);
    }, { once: true });
    stdin.on('data', onData);
    stdin.once('end', onEnd);
    if (stdin.readableEnded) onEnd();
  });
}
