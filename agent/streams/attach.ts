/**
 * `attach`: input and output of a running container's own process. A first `message` is AttachInfo; `done` carries the exit
 * code. Its input never ends: several may be attached, and come and go. Parameters: AttachStreamParams.
 */
import type { AttachInfo, AttachStreamParams } from '../../model/api.ts';
import { TsorchError } from '../../model/errors.ts';
import { tap } from '../logs/tap.ts';
import type { FrameStream } from './frames.ts';
import { feedInput } from './input.ts';
import type { StreamContext } from './serve.ts';
import { runningContainer } from './targets.ts';

export async function serveAttach(stream: FrameStream, params: AttachStreamParams, context: StreamContext): Promise<void> {
  const { runtime, logs } = context;
  const { id, container, attempt } = runningContainer(context, params);
  const template = context.pods.get(params.podId)?.assignment?.template;
  const spec = [...(template?.containers ?? []), ...(template?.initContainers ?? [])].find(({ name }) => name === container);
  const live = logs.live(params.podId, container, attempt);
  if (!spec || !live) throw new TsorchError('unavailable', `container ${container} of pod ${params.podId} is not running on this node`, { hint: 'see tsorch ps' });
  if (params.attempt !== undefined && params.attempt !== attempt) throw new TsorchError('conflict', `container ${container} was started again meanwhile`, { hint: 'attach again' });
  const gone = AbortSignal.any([stream.over, context.signal]);
  const exit = runtime.wait(id, gone);
  exit.catch(() => {});
  const stdin = params.stdin ? await runtime.input(id) : null;
  const info: AttachInfo = {
    tty: spec.tty, stdin: stdin !== null, container, attempt, places: { stdout: params.places?.['stdout'] ?? live.stdout.size, stderr: params.places?.['stderr'] ?? live.stderr.size },
  };
  await stream.send({ $case: 'message', value: JSON.stringify(info) });
  const feeding = feedInput(stream, { stdin, resize: (width, height) => runtime.resize(id, width, height), signal: (signal) => runtime.kill(id, signal) });
  // Whoever detaches hangs up afterwards, and that is the end of it.
  feeding.catch(() => {});
  const pump = async (which: 'stdout' | 'stderr') => {
    const lost = (bytes: number) => void stream.send({ $case: 'stderr', value: Buffer.from(`[tsorch] ${bytes} bytes of output were given up before they were read\n`) }).catch(() => {});
    for await (const { data } of tap({ live: live[which], from: info.places[which], signal: gone, lost })) {
      await stream.send({ $case: which, value: data });
      await stream.taken();
    }
  };
  try {
    await Promise.all([pump('stdout'), spec.tty ? undefined : pump('stderr')]);
    const { code } = await exit;
    await stream.done(code);
  } finally {
    stdin?.end();
  }
}
