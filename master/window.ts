/**
 * How much agents may send ahead of what was read. HTTP/2 begins with 64 KiB, which is less than one frame of output: then each
 * side waits for the other, however fast both are. grpc-js has an option for clients only.
 */
import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import type { ServerHttp2Stream } from 'node:http2';
import { AgentsService } from '../proto/agents.ts';

const channel = 'http2.server.stream.created';
/** Bytes of one data stream, and of a host's connection with all its streams. */
const window = { stream: 512 * 1024, connection: 4 * 1024 * 1024 } as const;

/** A host's connection is known by its session, which is opened on it first. Ends with the signal. */
export function widenWindows(signal: AbortSignal): void {
  const onStream = (message: unknown) => {
    const { stream, headers } = message as { stream: ServerHttp2Stream; headers: Record<string, unknown> };
    if (headers[':path'] !== AgentsService.session.path) return;
    stream.session?.settings({ initialWindowSize: window.stream });
    stream.session?.setLocalWindowSize(window.connection);
  };
  subscribe(channel, onStream);
  signal.addEventListener('abort', () => unsubscribe(channel, onStream), { once: true });
}
