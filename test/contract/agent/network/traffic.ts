/** Packets between namespaces, sent and received by this process through sockets that live there. */
import dgram from 'node:dgram';
import fs from 'node:fs';
import net from 'node:net';
import { once } from 'node:events';
import { check, libc } from '../../../../lib/linux/libc.ts';
import { inNetns } from '../../../../lib/linux/netns.ts';
import { bindUdp, listenTcp, localAddress, tcpSocket } from '../../../../lib/linux/socket.ts';

const ipProtocol = 0;
const mtuDiscover = 10;
/** Never fragment; refuse what is known not to fit. */
const alwaysDiscover = Buffer.from([2, 0, 0, 0]);

export interface Received {
  readonly from: string;
  readonly text: string;
  readonly length: number;
}

/** A UDP socket inside a namespace. */
export class Endpoint implements Disposable {
  readonly #socket: dgram.Socket;
  readonly address: string;
  readonly port: number;
  readonly received: Received[] = [];

  private constructor(socket: dgram.Socket, address: string, port: number) {
    this.#socket = socket;
    this.address = address;
    this.port = port;
    socket.on('message', (data, info) => this.received.push({ from: info.address, text: data.toString('latin1', 0, 40).replace(/\0+$/, ''), length: data.length }));
  }

  /** In the namespace pinned at `pin`, at one of its addresses. */
  static async open(pin: string, address: string): Promise<Endpoint> {
    const netns = fs.openSync(pin, 'r');
    const fd = inNetns(netns, () => bindUdp({ address, port: 0 }));
    fs.closeSync(netns);
    check(libc.setsockopt(fd, ipProtocol, mtuDiscover, alwaysDiscover, 4), 'setsockopt');
    const { port } = localAddress(fd);
    const socket = dgram.createSocket('udp4');
    const listening = once(socket, 'listening');
    socket.bind({ fd });
    await listening;
    return new Endpoint(socket, address, port);
  }

  /** Sends with DF set, `size` bytes of UDP payload. Rejects with EMSGSIZE when the path is known to carry less. */
  send(to: Endpoint, text: string, size = 40): Promise<void> {
    const data = Buffer.alloc(size);
    data.write(text, 'latin1');
    return new Promise((resolve, reject) => {
      this.#socket.send(data, to.port, to.address, (error) => (error ? reject(error) : resolve()));
    });
  }

  /** Waits for a datagram with this text. */
  async receive(text: string): Promise<Received> {
    for (;;) {
      const found = this.received.find((r) => r.text === text);
      if (found) return found;
      await once(this.#socket, 'message', { signal: AbortSignal.timeout(5000) });
    }
  }

  [Symbol.dispose](): void {
    this.#socket.close();
  }
}

/** Whether a datagram gets there and an answer back. */
export async function ping(from: Endpoint, to: Endpoint, size?: number): Promise<void> {
  const text = `${from.address}-${from.received.length}-${to.received.length}`;
  await from.send(to, text, size);
  const { from: seen } = await to.receive(text);
  if (seen !== from.address) throw new Error(`${to.address} saw ${seen} for ${from.address}`);
  await to.send(from, `re ${text}`, size);
  await from.receive(`re ${text}`);
}

/** Sends bytes through a TCP connection from one namespace into another; resolves to how many arrived. */
export async function transfer(fromPin: string, toPin: string, toAddress: string, bytes: number): Promise<number> {
  const inPin = <T extends number>(pin: string, run: () => T): number => {
    const netns = fs.openSync(pin, 'r');
    try {
      return inNetns<number>(netns, run);
    } finally {
      fs.closeSync(netns);
    }
  };
  const listener = inPin(toPin, () => listenTcp({ address: toAddress, port: 0 }));
  const { port } = localAddress(listener);
  const server = net.createServer();
  server.listen({ fd: listener });
  const client = new net.Socket({ fd: inPin(fromPin, tcpSocket) });
  try {
    const accepted = once(server, 'connection') as Promise<[net.Socket]>;
    client.setTimeout(10_000, () => client.destroy(new Error('no progress')));
    client.connect({ host: toAddress, port });
    await once(client, 'connect');
    client.end(Buffer.alloc(bytes));
    const [socket] = await accepted;
    let arrived = 0;
    for await (const chunk of socket) arrived += (chunk as Buffer).length;
    return arrived;
  } finally {
    client.destroy();
    server.close();
  }
}
