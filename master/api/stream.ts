/** Long answers: server-sent events, JSON lines and others, with back-pressure, ended by either side. */
import type { FastifyReply } from 'fastify';
import type { ServerResponse } from 'node:http';

export interface Out<T = unknown> {
  /** Waits while the client reads slower than we write. */
  write(value: T): Promise<void>;
  /** Fires when the client has gone. */
  readonly gone: AbortSignal;
  end(): void;
}

export function startEvents(reply: FastifyReply): Out {
  return start(reply, 'text/event-stream', (value) => `data: ${JSON.stringify(value)}\n\n`);
}

export function startLines(reply: FastifyReply): Out {
  return start(reply, 'application/x-ndjson', (value) => `${JSON.stringify(value)}\n`);
}

/** More than this does not wait for a client. So much is on its way while the next is made. */
const highWater = 256 * 1024;

/** `encode` may give parts, which are not joined. What it gives is not to be written over. */
export function start<T>(reply: FastifyReply, type: string, encode: (value: T) => string | Uint8Array | readonly Uint8Array[]): Out<T> {
  reply.hijack();
  const raw: ServerResponse = reply.raw;
  raw.writeHead(200, { 'content-type': type, 'cache-control': 'no-store', 'x-accel-buffering': 'no' });
  raw.flushHeaders();
  const gone = new AbortController();
  raw.on('close', () => gone.abort());
  raw.on('error', () => gone.abort());
  let waiting = 0;
  /** Who waits for room. */
  let held: (() => void)[] = [];
  const release = () => {
    for (const go of held) go();
    held = [];
  };
  gone.signal.addEventListener('abort', release, { once: true });
  const send = (part: string | Uint8Array) => {
    const { length } = part;
    waiting += length;
    raw.write(part, () => {
      waiting -= length;
      if (waiting <= highWater) release();
    });
  };
  return {
    gone: gone.signal,
    end: () => raw.end(),
    write(value) {
      if (gone.signal.aborted) return Promise.resolve();
      const encoded = encode(value);
      // What is written in one turn goes out together.
      for (const part of Array.isArray(encoded) ? (encoded as readonly Uint8Array[]) : [encoded as string | Uint8Array]) if (part.length > 0) send(part);
      if (waiting <= highWater || gone.signal.aborted) return Promise.resolve();
      return new Promise((resolve) => {
        held.push(resolve);
      });
    },
  };
}
