import fs from 'node:fs';
import { constants } from 'node:os';
import { LinuxError, lastErrno, libc } from './libc.ts';

/** Makes a named pipe; keeps one that is there. Throws EEXIST when something else is. */
export function makeFifo(path: string, mode = 0o600): void {
  if (libc.mkfifo(path, mode) === 0) return;
  const errno = lastErrno();
  if (errno === constants.errno.EEXIST && fs.lstatSync(path).isFIFO()) return;
  throw new LinuxError(`mkfifo ${path}`, errno);
}
