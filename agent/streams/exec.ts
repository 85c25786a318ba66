/** `exec`: a process in a running container, byte for byte; `done` carries its exit code. Parameters: ExecStreamParams. */
import type { ExecStreamParams } from '../../model/api.ts';
import { describeError, isCode, TsorchError } from '../../model/errors.ts';
import type { ExecProcess } from '../runtime/port.ts';
import type { FrameStream } from './frames.ts';
import { feedInput } from './input.ts';
import type { StreamContext } from './serve.ts';
import { runningContainer } from './targets.ts';

const hangup = 1;
const killed = 9;
/** How long a process whose caller has gone may take to end by itself. */
const hangupGraceMs = 5000;

export async function serveExec(stream: FrameStream, params: ExecStreamParams, context: StreamContext): Promise<void> {
  const target = runningContainer(context, params);
  const { podId: _pod, container: _container, detach, ...request } = params;
  let process: ExecProcess;
  try {
    process = await context.runtime.exec(target.id, { ...request, ...(detach ? { detached: true } : {}) });
  } catch (error) {
    if (!isCode(error, 'invalid')) throw error;
    // It never ran: said and told by a code, as a shell does.
    await stream.send({ $case: 'stderr', value: Buffer.from(`tsorch: ${describeError(error)}\n`) });
    return stream.done(notRun(error));
  }
  if (detach) {
    stream.discardInput();
    return stream.done(0);
  }
  const finished = new AbortController();
  const left = new AbortController();
  const abandoned = abandon(process, stream, context, AbortSignal.any([finished.signal, left.signal]));
  try {
    const feeding = feedInput(stream, { stdin: process.stdin, resize: (width, height) => process.resize(width, height), signal: (signal) => process.kill(signal) });
    feeding.then((how) => how === 'detached' && left.abort(), () => {});
    const pumping = Promise.all([pump(process.stdout, 'stdout', stream, left.signal), process.stderr ? pump(process.stderr, 'stderr', stream, left.signal) : undefined]);
    await Promise.race([pumping, gone(left.signal)]);
    if (left.signal.aborted) {
      pumping.catch(() => {});
      await process.release();
      return await stream.done(0);
    }
    const { code } = await process.exit;
    await stream.done(code);
  } finally {
    finished.abort();
    await abandoned;
  }
}

/** As shells have it: 127 there is no such program, 126 it cannot be run. */
function notRun(error: TsorchError): number {
  return /executable file .*not found|executable file not found|no such file or directory/is.test(error.message) ? 127 : 126;
}

/** Output at the pace it is taken: a process that prints faster waits. Once its reader has `left`, it is taken and forgotten. */
async function pump(from: NodeJS.ReadableStream, kind: 'stdout' | 'stderr', stream: FrameStream, left: AbortSignal): Promise<void> {
  for await (const part of from as AsyncIterable<Buffer | string>) {
    if (left.aborted) continue;
    try {
      await stream.send({ $case: kind, value: typeof part === 'string' ? Buffer.from(part) : part });
    } catch (error) {
      if (!left.aborted) throw error;
    }
  }
}

/** Nobody is left to see it: as when a terminal is closed, and by force when that does not help. */
async function abandon(process: ExecProcess, stream: FrameStream, context: StreamContext, finished: AbortSignal): Promise<void> {
  const over = AbortSignal.any([stream.over, context.signal]);
  await Promise.race([gone(over), gone(finished)]);
  if (finished.aborted) return;
  let ended = false;
  const exit = process.exit.then(() => (ended = true), () => (ended = true));
  await process.kill(hangup).catch(() => {});
  const grace = new AbortController();
  await Promise.race([exit, context.clock.sleep(hangupGraceMs, grace.signal).catch(() => {})]);
  grace.abort();
  if (!ended) await process.kill(killed).catch(() => {});
}

function gone(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) return resolve();
    signal.addEventListener('abort', () => resolve(), { once: true });
  });
}
