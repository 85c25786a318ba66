/**
 * The one error class. Whether an operation may be retried follows from the code alone, so callers never match
 * on message texts.
 */
export type ErrorCode =
  /** The input is wrong: a stack file, a flag, a request body. Never retried. */
  | 'invalid'
  /** The thing named does not exist. */
  | 'not-found'
  /** Somebody else changed it first, or it exists already. Retry after reading again. */
  | 'conflict'
  /** This process may not write any more: another leader's epoch is in force. */
  | 'fenced'
  /** The other side cannot be reached or is not serving now. Retry. */
  | 'unavailable'
  /** The write may or may not have happened (its reply was lost). Read before deciding. */
  | 'unknown-outcome'
  /** It did not finish in the time allowed. */
  | 'timeout'
  /** The caller is known but may not do this. */
  | 'forbidden'
  /** The caller could not prove who it is. */
  | 'unauthenticated'
  /** No room: capacity, addresses, ports, quota. */
  | 'exhausted'
  /** The caller's AbortSignal fired. */
  | 'aborted'
  /** The platform lacks something (kernel feature, package, privilege). */
  | 'unsupported'
  /** A defect of ours. */
  | 'internal';

/** A position in a user's file. Lines and columns count from 1. */
export interface Position {
  readonly file: string;
  readonly line: number;
  readonly column: number;
}

export interface ErrorDetails {
  readonly cause?: unknown;
  readonly at?: Position;
  /** Path inside a document, such as `services.web.ports[1]`. */
  readonly path?: string;
  /** What the reader can do about it, a sentence in the imperative. */
  readonly hint?: string;
}

export class TsorchError extends Error {
  override readonly name = 'TsorchError';
  readonly code: ErrorCode;
  readonly at: Position | undefined;
  readonly path: string | undefined;
  readonly hint: string | undefined;

  constructor(code: ErrorCode, message: string, details: ErrorDetails = {}) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause });
    this.code = code;
    this.at = details.at;
    this.path = details.path;
    this.hint = details.hint;
  }

  /** Whether trying the same thing again, unchanged, can succeed. */
  get retryable(): boolean {
    return this.code === 'unavailable' || this.code === 'timeout' || this.code === 'conflict';
  }
}

export function isCode(error: unknown, code: ErrorCode): error is TsorchError {
  return error instanceof TsorchError && error.code === code;
}

/** One line for people: `file:line:column: message; hint`. */
export function describeError(error: unknown): string {
  if (!(error instanceof TsorchError)) return error instanceof Error ? error.message : String(error);
  const where = error.at ? `${error.at.file}:${error.at.line}:${error.at.column}: ` : '';
  return `${where}${error.message}${error.hint ? `; ${error.hint}` : ''}`;
}

/** `throw` where only an expression can stand: `found ?? raise(new TsorchError(…))`. */
export function raise(error: Error): never {
  throw error;
}
