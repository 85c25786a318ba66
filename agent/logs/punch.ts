/** Giving up the head of a file while others append to it: the blocks go, offsets stay. */
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';

/** Frees `length` bytes from `offset`. Rejects where the file system cannot. */
export type Punch = (file: string, offset: number, length: number) => Promise<void>;

export const punchHole: Punch = async (file, offset, length) => {
  await promisify(execFile)('fallocate', ['--punch-hole', '--offset', String(offset), '--length', String(length), file], { timeout: 60_000 });
};

export const blockBytes = 4096;
