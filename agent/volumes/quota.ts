/** How much a plain volume may hold, where the file system counts by project. */
import { createHash } from 'node:crypto';
import { limitProject, setProject } from '../../lib/linux/quota.ts';
import { TsorchError } from '../../model/errors.ts';
import { parseBytes } from '../../model/stack/values/bytes.ts';

/** Our projects have this first byte, containers' another one. */
const projectBase = 0x56000000;

/** Bytes; null without a limit. */
export function sizeLimit(options: Readonly<Record<string, string>>): number | null {
  return options['size'] === undefined ? null : parseBytes(options['size']);
}

/** On a directory that is empty yet. `directory` is the volume's, whose name tells projects apart. */
export function beginQuota(name: string, directory: string, data: string, bytes: number): void {
  attempt(name, directory, () => {
    limitProject(data, projectOf(directory), bytes);
    setProject(data, projectOf(directory));
  });
}

/** Another limit for what is there; 0 takes it away. Less than it holds is fine: nothing more goes in then. */
export function changeQuota(name: string, directory: string, data: string, bytes: number): void {
  attempt(name, directory, () => limitProject(data, projectOf(directory), bytes));
}

function projectOf(directory: string): number {
  return projectBase + createHash('sha256').update(directory).digest().readUIntBE(0, 3);
}

function attempt(name: string, directory: string, work: () => void): void {
  try {
    work();
  } catch (cause) {
    throw new TsorchError('unsupported', `volume ${name}: the file system of ${directory} cannot limit its size: ${(cause as Error).message}`, {
      cause, hint: 'keep that node\'s state directory on XFS mounted with pquota or ext4 with prjquota, or leave size out of driver_opts',
    });
  }
}
