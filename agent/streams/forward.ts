/**
 * `port-forward`: one connection to a port of a pod, its loopback included; `done` when both sides have ended. With UDP a frame is a
 * datagram. Parameters: PortForwardStreamParams.
 */
import { once } from 'node:events';
import type { PortForwardStreamParams } from '../../model/api.ts';
import { TsorchError } from '../../model/errors.ts';
import { dialTcp, dialUdp } from '../network/dial.ts';
import type { FrameStream } from './frames.ts';
import { feedInput } from './input.ts';
import type { StreamContext } from './serve.ts';
import { runningContainer } from './targets.ts';

export async function servePortForward(stream: FrameStream, params: PortForwardStreamParams, context: StreamContext): Promise<void> {
  const { port, protocol } = params;
  if (!Number.isInteger(port) || port < 1 || port > 65_535) throw new TsorchError('invalid', `${port} is no port`);
  const { pid, id } = runningContainer(context, { podId: params.podId });
  const gone = AbortSignal.any([stream.over, context.signal]);
  if (protocol === 'udp') return forwardUdp(stream, { pid, port, ended: context.runtime.wait(id, gone) });
  const socket = await dialTcp(pid, port, gone);
  // Says that there is a connection, before anything comes over it.
  await stream.send({ $case: 'message', value: '{}' });
  const stop = () => socket.resetAndDestroy();
  gone.addEventListener('abort', stop, { once: true });
  socket.on('error', () => {});
  const up = feedInput(stream, { stdin: socket });
  up.catch(() => {});
  try {
    for await (const part of socket.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) await stream.send({ $case: 'stdout', value: part });
    await stream.send({ $case: 'stdoutEnd', value: true });
    // Its other half may still be open.
    if (!socket.writableFinished) await Promise.race([once(socket, 'finish'), once(socket, 'close')]);
    await stream.done(0);
  } catch (error) {
    throw new TsorchError('aborted', `the connection broke off: ${(error as Error).message}`, { cause: error });
  } finally {
    gone.removeEventListener('abort', stop);
    socket.destroy();
  }
}

/** Until whoever asked hangs up, or the container ends. What does not get through in time is dropped, as UDP does. */
async function forwardUdp(stream: FrameStream, { pid, port, ended }: { readonly pid: number; readonly port: number; readonly ended: Promise<unknown> }): Promise<void> {
  ended.catch(() => {});
  const socket = await dialUdp(pid, port);
  // A port where nobody listens answers so; a later datagram may find somebody.
  socket.on('error', () => {});
  let waiting = false;
  socket.on('message', (message) => {
    if (waiting) return;
    waiting = true;
    void stream.send({ $case: 'stdout', value: message }).then(() => (waiting = false), () => {});
  });
  try {
    await stream.send({ $case: 'message', value: '{}' });
    // Nobody else would tell: a datagram into an empty namespace is lost without a word. The next one finds a pod that runs then.
    ended.then(() => stream.done(0)).catch(() => {});
    for await (const frame of stream.incoming()) {
      if (frame.$case !== 'stdin') continue;
      socket.send(frame.value);
      void stream.send({ $case: 'taken', value: frame.value.length }).catch(() => {});
    }
  } finally {
    socket.close();
  }
}
