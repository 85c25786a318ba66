/** A TCP proxy that tests cut, stop or make lose replies. */
import { connect, createServer } from 'node:net';
import type { AddressInfo, Socket } from 'node:net';

export interface TestProxy {
  readonly endpoint: string;
  /** Breaks all connections; new ones go through. */
  cut(): void;
  /** `open`: everything passes. `mute`: what the server says is swallowed. `closed`: connections are refused. `black-hole`: nothing passes. */
  mode: 'open' | 'mute' | 'closed' | 'black-hole';
  /** Bytes from the client that passed. */
  readonly sent: () => number;
  close(): Promise<void>;
}

export async function startProxy(port: number): Promise<TestProxy> {
  const sockets = new Set<Socket>();
  let sent = 0;
  const server = createServer((client) => {
    if (proxy.mode === 'closed') return void client.destroy();
    const upstream = connect(port, '127.0.0.1');
    const end = () => {
      client.destroy();
      upstream.destroy();
      sockets.delete(client);
    };
    sockets.add(client);
    for (const socket of [client, upstream]) {
      socket.on('error', end);
      socket.on('close', end);
    }
    client.on('data', (data) => {
      if (proxy.mode === 'black-hole') return;
      sent += data.length;
      upstream.write(data);
    });
    upstream.on('data', (data) => {
      if (proxy.mode === 'open') client.write(data);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const cut = () => {
    for (const socket of sockets) socket.destroy();
  };
  const proxy: TestProxy = {
    endpoint: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    cut,
    mode: 'open',
    sent: () => sent,
    async close() {
      cut();
      await new Promise((resolve) => server.close(resolve));
    },
  };
  return proxy;
}
