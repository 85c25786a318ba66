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

export function start<T>(reply: FastifyReply, type: string, encode: (value: T) => string | Uint8Array): Out<T> {
  reply.hijack();
  const raw: ServerResponse = reply.raw;
  raw.writeHead(200, { 'content-type': type, 'cache-control': 'no-store', 'x-accel-buffering': 'no' });
  raw.flushHeaders();
  const gone = new AbortController();
  raw.on('close', () => gone.abort());
  raw.on('error', () => gone.abort());
  return {
    gone: gone.signal,
    end: () => raw.end(),
    write(value) {
      if (gone.signal.aborted || raw.write(encode(value))) return Promise.resolve();
      return new Promise((resolve) => {
        const done = () => {
          raw.off('drain', done);
          gone.signal.removeEventListener('abort', done);
          resolve();
        };
        raw.once('drain', done);
        gone.signal.addEventListener('abort', done, { once: true });
      });
    },
  };
}
