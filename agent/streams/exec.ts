/** `exec`: a process in a running container, byte for byte; `done` carries its exit code. Parameters: ExecStreamParams. */
import type { ExecStreamParams } from '../../model/api.ts';
import { describeError, isCode, TsorchError } from '../../model/errors.ts';
import type { ExecProcess } from '../runtime/port.ts';
import type { FrameStream } from './frames.ts';
import type { StreamContext } from './serve.ts';

const hangup = 1;
const killed = 9;
/** How long a process whose caller has gone may take to end by itself. */
const hangupGraceMs = 5000;

export async function serveExec(stream: FrameStream, params: ExecStreamParams, context: StreamContext): Promise<void> {
  const target = context.pods.get(params.podId)?.running(params.container);
  if (!target) {
    const what = params.container === undefined ? `pod ${params.podId}` : `container ${params.container} of pod ${params.podId}`;
    throw new TsorchError('unavailable', `${what} is not running on this node`, { hint: 'see tsorch ps' });
  }
  const { argv, env, tty, stdin, user, workingDir } = params;
  let process: ExecProcess;
  try {
    process = await context.runtime.exec(target.id, { argv, env, tty, stdin, ...(user === undefined ? {} : { user }), ...(workingDir === undefined ? {} : { workingDir }) });
  } catch (error) {
    if (!isCode(error, 'invalid')) throw error;
    // It never ran: said and told by a code, as a shell does.
    await stream.send({ $case: 'stderr', value: Buffer.from(`tsorch: ${describeError(error)}\n`) });
    return stream.done(notRun(error));
  }
  const finished = new AbortController();
  const abandoned = abandon(process, stream, context, finished.signal);
  try {
    feed(stream, process).catch(() => {});
    await Promise.all([pump(process.stdout, 'stdout', stream), process.stderr ? pump(process.stderr, 'stderr', stream) : undefined]);
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

/** Output at the pace it is taken: a process that prints faster waits. */
async function pump(from: NodeJS.ReadableStream, kind: 'stdout' | 'stderr', stream: FrameStream): Promise<void> {
  for await (const part of from as AsyncIterable<Buffer | string>) {
    await stream.send({ $case: kind, value: typeof part === 'string' ? Buffer.from(part) : part });
  }
}

async function feed(stream: FrameStream, process: ExecProcess): Promise<void> {
  const { stdin } = process;
  stdin?.on('error', () => {});
  for await (const frame of stream.incoming()) {
    switch (frame.$case) {
      case 'stdin':
        if (stdin && !stdin.write(frame.value)) await new Promise<void>((resolve) => stdin.once('drain', resolve).once('close', resolve));
        break;
      case 'stdinEnd':
        stdin?.end();
        break;
      case 'resize':
        await process.resize(frame.value.width, frame.value.height).catch(() => {});
        break;
      default:
        break;
    }
  }
  stdin?.end();
}

/** Nobody is left to see it: as when a terminal is closed, and by force when that does not help. */
async function abandon(process: ExecProcess, stream: FrameStream, context: StreamContext, finished: AbortSignal): Promise<void> {
  const gone = AbortSignal.any([stream.over, context.signal]);
  await new Promise<void>((resolve) => {
    if (gone.aborted || finished.aborted) return resolve();
    for (const signal of [gone, finished]) signal.addEventListener('abort', () => resolve(), { once: true });
  });
  if (finished.aborted && !gone.aborted) return;
  let ended = false;
  const exit = process.exit.then(() => (ended = true), () => (ended = true));
  await process.kill(hangup).catch(() => {});
  const grace = new AbortController();
  await Promise.race([exit, context.clock.sleep(hangupGraceMs, grace.signal).catch(() => {})]);
  grace.abort();
  if (!ended) await process.kill(killed).catch(() => {});
}
