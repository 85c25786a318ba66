/** The exec WebSocket: channel byte and payload both ways, neither side ever buffering more than a little. */
import { WebSocket, type RawData } from 'ws';
import { execChannel, type ApiErrorBody, type ExecQuery } from '../../model/api.ts';
import { TsorchError } from '../../model/errors.ts';
import type { Context } from '../context/file.ts';
import type { Input, Output } from '../io.ts';
import { isErrorCode } from './errors.ts';
import { unreachable } from './transport.ts';

export interface ExecStreams {
  /** Absent: the command reads an empty input. */
  readonly stdin?: Input;
  readonly stdout: Output;
  readonly stderr: Output;
  /** Size of the terminal; called at the start and on each `onResize`. */
  readonly size?: () => { readonly width: number; readonly height: number };
  readonly onResize?: (listener: () => void) => () => void;
}

const highWater = 1 << 20;

/** Runs the command and resolves with its exit code. */
export function runExec(context: Context, query: ExecQuery, streams: ExecStreams, signal: AbortSignal): Promise<number> {
  const url = `${context.master.replace(/^http/, 'ws')}/v1/exec?q=${encodeURIComponent(JSON.stringify(query))}`;
  const socket = new WebSocket(url, { ca: context.ca, cert: context.cert, key: context.key, perMessageDeflate: false, handshakeTimeout: 30_000 });
  return new Promise<number>((resolve, reject) => {
    const cleanups: (() => void)[] = [];
    let over = false;
    const finish = (settle: () => void) => {
      if (over) return;
      over = true;
      for (const cleanup of cleanups) cleanup();
      socket.close();
      // A peer that does not answer the close handshake must not keep the command from ending.
      setTimeout(() => socket.terminate(), 500).unref();
      settle();
    };
    const send = (channel: number, payload: Uint8Array | string = '') => {
      if (socket.readyState === WebSocket.OPEN) socket.send(Buffer.concat([Buffer.of(channel), Buffer.from(payload)]));
    };
    const onAbort = () => finish(() => reject(new TsorchError('aborted', 'interrupted')));
    signal.addEventListener('abort', onAbort, { once: true });
    cleanups.push(() => signal.removeEventListener('abort', onAbort));

    socket.on('open', () => {
      if (streams.size) {
        const { size } = streams;
        const resize = () => send(execChannel.resize, JSON.stringify(size()));
        resize();
        if (streams.onResize) cleanups.push(streams.onResize(resize));
      }
      if (streams.stdin) cleanups.push(pump(streams.stdin, socket, send));
      else send(execChannel.stdinEnd);
    });
    const write = (stream: Output, payload: Uint8Array) => {
      if (stream.write(payload)) return;
      socket.pause();
      stream.once('drain', () => socket.resume());
    };
    socket.on('message', (data: RawData) => {
      const frame = toBuffer(data);
      const payload = frame.subarray(1);
      switch (frame[0]) {
        case execChannel.stdout:
          return write(streams.stdout, payload);
        case execChannel.stderr:
          return write(streams.stderr, payload);
        case execChannel.exit:
          return finish(() => resolve((JSON.parse(payload.toString()) as { code: number }).code));
        case execChannel.error:
          return finish(() => reject(errorOf(payload.toString())));
        default:
      }
    });
    socket.on('unexpected-response', (_request, response) => {
      const chunks: Buffer[] = [];
      response.on('data', (chunk: Buffer) => chunks.push(chunk));
      response.on('end', () => finish(() => reject(errorOf(Buffer.concat(chunks).toString(), response.statusCode))));
    });
    socket.on('error', (error) => finish(() => reject(unreachable(context, error))));
    socket.on('close', () => finish(() => reject(new TsorchError('unavailable', 'the connection was lost; whether the command still runs is not known'))));
  });
}

/** stdin to the socket, held back while the socket has enough to send. */
function pump(stdin: Input, socket: WebSocket, send: (channel: number, payload?: Uint8Array) => void): () => void {
  let timer: NodeJS.Timeout | undefined;
  const onData = (chunk: Buffer | string) => {
    send(execChannel.stdin, typeof chunk === 'string' ? Buffer.from(chunk) : chunk);
    if (socket.bufferedAmount <= highWater || timer) return;
    stdin.pause();
    timer = setInterval(() => {
      if (socket.bufferedAmount > highWater / 2 && socket.readyState === WebSocket.OPEN) return;
      clearInterval(timer);
      timer = undefined;
      stdin.resume();
    }, 5);
  };
  const onEnd = () => send(execChannel.stdinEnd);
  stdin.on('data', onData);
  stdin.once('end', onEnd);
  return () => {
    clearInterval(timer);
    stdin.off('data', onData);
    stdin.off('end', onEnd);
    stdin.pause();
  };
}

function toBuffer(data: RawData): Buffer {
  if (Array.isArray(data)) return Buffer.concat(data);
  return Buffer.isBuffer(data) ? data : Buffer.from(data);
}

function errorOf(text: string, status?: number): TsorchError {
  try {
    const { error } = JSON.parse(text) as ApiErrorBody;
    if (isErrorCode(error.code)) return new TsorchError(error.code, error.message, error.hint ? { hint: error.hint } : {});
  } catch {
    // Not ours; say what there is.
  }
  return new TsorchError('internal', `the master refused: ${status ?? ''} ${text.slice(0, 200)}`.trim());
}
