/** Error codes as they come over the wire: only the known ones are believed. */
import { TsorchError, type ErrorCode } from '../../model/errors.ts';

export { TsorchError, type ErrorCode };

const known: Readonly<Record<ErrorCode, true>> = {
  invalid: true,
  'not-found': true,
  conflict: true,
  fenced: true,
  unavailable: true,
  'unknown-outcome': true,
  timeout: true,
  forbidden: true,
  unauthenticated: true,
  exhausted: true,
  aborted: true,
  unsupported: true,
  internal: true,
};

export function isErrorCode(code: unknown): code is ErrorCode {
  return typeof code === 'string' && Object.hasOwn(known, code);
}
