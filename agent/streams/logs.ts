/** `logs`: a pod's output as batches of chunks, then `done`. Parameters: LogsStreamParams. */
import type { LogsStreamParams } from '../../model/api.ts';
import { TsorchError } from '../../model/errors.ts';
import type { LogChunk } from '../../model/log-chunk.ts';
import type { FrameStream } from './frames.ts';
import type { StreamContext } from './serve.ts';

const frameBytes = 64 * 1024;
/** What a chunk takes besides its data, roughly. */
const chunkBytes = 64;

export async function serveLogs(stream: FrameStream, params: LogsStreamParams, context: StreamContext): Promise<void> {
  stream.discardInput();
  const { podId, ...options } = params;
  const signal = AbortSignal.any([stream.over, context.signal]);
  for await (const batch of context.logs.read(podId, options, signal)) {
    for (const chunks of frames(batch)) {
      await stream.send({ $case: 'logs', value: { chunks: chunks.map(({ stream: from, notice, data, ...rest }) => ({ ...rest, stderr: from === 'stderr', notice: notice === true, data: data as Buffer })) } });
    }
    // The next batch is read into the same memory.
    await stream.taken();
  }
  // Not the end of the output: whoever follows asks again when this agent is back.
  if (context.signal.aborted) throw new TsorchError('aborted', 'the agent stops');
  await stream.done(0);
}

/** As many chunks as fit into a frame, at least one. */
function* frames(batch: readonly LogChunk[]): Generator<readonly LogChunk[]> {
  let from = 0;
  let bytes = 0;
  for (const [i, { data }] of batch.entries()) {
    if (i > from && bytes + data.length > frameBytes) {
      yield batch.slice(from, i);
      from = i;
      bytes = 0;
    }
    bytes += data.length + chunkBytes;
  }
  yield batch.slice(from);
}
