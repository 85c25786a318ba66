/** A TCP relay that lets so many bytes per second through to the client, so that what takes time can be watched. */
import { connect, createServer, type Socket } from 'node:net';
import type { AddressInfo } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';

export interface SlowRelay {
  readonly port: number;
  /** Of all connections together; Infinity for no limit. */
  bytesPerSecond: number;
  close(): Promise<void>;
}

export async function startSlowRelay(address: string, target: { readonly host: string; readonly port: number }): Promise<SlowRelay> {
  const sockets = new Set<Socket>();
  const server = createServer((client) => {
    const upstream = connect(target.port, target.host);
    for (const socket of [client, upstream]) {
      sockets.add(socket);
      socket.on('close', () => sockets.delete(socket));
      socket.on('error', () => {
        client.destroy();
        upstream.destroy();
      });
    }
    client.pipe(upstream);
    void pass(upstream, client).catch(() => client.destroy());
  });
  let free = performance.now();
  const pass = async (from: Socket, to: Socket) => {
    for await (const piece of from as AsyncIterable<Buffer>) {
      free = Math.max(free, performance.now()) + (piece.length / relay.bytesPerSecond) * 1000;
      const wait = free - performance.now();
      if (wait > 5) await sleep(wait);
      if (!to.write(piece)) await new Promise((resolve) => to.once('drain', resolve).once('close', resolve));
    }
    to.end();
  };
  await new Promise<void>((resolve, reject) => server.once('error', reject).listen(0, address, resolve));
  const relay: SlowRelay = {
    port: (server.address() as AddressInfo).port,
    bytesPerSecond: Infinity,
    async close() {
      for (const socket of sockets) socket.destroy();
      await new Promise<void>((resolve) => void server.close(() => resolve()));
    },
  };
  return relay;
}
