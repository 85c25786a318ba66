/** Local ports led to ports of pods: a channel for each connection, for UDP one for each peer that sends. */
import { createSocket, type RemoteInfo, type Socket as UdpSocket } from 'node:dgram';
import { once } from 'node:events';
import { createServer, type AddressInfo, type Socket } from 'node:net';
import type { PortForwardQuery } from '../../model/api.ts';
import { describeError, isCode, TsorchError } from '../../model/errors.ts';
import type { Context } from '../context/file.ts';
import { Channel } from './channel.ts';

export interface Forward {
  readonly target: string;
  readonly address: string;
  /** 0: any free one. */
  readonly local: number;
  readonly remote: number;
  readonly protocol: 'tcp' | 'udp';
}

export interface Forwarding {
  /** The port that was found. */
  readonly local: number;
  close(): void;
}

/** A peer that is silent for so long has gone, as far as one can tell. */
const udpIdleMs = 60_000;

/** `failed` hears of each connection that did not come about, or broke off. */
export function forward(context: Context, wanted: Forward, failed: (words: string) => void): Promise<Forwarding> {
  return wanted.protocol === 'udp' ? forwardUdp(context, wanted, failed) : forwardTcp(context, wanted, failed);
}

async function forwardTcp(context: Context, wanted: Forward, failed: (words: string) => void): Promise<Forwarding> {
  const open = new Set<Socket>();
  const server = createServer({ allowHalfOpen: true, pauseOnConnect: true }, (socket) => {
    open.add(socket);
    socket.once('close', () => open.delete(socket));
    connect(context, query(wanted), socket, failed);
  });
  server.listen({ host: wanted.address, port: wanted.local });
  await listening(server, wanted);
  return {
    local: (server.address() as AddressInfo).port,
    close() {
      server.close();
      for (const socket of open) socket.destroy();
    },
  };
}

function connect(context: Context, asked: PortForwardQuery, socket: Socket, failed: (words: string) => void): void {
  let connected = false;
  const channel = new Channel(context, '/v1/port-forward', asked, {
    output: (_stream, data) => (socket.write(data) || socket.destroyed ? undefined : drained(socket)),
    outputEnd: () => void socket.end(),
    // Nothing is taken from whoever connected before there is somebody to give it to.
    info: () => {
      connected = true;
      socket.resume();
    },
  });
  socket.on('error', () => {});
  socket.on('close', () => channel.close(new TsorchError('aborted', 'the local side has closed')));
  socket.on('data', (data: Buffer) => {
    socket.pause();
    void channel.write(data).then(() => socket.resume());
  });
  socket.on('end', () => channel.end());
  channel.exit.then(() => void socket.end(), (error: unknown) => {
    if (isCode(error, 'aborted') && socket.destroyed) return;
    // To whoever connected it is as if the server itself had refused, or gone.
    socket.resetAndDestroy();
    if (!connected || !isCode(error, 'aborted')) failed(describeError(error));
  });
}

async function drained(socket: Socket): Promise<void> {
  await Promise.race([once(socket, 'drain'), once(socket, 'close')]).catch(() => {});
}

interface Peer {
  readonly channel: Channel;
  /** What came before there was anybody to give it to; null since. */
  early: Buffer[] | null;
  readonly idle: NodeJS.Timeout;
}

/** Of the first datagrams, such as both questions of a resolver, so many are kept. */
const mostEarly = 64;

async function forwardUdp(context: Context, wanted: Forward, failed: (words: string) => void): Promise<Forwarding> {
  const socket = createSocket(wanted.address.includes(':') ? 'udp6' : 'udp4');
  const peers = new Map<string, Peer>();
  socket.on('message', (message, from) => {
    const key = `${from.address} ${from.port}`;
    const peer = peers.get(key) ?? open(key, from);
    peer.idle.refresh();
    // What cannot be taken now is dropped, as UDP does.
    if (!peer.early) peer.channel.datagram(message);
    else if (peer.early.length < mostEarly) peer.early.push(message);
  });
  const open = (key: string, from: RemoteInfo): Peer => {
    const channel = new Channel(context, '/v1/port-forward', query(wanted), {
      output: (_stream, data) => {
        socket.send(data, from.port, from.address);
      },
    });
    const idle = setTimeout(() => channel.close(new TsorchError('aborted', 'idle')), udpIdleMs);
    const peer: Peer = { channel, early: [], idle };
    peers.set(key, peer);
    void channel.opened.then(() => {
      for (const message of peer.early ?? []) channel.datagram(message);
      peer.early = null;
    }, () => {});
    channel.exit.then(() => {}, (error: unknown) => isCode(error, 'aborted') || failed(describeError(error))).finally(() => {
      clearTimeout(idle);
      if (peers.get(key) === peer) peers.delete(key);
    });
    return peer;
  };
  socket.bind({ address: wanted.address, port: wanted.local });
  await listening(socket, wanted);
  return {
    local: socket.address().port,
    close() {
      socket.close();
      for (const { channel } of peers.values()) channel.close(new TsorchError('aborted', 'interrupted'));
    },
  };
}

async function listening(server: ReturnType<typeof createServer> | UdpSocket, { address, local }: Forward): Promise<void> {
  try {
    await once(server, 'listening');
  } catch (cause) {
    const code = (cause as NodeJS.ErrnoException).code;
    const why = code === 'EADDRINUSE' ? 'it is in use' : code === 'EACCES' ? 'only root may' : code === 'EADDRNOTAVAIL' ? 'this machine has no such address' : (cause as Error).message;
    throw new TsorchError('conflict', `cannot listen on ${address} port ${local}: ${why}`, { cause, hint: 'choose another local port, LOCAL:REMOTE, or none, :REMOTE' });
  }
}

function query({ target, remote, protocol }: Forward): PortForwardQuery {
  return { target, port: remote, protocol };
}
