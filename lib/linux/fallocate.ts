/** Space of open files. */
import { declare, LinuxError, lastErrno } from './libc.ts';
import type { KoffiFunc } from 'koffi';

/** FALLOC_FL_KEEP_SIZE with FALLOC_FL_PUNCH_HOLE. */
const punchHoleMode = 0x3;

const fallocate = declare<(fd: number, mode: number, offset: number, length: number) => number>('int fallocate(int, int, int64_t, int64_t)') as unknown as KoffiFunc<(...args: never[]) => number>;

const allocateMode = 0;

/** Gives the file its blocks, so that they are its own when the disk is full. Blocks; throws EOPNOTSUPP where the file system cannot. */
export function allocate(fd: number, length: number): void {
  if ((fallocate as unknown as (fd: number, mode: number, offset: number, length: number) => number)(fd, allocateMode, 0, length) < 0) throw new LinuxError('fallocate', lastErrno());
}

/**
 * Frees the blocks within the range, in another thread; what is read there afterwards is zeros, and the file's size stays. Rejects
 * with EOPNOTSUPP where the file system cannot.
 */
export function punchHole(fd: number, offset: number, length: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const done = (error: unknown, result: number) => {
      if (error) reject(error as Error);
      else if (result < 0) reject(new LinuxError('fallocate', lastErrno()));
      else resolve();
    };
    (fallocate.async as (...args: unknown[]) => void)(fd, punchHoleMode, offset, length, done);
  });
}
