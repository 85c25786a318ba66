/** Giving up the head of a file while others append to it: the blocks go, offsets stay. */
import fs from 'node:fs/promises';
import { punchHole as punch } from '../../lib/linux/fallocate.ts';

/** Frees `length` bytes from `offset`. Rejects where the file system cannot. */
export type Punch = (file: string, offset: number, length: number) => Promise<void>;

export const punchHole: Punch = async (file, offset, length) => {
  const handle = await fs.open(file, 'r+');
  try {
    await punch(handle.fd, offset, length);
  } finally {
    await handle.close();
  }
};

export const blockBytes = 4096;
