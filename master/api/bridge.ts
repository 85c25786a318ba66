/** A WebSocket of a client led to a data stream of a host, byte for byte. Neither side is read faster than the other takes. Frames: see execChannel in model/api.ts. */
import type { WebSocket } from 'ws';
import { execChannel, inputWindow } from '../../model/api.ts';
import { TsorchError } from '../../model/errors.ts';
import type { Frame } from '../nodes/frames.ts';
import { framesOf } from '../nodes/frames.ts';
import type { DataStream } from '../nodes/streams.ts';
import { errorBody, toErrorCode, toTsorchError } from './errors.ts';

/** Above this many bytes waiting for the client, reading from the host pauses. */
const highWater = 1024 * 1024;
/** Clients that keep to the window never have so much under way; others are not read for a while. */
const mostInput = 4 * inputWindow;

export interface BridgeOptions {
  /** Opens the stream on the host. What the client sends meanwhile waits. */
  readonly open: () => Promise<DataStream>;
  /** What the host said first of what it is. */
  readonly info?: (text: string) => string;
}

/** Ends with either side; what goes wrong is told to the client. Never rejects. */
export async function bridge(socket: WebSocket, { open, info }: BridgeOptions): Promise<void> {
  const early: Buffer[] = [];
  let bytes = 0;
  let forward = (frame: Buffer): void => {
    early.push(frame);
    bytes += frame.length;
    if (bytes > mostInput) socket.pause();
  };
  socket.on('message', (data: Buffer) => forward(data));
  socket.on('error', () => {});
  try {
    const stream = await open();
    socket.on('close', () => stream.end());
    // It may have gone while the host was asked.
    if (socket.readyState !== socket.OPEN) stream.end();
    const input = new Input(stream, socket);
    forward = (frame) => input.push(frame);
    for (const frame of early.splice(0)) input.push(frame);
    input.resume();
    for await (const frame of framesOf(stream)) {
      if (await toClient(socket, frame, info)) break;
    }
  } catch (error) {
    void send(socket, execChannel.error, Buffer.from(JSON.stringify(errorBody(toTsorchError(error)))));
  }
  socket.close();
}

/** True after the last one. */
async function toClient(socket: WebSocket, frame: Frame, info: BridgeOptions['info']): Promise<boolean> {
  switch (frame.$case) {
    case 'stdout':
      await send(socket, execChannel.stdout, frame.value);
      return false;
    case 'stderr':
      await send(socket, execChannel.stderr, frame.value);
      return false;
    case 'stdoutEnd':
      await send(socket, execChannel.stdoutEnd, empty);
      return false;
    case 'taken':
      await send(socket, execChannel.taken, Buffer.from(String(frame.value)));
      return false;
    case 'message':
      await send(socket, execChannel.info, Buffer.from(info ? info(frame.value) : frame.value));
      return false;
    case 'done':
      await send(socket, execChannel.exit, Buffer.from(JSON.stringify({ code: frame.value })));
      return true;
    case 'error':
      throw new TsorchError(toErrorCode(frame.value.code), frame.value.message);
    default:
      return false;
  }
}

const empty = Buffer.alloc(0);

/** The client's frames on their way to the host. */
class Input {
  readonly #stream: DataStream;
  readonly #socket: WebSocket;
  #waiting = 0;

  constructor(stream: DataStream, socket: WebSocket) {
    this.#stream = stream;
    this.#socket = socket;
  }

  push(frame: Buffer): void {
    const payload = frame.subarray(1);
    switch (frame[0]) {
      case execChannel.stdin:
        return this.#write({ $case: 'stdin', value: payload }, payload.length);
      case execChannel.stdinEnd:
        return this.#write({ $case: 'stdinEnd', value: true }, 0);
      case execChannel.detach:
        return this.#write({ $case: 'detach', value: true }, 0);
      case execChannel.resize: {
        const size = parseSize(payload.toString());
        return size ? this.#write({ $case: 'resize', value: size }, 0) : undefined;
      }
      case execChannel.signal: {
        const signal = Number(payload.toString());
        return Number.isInteger(signal) && signal >= 1 && signal <= 64 ? this.#write({ $case: 'signal', value: signal }, 0) : undefined;
      }
      default:
        return undefined;
    }
  }

  resume(): void {
    if (this.#waiting <= mostInput) this.#socket.resume();
  }

  #write(kind: Frame, size: number): void {
    if (this.#stream.writableEnded || this.#stream.destroyed) return;
    this.#waiting += size;
    this.#stream.write({ kind }, () => {
      this.#waiting -= size;
      if (this.#socket.isPaused && this.#waiting <= mostInput / 2) this.#socket.resume();
    });
    if (this.#waiting > mostInput) this.#socket.pause();
  }
}

function send(socket: WebSocket, channel: number, payload: Buffer): Promise<void> {
  return new Promise((resolve) => {
    if (socket.readyState !== socket.OPEN) return resolve();
    const frame = Buffer.concat([Buffer.from([channel]), payload]);
    if (socket.bufferedAmount < highWater) {
      socket.send(frame);
      resolve();
    } else socket.send(frame, () => resolve());
  });
}

/** Null for what is no size: a terminal that cannot say its size still works. */
function parseSize(text: string): { width: number; height: number } | null {
  try {
    const { width, height } = JSON.parse(text) as { width: unknown; height: unknown };
    const isSize = (value: unknown): value is number => Number.isInteger(value) && (value as number) > 0 && (value as number) < 65_536;
    return isSize(width) && isSize(height) ? { width, height } : null;
  } catch {
    return null;
  }
}
