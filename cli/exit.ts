/** Exit codes are part of the interface: scripts branch on them. */
import { TsorchError, type ErrorCode } from '../model/errors.ts';

export const exitCode = {
  done: 0,
  failed: 1,
  usage: 2,
  invalid: 3,
  notFound: 4,
  timeout: 5,
  unreachable: 6,
  notAllowed: 7,
  interrupted: 130,
} as const;

/** What the command line itself got wrong, as opposed to the files it names. */
export class UsageError extends Error {
  override readonly name = 'UsageError';
}

/** Ends the command with a code of its own and nothing more to say: the exit code of an `exec`, a failed wait already told. */
export class ExitError extends Error {
  override readonly name = 'ExitError';
  readonly code: number;

  constructor(code: number) {
    super(`exit ${code}`);
    this.code = code;
  }
}

export function codeOf(error: unknown): number {
  if (error instanceof ExitError) return error.code;
  if (error instanceof UsageError) return exitCode.usage;
  return error instanceof TsorchError ? byErrorCode(error.code) : exitCode.failed;
}

function byErrorCode(code: ErrorCode): number {
  switch (code) {
    case 'invalid':
      return exitCode.invalid;
    case 'not-found':
      return exitCode.notFound;
    case 'timeout':
      return exitCode.timeout;
    case 'unavailable':
      return exitCode.unreachable;
    case 'forbidden':
    case 'unauthenticated':
      return exitCode.notAllowed;
    case 'aborted':
      return exitCode.interrupted;
    case 'conflict':
    case 'fenced':
    case 'unknown-outcome':
    case 'exhausted':
    case 'unsupported':
    case 'internal':
      return exitCode.failed;
  }
}
