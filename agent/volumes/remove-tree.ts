/** Deleting a directory that others have written to: never beyond a mount, never through a link. */
import { execFile } from 'node:child_process';
import fs from 'node:fs/promises';
import { promisify } from 'node:util';
import { describeError, TsorchError } from '../../model/errors.ts';
import { isMissing } from '../state.ts';
import type { Mounter } from './mounter.ts';

/** Succeeds when there is none. `conflict`, and nothing done, when something is mounted in it. */
export async function removeTree(directory: string, mounter: Pick<Mounter, 'mountsBelow'>): Promise<void> {
  const entries = await fs.readdir(directory, { withFileTypes: true }).catch((error: unknown) => {
    if (isMissing(error)) return null;
    throw error;
  });
  if (entries === null) return;
  const mounts = mounter.mountsBelow(directory);
  if (mounts.length > 0) throw new TsorchError('conflict', `${mounts[0]} is a mount, ${directory} is not deleted`, { hint: 'unmount it on that node' });
  if (entries.length === 0) return fs.rmdir(directory);
  try {
    // It works by directory handles, so that a name that turns into a link meanwhile leads it nowhere; and it is fast.
    await promisify(execFile)('rm', ['-rf', '--one-file-system', '--', directory], { maxBuffer: 1 << 20 });
  } catch (cause) {
    throw new TsorchError('internal', `${directory} could not be deleted: ${describeError(cause).split('\n')[1] ?? describeError(cause)}`, { cause });
  }
}
