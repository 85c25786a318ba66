/**
 * Volumes on their way. `volume-offer`: `{name, move, to}`, one `message`, what there is; the volume is held still until the master ends
 * the stream. `volume-receive`: `{name, move, from: {id, address, port}, offered, driverOpts, epoch}`; `message` frames tell how far it is.
 * `volume-discard`: `{name, move, epoch}`.
 */
import { TsorchError } from '../../model/errors.ts';
import { isRecord } from '../state.ts';
import type { Offered } from '../volumes/move/mover.ts';
import type { FrameStream } from './frames.ts';
import type { StreamContext } from './serve.ts';
import { obey, volumeParams } from './volumes.ts';

/** Between two words of progress, milliseconds. */
const everyMs = 200;

export async function serveVolumeOffer(stream: FrameStream, params: unknown, context: StreamContext): Promise<void> {
  stream.discardInput();
  const { name } = volumeParams(params);
  const [move, to] = [text(params, 'move'), text(params, 'to')];
  await context.mover.offer({ name, move, to }, async (offered) => {
    await stream.send({ $case: 'message', value: JSON.stringify(offered) });
    await ended(AbortSignal.any([stream.over, context.signal]));
  });
}

export async function serveVolumeReceive(stream: FrameStream, params: unknown, context: StreamContext): Promise<void> {
  stream.discardInput();
  obey(params, context);
  const { name, driverOpts } = volumeParams(params);
  const move = text(params, 'move');
  const { from, offered } = isRecord(params) ? params : {};
  if (!isRecord(from) || typeof from['id'] !== 'string' || typeof from['address'] !== 'string' || typeof from['port'] !== 'number' || !isRecord(offered)) throw new TsorchError('invalid', 'volume-receive needs to know where from');
  const peer = { id: from['id'], address: from['address'], port: from['port'] };
  const signal = AbortSignal.any([stream.over, context.signal]);
  let told = Number.NEGATIVE_INFINITY;
  await context.mover.receive({
    name, move, driverOpts, offered: offered as unknown as Offered, signal,
    open: (position) => context.fetchVolume(peer, name, move, position, signal),
    progress(step) {
      const now = context.clock.monotonic();
      if (now - told < everyMs) return;
      told = now;
      void stream.send({ $case: 'message', value: JSON.stringify(step) }).catch(() => {});
    },
  });
  await stream.done(0);
}

export async function serveVolumeDiscard(stream: FrameStream, params: unknown, context: StreamContext): Promise<void> {
  stream.discardInput();
  obey(params, context);
  await context.mover.discard(volumeParams(params).name, text(params, 'move'));
  await stream.done(0);
}

function text(params: unknown, key: string): string {
  const value = isRecord(params) ? params[key] : undefined;
  if (typeof value !== 'string' || value === '') throw new TsorchError('invalid', `the stream needs ${key}`);
  return value;
}

async function ended(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return;
  await new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }));
}
