/** Asking the host's name servers on a pod's behalf. Messages are passed on as they are, under an id of our own. */
import { randomInt } from 'node:crypto';
import { createSocket } from 'node:dgram';
import { connect, isIPv6 } from 'node:net';
import type { Clock } from '../../lib/clock.ts';
import { rcode, readQuestion } from './message.ts';

const port = 53;
/** For one server; and for all attempts, so that the pod hears of failure before its own five seconds are over. */
const attemptMs = 1500;
const totalMs = 4500;
const rounds = 2;
const mostInFlight = 512;

export interface ForwarderOptions {
  readonly resolvers: () => readonly string[];
  readonly clock: Clock;
  /** For tests: name servers that do not listen on 53. */
  readonly port?: number;
}

export class Forwarder {
  readonly #options: ForwarderOptions;
  #inFlight = 0;

  constructor(options: ForwarderOptions) {
    this.#options = options;
  }

  /** The answer to `query` of the servers, the host's unless told; undefined when none gave any. */
  async ask(query: Buffer, transport: 'udp' | 'tcp', signal: AbortSignal, servers: readonly string[] = this.#options.resolvers()): Promise<Buffer | undefined> {
    if (this.#inFlight >= mostInFlight) return undefined;
    this.#inFlight++;
    try {
      return await this.#tryAll(query, transport, signal, servers);
    } finally {
      this.#inFlight--;
    }
  }

  async #tryAll(query: Buffer, transport: 'udp' | 'tcp', signal: AbortSignal, servers: readonly string[]): Promise<Buffer | undefined> {
    const { clock } = this.#options;
    const deadline = clock.monotonic() + totalMs;
    let failure: Buffer | undefined;
    for (const server of Array.from({ length: rounds }, () => servers).flat()) {
      const left = Math.min(attemptMs, deadline - clock.monotonic());
      if (left <= 0 || signal.aborted) break;
      const reply = await this.#tryOne(query, transport, server, left, signal);
      if (!reply) continue;
      const code = reply.readUInt16BE(2) & 15;
      if (code !== rcode.serverFailure && code !== rcode.refused) return reply;
      failure = reply;
      // A server that says so at once says it again: a second round is for those that were silent.
      if (servers.length === 1) break;
    }
    return failure;
  }

  /** Never rejects; undefined when nothing useful came in time. */
  async #tryOne(query: Buffer, transport: 'udp' | 'tcp', server: string, ms: number, signal: AbortSignal): Promise<Buffer | undefined> {
    const ours = Buffer.from(query);
    const id = randomInt(0x10000);
    ours.writeUInt16BE(id, 0);
    const attempt = new AbortController();
    const giveUp = () => attempt.abort();
    signal.addEventListener('abort', giveUp, { once: true });
    this.#options.clock.sleep(ms, attempt.signal).then(giveUp, () => {});
    try {
      const exchange = transport === 'udp' ? overUdp : overTcp;
      const reply = await exchange(ours, server, this.#options.port ?? port, attempt.signal, (candidate) => isAnswerTo(ours, candidate));
      if (reply) query.copy(reply, 0, 0, 2);
      return reply;
    } finally {
      giveUp();
      signal.removeEventListener('abort', giveUp);
    }
  }
}

/** Whether it has the id and the question of the query: anything else may be forged. */
function isAnswerTo(query: Buffer, reply: Buffer): boolean {
  if (reply.length < 12 || reply.readUInt16BE(0) !== query.readUInt16BE(0) || (reply.readUInt16BE(2) & 0x8000) === 0) return false;
  const asked = readQuestion(query)?.question;
  // Failures may come without the question.
  if (reply.readUInt16BE(4) === 0) return (reply.readUInt16BE(2) & 15) !== rcode.noError;
  const repeated = readQuestion(reply)?.question;
  return asked !== undefined && repeated !== undefined && asked.name === repeated.name && asked.type === repeated.type && asked.class === repeated.class;
}

type Exchange = (query: Buffer, server: string, port: number, signal: AbortSignal, accept: (reply: Buffer) => boolean) => Promise<Buffer | undefined>;

/** A socket of its own per question: a new source port each time, and only that server's datagrams. */
const overUdp: Exchange = (query, server, port, signal, accept) => new Promise((resolve) => {
  const socket = createSocket(isIPv6(server) ? 'udp6' : 'udp4');
  const end = (reply?: Buffer) => {
    signal.removeEventListener('abort', onAbort);
    socket.removeAllListeners('message');
    // Errors that come late must not bring the process down.
    socket.removeAllListeners('error').on('error', () => {});
    socket.close();
    resolve(reply);
  };
  const onAbort = () => end();
  if (signal.aborted) return end();
  signal.addEventListener('abort', onAbort, { once: true });
  socket.on('error', () => end());
  socket.on('message', (reply) => {
    if (accept(reply)) end(reply);
  });
  socket.connect(port, server, () => {
    if (!signal.aborted) socket.send(query);
  });
});

const overTcp: Exchange = (query, server, port, signal, accept) => new Promise((resolve) => {
  const socket = connect({ host: server, port });
  let received = Buffer.alloc(0);
  const end = (reply?: Buffer) => {
    signal.removeEventListener('abort', onAbort);
    socket.destroy();
    resolve(reply);
  };
  const onAbort = () => end();
  signal.addEventListener('abort', onAbort, { once: true });
  socket.on('error', () => end());
  socket.on('close', () => end());
  socket.on('connect', () => {
    const length = Buffer.alloc(2);
    length.writeUInt16BE(query.length);
    socket.write(Buffer.concat([length, query]));
  });
  socket.on('data', (data) => {
    received = Buffer.concat([received, data]);
    if (received.length < 2 || received.length < 2 + received.readUInt16BE(0)) return;
    const reply = received.subarray(2, 2 + received.readUInt16BE(0));
    end(accept(reply) ? Buffer.from(reply) : undefined);
  });
});
