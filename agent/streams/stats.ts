/** `stats`: what containers and this host use, one `message` with AgentStats, or one after another until hung up. Parameters: StatsStreamParams. */
import type { StatsStreamParams } from '../../model/stats.ts';
import type { FrameStream } from './frames.ts';
import type { StreamContext } from './serve.ts';

export async function serveStats(stream: FrameStream, { pods, everyMs }: StatsStreamParams, context: StreamContext): Promise<void> {
  stream.discardInput();
  const gone = AbortSignal.any([stream.over, context.signal]);
  for await (const stats of context.sampler.watch(pods === null ? null : new Set(pods), everyMs ?? null, gone)) {
    await stream.send({ $case: 'message', value: JSON.stringify(stats) });
  }
  await stream.done(0);
}
