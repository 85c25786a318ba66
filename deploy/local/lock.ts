/**
 * One at a time: a listening socket in the abstract namespace. The kernel gives it back when its holder ends in any way, so
 * there are no stale locks.
 */
import { createServer, type Server } from 'node:net';
import { systemClock } from '../../lib/clock.ts';

export interface Lock {
  release(): Promise<void>;
}

/** The lock, or null when somebody else has it. */
export function tryLock(name: string): Promise<Lock | null> {
  return new Promise((resolve, reject) => {
    const server: Server = createServer((socket) => void socket.destroy());
    server.once('error', (error: NodeJS.ErrnoException) => (error.code === 'EADDRINUSE' ? resolve(null) : reject(error)));
    server.listen(`\0tsorch/${name}`, () => {
      server.unref();
      resolve({ release: () => new Promise((done) => void server.close(() => done())) });
    });
  });
}

/** Waits for the lock; `onWait` is called once when it has to. */
export async function takeLock(name: string, signal: AbortSignal, onWait: () => void = () => {}): Promise<Lock> {
  for (let tries = 0; ; tries++) {
    const lock = await tryLock(name);
    if (lock) return lock;
    if (tries === 0) onWait();
    await systemClock.sleep(100, signal);
  }
}
