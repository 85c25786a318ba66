/** Ends a stream with an error the other side gets to see: destroying one says nothing on the wire. */
import type { ServerDuplexStream, status } from '@grpc/grpc-js';

export function refuse<A, B>(stream: ServerDuplexStream<A, B>, code: status, message: string): void {
  // Nothing it still sends is heard.
  stream.once('finish', () => stream.destroy());
  stream.emit('error', Object.assign(new Error(message), { code, details: message }));
}
