/** How much of a disk a directory takes. */
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { describeError, TsorchError } from '../../model/errors.ts';

/** Bytes allocated, holes left out, each file once however many names it has. Other file systems mounted in it do not count. */
export async function bytesUsed(directory: string): Promise<number> {
  try {
    const { stdout } = await promisify(execFile)('du', ['-sx', '--block-size=1', '--', directory], { env: { ...process.env, LC_ALL: 'C' } });
    return Number.parseInt(stdout, 10);
  } catch (cause) {
    // Files that went while it looked make it fail, but it has counted the rest.
    const counted = Number.parseInt((cause as { readonly stdout?: string }).stdout ?? '', 10);
    if (Number.isFinite(counted)) return counted;
    throw new TsorchError('internal', `${directory} cannot be measured: ${describeError(cause)}`, { cause });
  }
}
