/** The output of one pod from its host. Whoever follows is led through the host's absences: nothing is lost, nothing comes twice. */
import type { LogsStreamParams } from '../../model/api.ts';
import { isCode, TsorchError } from '../../model/errors.ts';
import { noticeChunk, type PodLogChunk, streamKey } from '../../model/log-chunk.ts';
import { isFinal, type Pod, podName } from '../../model/pod.ts';
import type { LogBatch } from '../../proto/gen/tsorch/node.ts';
import type { Context } from '../context.ts';
import { findPod, podStatusOf } from '../pods.ts';
import { framesOf } from '../nodes/frames.ts';
import type { Batches } from './merge.ts';
import { toErrorCode } from './errors.ts';
import { containersOf } from './targets.ts';

export type PodLogParams = Omit<LogsStreamParams, 'podId'>;

/** An agent that is started again is back sooner: nothing needs to be said of it. */
const silentMs = 3000;
const retryMs = { first: 50, most: 1000 };

export async function* readPodLogs(context: Context, pod: Pod, params: PodLogParams, signal: AbortSignal): Batches {
  const { world, clock } = context;
  const nodeId = pod.node ?? '';
  const node = () => world.get('nodes', nodeId)?.name ?? nodeId;
  const of = { pod: nameOf(context, pod), podId: pod.id, ...(containersOf(world.maps, pod).length > 1 ? { several: true as const } : {}) };
  const notice = (words: string) => [noticeChunk({ ...of, node: node(), container: '', attempt: 0, time: clock.now() }, words)];
  let places = params.places;
  let wait = retryMs.first;
  let heard = clock.monotonic();
  let told = false;
  while (!signal.aborted) {
    let failure: unknown;
    try {
      for await (const batch of openLogs(context, { ...params, podId: pod.id, ...(places ? { places } : {}) }, nodeId, signal)) {
        const known: Record<string, number> = { ...places };
        const chunks = batch.chunks.map(({ stderr, notice: own, ...chunk }): PodLogChunk => ({ ...of, node: node(), ...chunk, stream: stderr ? 'stderr' : 'stdout', ...(own ? { notice: true } : {}) }));
        for (const chunk of chunks) known[streamKey(chunk)] = chunk.end;
        places = known;
        [wait, heard, told] = [retryMs.first, clock.monotonic(), false];
        yield chunks;
      }
      return;
    } catch (error) {
      failure = error;
    }
    if (signal.aborted) return;
    const why = reason(failure, of.pod, node(), places !== undefined);
    if (!params.follow) {
      yield notice(why);
      return;
    }
    const now = findPod(world.maps, pod.id);
    const phase = podStatusOf(world.maps, pod.id)?.phase;
    // A host that has just been given the pod may not know of it yet.
    if (!now || (isCode(failure, 'not-found') && phase !== undefined && isFinal(phase))) return;
    if (!told && clock.monotonic() - heard > silentMs) {
      told = true;
      yield notice(`${why}; waiting for it`);
    }
    await clock.sleep(wait, signal).catch(() => {});
    wait = Math.min(wait * 2, retryMs.most);
  }
}

/** Ends when the output has; rejects with what the agent said, or with `unavailable` or `timeout` when it said nothing. */
async function* openLogs(context: Context, params: LogsStreamParams, node: string, signal: AbortSignal): AsyncGenerator<LogBatch> {
  const stream = await context.sessions.openStream(node, 'logs', params);
  const stop = () => stream.end();
  signal.addEventListener('abort', stop, { once: true });
  // The reader may have gone while the host was asked.
  if (signal.aborted) stop();
  try {
    for await (const frame of framesOf(stream)) {
      if (frame.$case === 'logs') yield frame.value;
      else if (frame.$case === 'error') throw new TsorchError(toErrorCode(frame.value.code), frame.value.message);
      else if (frame.$case === 'done') return;
    }
  } finally {
    signal.removeEventListener('abort', stop);
  }
}

function reason(failure: unknown, pod: string, node: string, hadSome: boolean): string {
  if (isCode(failure, 'timeout')) return `no output of ${pod}: node ${node} does not answer`;
  if (isCode(failure, 'unavailable')) return hadSome ? `output of ${pod} broke off: node ${node} went away` : `no output of ${pod}: node ${node} is not connected`;
  return `no output of ${pod}: ${failure instanceof Error ? failure.message : String(failure)}`;
}

/** A global service's pods are called after their nodes. */
function nameOf({ world }: Context, { service, slot }: Pod): string {
  return podName(service, typeof slot === 'string' ? (world.get('nodes', slot)?.name ?? slot) : slot);
}
