/** `logs`: a pod's output as LogLine records, then `done`. Parameters: LogsStreamParams. */
import type { LogLine, LogsStreamParams } from '../../model/api.ts';
import { podName } from '../../model/pod.ts';
import type { FrameStream } from './frames.ts';
import type { StreamContext } from './serve.ts';

export async function serveLogs(stream: FrameStream, params: LogsStreamParams, context: StreamContext): Promise<void> {
  stream.discardInput();
  const { podId, container, attempt, follow, tail, since, until } = params;
  const pod = context.pods.get(podId)?.assignment?.pod;
  const base = { pod: pod ? podName(pod.service, pod.slot) : podId, podId, node: context.nodeName() };
  const only = { ...(container === undefined ? {} : { container }), ...(attempt === undefined ? {} : { attempt }) };
  const options = { follow, ...only, ...(tail === undefined ? {} : { tail }), ...(since === undefined ? {} : { since }), ...(until === undefined ? {} : { until }) };
  const signal = AbortSignal.any([stream.over, context.signal]);
  for await (const batch of context.logs.read(podId, options, signal)) {
    for (const { container: of, stream: from, time, line, partial } of batch) {
      const record: LogLine = { ...base, container: of, stream: from, time, line, ...(partial ? { partial } : {}) };
      await stream.send({ $case: 'message', value: JSON.stringify(record) });
    }
  }
  await stream.done(0);
}
