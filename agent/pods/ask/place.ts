/** Where a probe asks: the pod's address, or a socket inside its namespace where it has none. */
import fs from 'node:fs';
import net from 'node:net';
import { inNetns } from '../../../lib/linux/netns.ts';
import { tcpSocket } from '../../../lib/linux/socket.ts';
import type { Assignment } from '../../../model/assignment.ts';

export interface Place {
  /** An address, or a name that this host resolves. */
  readonly host: string;
  /** The namespace to ask from, by path; null for this host's own. */
  readonly netns: string | null;
}

/**
 * Pods are asked at their own address, those on the host's network at loopback. Loopback said by name is the pod's own, and so is the
 * only address of a pod without network: these are asked from inside. `pid` is of the container.
 */
export function placeOf({ pod, template }: Pick<Assignment, 'pod' | 'template'>, pid: number, host?: string): Place {
  if (template.networkMode === 'host') return { host: host ?? '127.0.0.1', netns: null };
  const inside = `/proc/${pid}/ns/net`;
  if (host === undefined) return pod.ip === null ? { host: '127.0.0.1', netns: inside } : { host: pod.ip, netns: null };
  if (host === 'localhost') return { host: '127.0.0.1', netns: inside };
  return { host, netns: /^127\.\d+\.\d+\.\d+$/.test(host) ? inside : null };
}

/** Begins to connect. Throws when the namespace is gone. */
export function dial({ host, netns }: Place, port: number): net.Socket {
  if (netns === null) return net.connect({ host, port });
  const fd = fs.openSync(netns, 'r');
  try {
    // Node connects later than it is told to, when this thread is home again; a socket stays where it was made.
    return new net.Socket({ fd: inNetns<number>(fd, tcpSocket) }).connect({ host, port });
  } finally {
    fs.closeSync(fd);
  }
}
