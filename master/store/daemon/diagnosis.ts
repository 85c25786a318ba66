/** What etcd's last words mean for the person who runs it. */
import { TsorchError } from '../../../model/errors.ts';
import type { ErrorCode } from '../../../model/errors.ts';

const locked = /file already locked|resource temporarily unavailable|holds the file lock|flocked by another process/i;

interface Cause {
  readonly pattern: RegExp;
  readonly code: ErrorCode;
  readonly what: string;
  readonly hint: (dataDir: string) => string;
}

const causes: readonly Cause[] = [
  { pattern: /no space left on device/i, code: 'exhausted', what: 'the disk is full', hint: (dir) => `free space on the file system of ${dir}` },
  { pattern: /read-only file system/i, code: 'unsupported', what: 'the file system is read-only', hint: (dir) => `mount the file system of ${dir} for writing, or choose another --state-dir` },
  { pattern: locked, code: 'conflict', what: 'another etcd is using the directory', hint: () => 'end the other one; each master needs a --state-dir of its own' },
  { pattern: /permission denied|operation not permitted/i, code: 'forbidden', what: 'the directory may not be used', hint: (dir) => `run as root, or give ${dir} to the user that runs the master` },
  { pattern: /not a directory|file exists/i, code: 'invalid', what: 'something else is in the place of its directory', hint: (dir) => `move away what is at ${dir}` },
  { pattern: /address already in use/i, code: 'conflict', what: 'its port was taken by another program', hint: () => 'start the master again, it will choose another port' },
  {
    pattern: /crc mismatch|wal: |snap: |unexpected EOF|invalid database|checksum error|file size too small|version mismatch|failed to (recover|read WAL|load)|database snapshot file .* (missing|not)|slice bounds out of range|panic/i,
    code: 'internal',
    what: 'its data is damaged',
    hint: (dir) => `keep a copy of ${dir}, then restore a backup into it with \`etcdctl snapshot restore --data-dir\`; without a backup, move it away: the cluster then begins empty`,
  },
];

/** `tail`: the end of etcd's log since it was started. */
export function diagnose(tail: string, dataDir: string, logFile: string): TsorchError {
  const cause = causes.find(({ pattern }) => pattern.test(tail));
  if (!cause) return new TsorchError('unavailable', `etcd does not start on ${dataDir}`, { hint: `read ${logFile}; it ends with: ${lastLine(tail)}` });
  return new TsorchError(cause.code, `etcd does not start on ${dataDir}: ${cause.what}`, { hint: `${cause.hint(dataDir)} (log: ${logFile})` });
}

/** Whether it waits for another etcd to let go of its directory. */
export function isLocked(tail: string): boolean {
  return locked.test(tail);
}

function lastLine(tail: string): string {
  const line = tail.trim().split('\n').at(-1) ?? '';
  return line.length > 300 ? `${line.slice(0, 300)}…` : line || 'nothing';
}
