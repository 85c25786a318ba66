/** Tells systemd that a program serves, where a unit with `Type=notify` started it: `systemctl start` then waits until it does. */
import { execFile } from 'node:child_process';
import type { Log } from '../../lib/log.ts';
import { describeError } from '../../model/errors.ts';

/**
 * To be called before the program starts others: etcd and containerd would tell systemd themselves that they are ready, and be taken for
 * the whole. What it returns is to be called once the program serves; it does nothing where nobody waits.
 */
export function readiness(env: NodeJS.ProcessEnv, log: Log): () => void {
  const socket = env['NOTIFY_SOCKET'];
  delete env['NOTIFY_SOCKET'];
  if (socket === undefined) return () => {};
  // Node has no datagrams over unix sockets; this one comes with systemd.
  return () => void execFile('systemd-notify', ['--ready'], { env: { ...env, NOTIFY_SOCKET: socket } }, (error) => {
    if (error) log.warn('systemd does not hear that the program is ready', { error: describeError(error) });
  });
}
