/** `GET /v1/exec` (WebSocket): a process in a running container, byte for byte. Frames: see execChannel in model/api.ts. */
import type { FastifyInstance } from 'fastify';
import Type from 'typebox';
import type { WebSocket } from 'ws';
import { execChannel, type ExecQuery, type ExecStreamParams } from '../../model/api.ts';
import { TsorchError } from '../../model/errors.ts';
import { isFinal, type PodStatus } from '../../model/pod.ts';
import type { Context } from '../context.ts';
import { framesOf } from '../nodes/frames.ts';
import type { DataStream } from '../nodes/streams.ts';
import { errorBody, toErrorCode, toTsorchError } from './errors.ts';
import { podStatusOf } from '../pods.ts';
import { findTarget } from './targets.ts';

const query = Type.Object({ q: Type.String({ maxLength: 65_536 }) });

/** Above this many bytes waiting for the client, reading from the agent pauses. */
const highWater = 1024 * 1024;

export function execRoutes(app: FastifyInstance, context: Context): void {
  app.get<{ Querystring: Type.Static<typeof query> }>('/v1/exec', { websocket: true, schema: { querystring: query, summary: 'Run a process in a container (WebSocket)' } }, (socket, request) => {
    bridge(context, socket, request.query.q).catch((error: unknown) => {
      void send(socket, execChannel.error, Buffer.from(JSON.stringify(errorBody(toTsorchError(error)))));
      socket.close();
    });
  });
}

async function bridge(context: Context, socket: WebSocket, text: string): Promise<void> {
  // Frames may arrive while the stream to the agent is being opened: they wait here.
  const early: Buffer[] = [];
  let forward = (frame: Buffer): void => {
    early.push(frame);
  };
  socket.on('message', (data: Buffer) => forward(data));
  const { target, container: named, ...wanted } = parseQuery(text);
  const { pods, container } = findTarget(context.world.maps, target, named);
  const pod = pods.find((candidate) => candidate.node !== null && isRunning(podStatusOf(context.world.maps, candidate.id), container));
  if (!pod?.node) throw new TsorchError('conflict', `${container === undefined || named === undefined ? target : `container ${container} of ${target}`} has no running pod`, { hint: `see tsorch ps ${pods[0]?.service ?? target}` });
  const params: ExecStreamParams = { podId: pod.id, ...(container === undefined ? {} : { container }), ...wanted };
  const stream = await context.sessions.openStream(pod.node, 'exec', params);
  socket.on('close', () => stream.end());
  socket.on('error', () => stream.end());
  // It may have gone while the host was asked.
  if (socket.readyState !== socket.OPEN) stream.end();
  forward = (frame) => toAgent(stream, socket, frame);
  for (const frame of early) forward(frame);
  for await (const frame of framesOf(stream)) {
    switch (frame.$case) {
      case 'stdout':
        await send(socket, execChannel.stdout, frame.value);
        break;
      case 'stderr':
        await send(socket, execChannel.stderr, frame.value);
        break;
      case 'done':
        await send(socket, execChannel.exit, Buffer.from(JSON.stringify({ code: frame.value })));
        socket.close();
        return;
      case 'error':
        throw new TsorchError(toErrorCode(frame.value.code), frame.value.message);
      default:
        break;
    }
  }
}

/** An init container, or the first of several, runs before its pod counts as running. */
function isRunning(status: PodStatus | undefined, container: string | undefined): boolean {
  if (!status || isFinal(status.phase)) return false;
  const meant = container === undefined ? status.containers[0] : status.containers.find(({ name }) => name === container);
  return meant?.state === undefined ? status.phase === 'running' : meant.state === 'running';
}

function toAgent(stream: DataStream, socket: WebSocket, frame: Buffer): void {
  if (stream.writableEnded || stream.destroyed) return;
  const payload = frame.subarray(1);
  switch (frame[0]) {
    case execChannel.stdin:
      if (!stream.write({ kind: { $case: 'stdin', value: payload } })) {
        socket.pause();
        stream.once('drain', () => socket.resume());
      }
      return;
    case execChannel.resize: {
      const size = parseSize(payload.toString());
      if (size) stream.write({ kind: { $case: 'resize', value: size } });
      return;
    }
    case execChannel.stdinEnd:
      stream.write({ kind: { $case: 'stdinEnd', value: true } });
      return;
    default:
      return;
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

function parseQuery(text: string): ExecQuery {
  let value: Partial<ExecQuery>;
  try {
    value = JSON.parse(text) as Partial<ExecQuery>;
  } catch (cause) {
    throw new TsorchError('invalid', 'q is not JSON', { cause });
  }
  if (typeof value.target !== 'string' || !Array.isArray(value.argv) || value.argv.length === 0 || !value.argv.every((part) => typeof part === 'string')) {
    throw new TsorchError('invalid', 'q needs a target and a command', { path: 'q' });
  }
  return {
    target: value.target, argv: value.argv, env: value.env ?? {}, tty: value.tty === true, stdin: value.stdin === true,
    ...(typeof value.container === 'string' && value.container !== '' ? { container: value.container } : {}),
    ...(value.user === undefined ? {} : { user: value.user }), ...(value.workingDir === undefined ? {} : { workingDir: value.workingDir }),
  };
}
