/** Named pipes as streams, through epoll: a reader that waits takes no thread. */
import { constants, openSync } from 'node:fs';
import { Socket } from 'node:net';
import { Writable } from 'node:stream';
import type { Clock } from '../../lib/clock.ts';

/** Opens at once, writer or not. Ends when the last writer has closed. */
export function openReader(path: string): Socket {
  const fd = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
  return new Socket({ fd, readable: true, writable: false });
}

/**
 * Opens at once, reader or not: opened both ways, the pipe also keeps what is written before the reader comes.
 * `ended` is called when the input has ended and all of it is in the pipe; it must not reject.
 */
export function openWriter(path: string, ended: () => Promise<void>): Writable {
  const fd = openSync(path, constants.O_RDWR | constants.O_NONBLOCK);
  const socket = new Socket({ fd, readable: false, writable: true });
  socket.on('error', () => {});
  return new Writable({
    write(chunk: Buffer, _encoding, done) {
      socket.write(chunk, (error) => done(error ?? null));
    },
    final(done) {
      const finish = async () => {
        await ended();
        done();
      };
      socket.once('close', () => void finish());
      socket.destroy();
    },
    destroy(error, done) {
      socket.destroy();
      done(error);
    },
  });
}

/**
 * Resolves to true when all streams have ended or were closed. With `quietMs`, to false when no byte came for that long
 * while nothing waits to be read: whoever still holds the pipe is not the process that was asked for.
 */
export async function drained(streams: readonly Socket[], quietMs: number | null, clock: Clock): Promise<boolean> {
  const open = () => streams.filter((stream) => !stream.readableEnded && !stream.destroyed);
  const over = new AbortController();
  const check = () => {
    if (open().length === 0) over.abort();
  };
  for (const stream of streams) {
    stream.on('end', check);
    stream.on('close', check);
  }
  check();
  let seen = -1;
  let since = clock.monotonic();
  while (open().length > 0) {
    const bytes = streams.reduce((sum, stream) => sum + stream.bytesRead, 0);
    const backlog = streams.some((stream) => stream.readableLength > 0);
    if (bytes !== seen || backlog) [seen, since] = [bytes, clock.monotonic()];
    if (quietMs !== null && clock.monotonic() - since >= quietMs) break;
    await clock.sleep(quietMs === null ? 1000 : 100, over.signal).catch(() => {});
  }
  for (const stream of streams) {
    stream.off('end', check);
    stream.off('close', check);
  }
  return open().length === 0;
}
