/** Connections into a pod: sockets made in its network namespace, so that its own loopback is reached too. */
import { createSocket, type Socket as UdpSocket } from 'node:dgram';
import fs from 'node:fs';
import { Socket } from 'node:net';
import { hasErrno } from '../../lib/linux/libc.ts';
import { inNetns } from '../../lib/linux/netns.ts';
import { bindUdp, tcpSocket } from '../../lib/linux/socket.ts';
import { TsorchError } from '../../model/errors.ts';

/** Where servers listen that are for the pod itself, or for everybody. */
const loopbacks = [['inet', '127.0.0.1'], ['inet6', '::1']] as const;

/** A TCP connection to `port` on the loopback of the network namespace of process `pid`. `unavailable` when nobody listens. */
export async function dialTcp(pid: number, port: number, signal: AbortSignal): Promise<Socket> {
  let refusal: unknown;
  for (const [domain, host] of loopbacks) {
    const fd = within(pid, () => tcpSocket(domain));
    try {
      return await connect(fd, host, port, signal);
    } catch (error) {
      if (signal.aborted) throw new TsorchError('aborted', 'not connected any more', { cause: error });
      // The one that most servers listen on says what is wrong.
      refusal ??= error;
    }
  }
  throw new TsorchError('unavailable', hasErrno(refusal, 'ECONNREFUSED') ? `nobody listens on port ${port}` : `port ${port}: ${(refusal as Error).message}`, { cause: refusal });
}

/** A UDP socket that sends to `port` on that loopback and hears what comes back. */
export async function dialUdp(pid: number, port: number): Promise<UdpSocket> {
  const fd = within(pid, () => bindUdp({ address: '127.0.0.1', port: 0 }));
  const socket = createSocket('udp4');
  await new Promise<void>((resolve, reject) => {
    socket.once('error', reject);
    socket.bind({ fd }, () => socket.connect(port, '127.0.0.1', () => resolve()));
  });
  return socket;
}

function within(pid: number, make: () => number): number {
  let netns: number;
  try {
    netns = fs.openSync(`/proc/${pid}/ns/net`, 'r');
  } catch (cause) {
    throw new TsorchError('unavailable', 'the container has ended', { cause });
  }
  try {
    return inNetns(netns, make);
  } finally {
    fs.closeSync(netns);
  }
}

function connect(fd: number, host: string, port: number, signal: AbortSignal): Promise<Socket> {
  return new Promise((resolve, reject) => {
    // Either side may end its half first.
    const socket = new Socket({ fd, readable: true, writable: true, allowHalfOpen: true });
    const stop = () => socket.destroy(new TsorchError('aborted', 'not connected any more'));
    const settle = (error?: Error) => {
      signal.removeEventListener('abort', stop);
      socket.off('error', settle).off('connect', settle);
      if (!error) return resolve(socket);
      socket.on('error', () => {});
      socket.destroy();
      reject(error);
    };
    signal.addEventListener('abort', stop, { once: true });
    socket.once('error', settle).once('connect', () => settle());
    socket.connect({ host, port });
  });
}
