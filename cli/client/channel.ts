/** The WebSocket of exec, attach and port-forward: channel byte and payload both ways, neither side ever buffering more than a little. */
import { WebSocket, type RawData } from 'ws';
import { type ApiErrorBody, execChannel, inputWindow } from '../../model/api.ts';
import { TsorchError } from '../../model/errors.ts';
import type { Context } from '../context/file.ts';
import { isErrorCode } from './errors.ts';
import { unreachable } from './transport.ts';

export interface ChannelHandlers {
  /** What comes next is read when the promise resolves. */
  readonly output: (stream: 'stdout' | 'stderr', data: Buffer) => Promise<void> | void;
  readonly outputEnd?: () => void;
  /** What the host says of what it is connected to. */
  readonly info?: (text: string) => void;
}

const largestFrame = 64 * 1024;
/** A peer that does not answer the close handshake must not keep the command from ending. */
const closeMs = 500;

export class Channel {
  readonly #socket: WebSocket;
  readonly #handlers: ChannelHandlers;
  readonly #open = Promise.withResolvers<void>();
  readonly #exit = Promise.withResolvers<number>();
  #over = false;
  /** Input sent that was not taken yet, and who waits for that. */
  #waiting = 0;
  #room: (() => void) | undefined;
  /** Frames that came while one was being handled. */
  #handling: Promise<void> = Promise.resolve();

  constructor(context: Context, path: string, query: unknown, handlers: ChannelHandlers) {
    this.#handlers = handlers;
    const url = `${context.master.replace(/^http/, 'ws')}${path}?q=${encodeURIComponent(JSON.stringify(query))}`;
    const socket = new WebSocket(url, { ca: context.ca, cert: context.cert, key: context.key, perMessageDeflate: false, handshakeTimeout: 30_000 });
    this.#socket = socket;
    this.#open.promise.catch(() => {});
    this.#exit.promise.catch(() => {});
    socket.on('open', () => this.#open.resolve());
    socket.on('message', (data: RawData) => this.#onFrame(toBuffer(data)));
    socket.on('unexpected-response', (_request, response) => {
      const chunks: Buffer[] = [];
      response.on('data', (chunk: Buffer) => chunks.push(chunk));
      response.on('end', () => this.#fail(errorOf(Buffer.concat(chunks).toString(), response.statusCode)));
    });
    socket.on('error', (error) => this.#fail(unreachable(context, error)));
    socket.on('close', () => void this.#handling.then(() => this.#fail(new TsorchError('unavailable', 'the connection was lost', { hint: 'whether what was run goes on is not known' }))));
  }

  /** Resolves when the master has answered. */
  get opened(): Promise<void> {
    return this.#open.promise;
  }

  /** The exit code. Rejects with what the master said, or with `unavailable` when the connection breaks. */
  get exit(): Promise<number> {
    return this.#exit.promise;
  }

  /** Resolves when there is room for more. */
  async write(data: Uint8Array): Promise<void> {
    for (let at = 0; at < data.length && !this.#over; at += largestFrame) {
      const part = data.subarray(at, at + largestFrame);
      this.#waiting += part.length;
      this.#send(execChannel.stdin, part);
      while (this.#waiting >= inputWindow && !this.#over) await new Promise<void>((resolve) => (this.#room = resolve));
    }
  }

  /** In one frame or not at all: false when there is no room for it now. */
  datagram(data: Uint8Array): boolean {
    if (this.#over || this.#waiting >= inputWindow) return false;
    this.#waiting += data.length;
    this.#send(execChannel.stdin, data);
    return true;
  }

  end(): void {
    this.#send(execChannel.stdinEnd);
  }

  resize(size: { readonly width: number; readonly height: number }): void {
    this.#send(execChannel.resize, JSON.stringify(size));
  }

  signal(number: number): void {
    this.#send(execChannel.signal, String(number));
  }

  /** Resolves when the other side has let us go. */
  async detach(): Promise<void> {
    this.#send(execChannel.detach);
    await new Promise<void>((resolve) => {
      this.#exit.promise.then(() => resolve(), () => resolve());
      setTimeout(resolve, closeMs).unref();
    });
    this.close(new TsorchError('aborted', 'detached'));
  }

  close(reason: TsorchError): void {
    this.#fail(reason);
  }

  #send(channel: number, payload: Uint8Array | string = ''): void {
    if (this.#socket.readyState === WebSocket.OPEN) this.#socket.send(Buffer.concat([Buffer.of(channel), Buffer.from(payload)]));
  }

  #onFrame(frame: Buffer): void {
    const payload = frame.subarray(1);
    switch (frame[0]) {
      case execChannel.taken:
        this.#waiting -= Number(payload.toString());
        this.#room?.();
        return;
      case execChannel.stdout:
        return this.#output('stdout', payload);
      case execChannel.stderr:
        return this.#output('stderr', payload);
      case execChannel.stdoutEnd:
        return this.#inOrder(() => this.#handlers.outputEnd?.());
      case execChannel.info:
        return this.#inOrder(() => this.#handlers.info?.(payload.toString()));
      case execChannel.exit:
        return this.#inOrder(() => this.#finish(() => this.#exit.resolve((JSON.parse(payload.toString()) as { code: number }).code)));
      case execChannel.error:
        return this.#inOrder(() => this.#fail(errorOf(payload.toString())));
      default:
    }
  }

  #output(stream: 'stdout' | 'stderr', data: Buffer): void {
    this.#inOrder(async () => {
      const done = this.#handlers.output(stream, data);
      if (!done) return;
      this.#socket.pause();
      await done;
      if (!this.#over) this.#socket.resume();
    });
  }

  #inOrder(handle: () => Promise<void> | void): void {
    this.#handling = this.#handling.then(handle).catch((error: unknown) => this.#fail(error));
  }

  #fail(error: unknown): void {
    this.#finish(() => {
      this.#open.reject(error);
      this.#exit.reject(error);
    });
  }

  #finish(settle: () => void): void {
    if (this.#over) return;
    this.#over = true;
    this.#room?.();
    if (this.#socket.isPaused) this.#socket.resume();
    this.#socket.close();
    setTimeout(() => this.#socket.terminate(), closeMs).unref();
    settle();
  }
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
