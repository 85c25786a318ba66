/** The name server of this host's pods, over UDP and TCP. Who asks is known by the source address. */
import { createSocket } from 'node:dgram';
import type { Socket as UdpSocket } from 'node:dgram';
import { createServer } from 'node:net';
import type { Server, Socket } from 'node:net';
import type { Clock } from '../../lib/clock.ts';
import type { Log } from '../../lib/log.ts';
import { answer } from './answer.ts';
import { Forwarder } from './forward.ts';
import { encodeAnswer, encodeMalformed, parseQuery, rcode } from './message.ts';
import type { Names } from './names.ts';
import { resolversOf } from './resolvers.ts';

export interface DnsOptions {
  readonly address: string;
  /** Default 53. */
  readonly port?: number;
  readonly names: Names;
  /** The host's name servers, or the file that lists them. */
  readonly resolvers: readonly string[] | { readonly file: string };
  readonly resolverPort?: number;
  readonly clock: Clock;
  readonly log: Log;
  readonly signal: AbortSignal;
}

const mostConnections = 512;
const idleMs = 10_000;
const retryMs = { first: 50, most: 2000 } as const;

export class DnsServer {
  readonly #options: DnsOptions;
  readonly #forwarder: Forwarder;
  #turn = 0;

  constructor(options: DnsOptions) {
    this.#options = options;
    const { resolvers, address, clock, resolverPort } = options;
    this.#forwarder = new Forwarder({ resolvers: resolversOf(resolvers, address, clock), clock, ...(resolverPort === undefined ? {} : { port: resolverPort }) });
  }

  /** Serves until the signal fires. Resolves once it listens; waits for the address to appear on the host. */
  async listen(): Promise<void> {
    const { clock, log, signal, address } = this.#options;
    let wait: number = retryMs.first;
    for (;;) {
      signal.throwIfAborted();
      try {
        const udp = await this.#listenUdp();
        try {
          const tcp = await this.#listenTcp();
          this.#closeWhenDone(udp, tcp);
          log.info('name server listens', { address });
          return;
        } catch (error) {
          udp.close();
          throw error;
        }
      } catch (error) {
        log.warn('name server cannot listen yet', { address, error, ms: wait });
        await clock.sleep(wait, signal);
        wait = Math.min(wait * 2, retryMs.most);
      }
    }
  }

  /** The answer to one message; undefined when it deserves none. Never rejects. */
  async handle(message: Buffer, from: string, transport: 'udp' | 'tcp'): Promise<Buffer | undefined> {
    const parsed = parseQuery(message);
    if (parsed.kind === 'ignored') return undefined;
    if (parsed.kind === 'malformed') return encodeMalformed(parsed.id, parsed.opcode);
    const { query } = parsed;
    const most = transport === 'udp' ? query.udpSize : Infinity;
    const decided = answer(query, { names: this.#options.names, asker: from, turn: this.#turn++ });
    if (decided.kind === 'answer') return encodeAnswer(query, decided.rcode, decided.records, most);
    const reply = await this.#forwarder.ask(message, transport, this.#options.signal, decided.servers && reachable(decided.servers, this.#options.address));
    return reply ?? encodeAnswer(query, rcode.serverFailure, [], most);
  }

  #listenUdp(): Promise<UdpSocket> {
    const { address, port = 53 } = this.#options;
    // A successor can listen before its predecessor is wholly gone.
    const socket = createSocket({ type: 'udp4', reuseAddr: true });
    socket.on('message', (message, from) => {
      void this.handle(message, from.address, 'udp').then((reply) => {
        // Nobody to tell when it cannot be sent.
        if (reply && !this.#options.signal.aborted) socket.send(reply, from.port, from.address, () => {});
      });
    });
    return new Promise((resolve, reject) => {
      socket.once('error', (error) => {
        socket.close();
        reject(error);
      });
      socket.bind(port, address, () => {
        socket.removeAllListeners('error').on('error', (error) => this.#options.log.warn('name server: udp failed', { error }));
        resolve(socket);
      });
    });
  }

  #listenTcp(): Promise<Server> {
    const { address, port = 53 } = this.#options;
    const server = createServer((socket) => this.#serveConnection(socket));
    server.maxConnections = mostConnections;
    return new Promise((resolve, reject) => {
      server.once('error', reject);
      server.listen({ port, host: address }, () => {
        server.removeListener('error', reject).on('error', (error) => this.#options.log.warn('name server: tcp failed', { error }));
        resolve(server);
      });
    });
  }

  #serveConnection(socket: Socket): void {
    const from = socket.remoteAddress ?? '';
    let received = Buffer.alloc(0);
    const abort = () => socket.destroy();
    this.#options.signal.addEventListener('abort', abort, { once: true });
    socket.on('close', () => this.#options.signal.removeEventListener('abort', abort));
    socket.on('error', abort);
    socket.setTimeout(idleMs, abort);
    socket.on('data', (data) => {
      received = Buffer.concat([received, data]);
      while (received.length >= 2 && received.length >= 2 + received.readUInt16BE(0)) {
        const message = Buffer.from(received.subarray(2, 2 + received.readUInt16BE(0)));
        received = received.subarray(2 + message.length);
        void this.handle(message, from, 'tcp').then((reply) => {
          if (!reply || socket.destroyed) return;
          const length = Buffer.alloc(2);
          length.writeUInt16BE(reply.length);
          socket.write(Buffer.concat([length, reply]));
        });
      }
    });
  }

  #closeWhenDone(udp: UdpSocket, tcp: Server): void {
    const { signal } = this.#options;
    const close = () => {
      udp.close();
      tcp.close();
    };
    if (signal.aborted) close();
    else signal.addEventListener('abort', close, { once: true });
  }
}

/** Those that can be asked from the host. A pod's own loopback cannot: its resolver comes to it when we have no answer. Asking ourselves would never end. */
function reachable(servers: readonly string[], self: string): readonly string[] {
  return servers.filter((server) => server !== self && !server.startsWith('127.') && server !== '::1');
}
