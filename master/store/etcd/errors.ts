/** What a failed call to etcd says about whether it happened. */
import { status } from '@grpc/grpc-js';
import { TsorchError } from '../../../model/errors.ts';

export class RpcError extends Error {
  /** A gRPC status. */
  readonly code: number;
  /** `none`: nothing was sent, or etcd refused it. `unknown`: it may have been applied. */
  readonly effect: 'none' | 'unknown';
  /** Another endpoint may do better. */
  readonly unreachable: boolean;

  constructor(code: number, details: string, effect: 'none' | 'unknown', unreachable: boolean, cause: unknown) {
    super(details, { cause });
    this.code = code;
    this.effect = effect;
    this.unreachable = unreachable;
  }
}

/** Details of failures before anything left this process. */
const unsent = /No connection established|Name resolution failed|Channel closed before call started|Waiting for LB pick|waiting for name resolution|Failed to start HTTP\/2 stream|Attempted to send message/;

/** etcd's answers that come before a request is proposed. */
const refused = /etcdserver: (no leader|too many requests|not capable|server stopped)/;

/** Codes by which etcd refuses; UNAVAILABLE and the like may also come from a proposal that went through. */
const refusals: ReadonlySet<number> = new Set([
  status.INVALID_ARGUMENT, status.NOT_FOUND, status.ALREADY_EXISTS, status.PERMISSION_DENIED, status.RESOURCE_EXHAUSTED,
  status.FAILED_PRECONDITION, status.OUT_OF_RANGE, status.UNIMPLEMENTED, status.UNAUTHENTICATED,
]);

export function rpcError(error: Error): RpcError {
  if (error instanceof RpcError) return error;
  const raw = error as Error & { readonly code?: unknown; readonly details?: unknown };
  const code = typeof raw.code === 'number' ? raw.code : status.UNKNOWN;
  const details = typeof raw.details === 'string' && raw.details !== '' ? raw.details : raw.message;
  const effect = refusals.has(code) || unsent.test(details) || refused.test(details) ? 'none' : 'unknown';
  return new RpcError(code, details, effect, code === status.UNAVAILABLE || code === status.DEADLINE_EXCEEDED, error);
}

/** The revision asked for was compacted, or lies in the future. */
export function isOutOfRange(error: unknown): boolean {
  return error instanceof RpcError && error.code === status.OUT_OF_RANGE;
}

/** The reply is larger than this side takes in one message. */
export function isTooLarge(error: unknown): boolean {
  return error instanceof RpcError && error.code === status.RESOURCE_EXHAUSTED && error.message.includes('larger than');
}

export function isLeaseGone(error: unknown): boolean {
  return error instanceof RpcError && error.code === status.NOT_FOUND && error.message.includes('lease');
}

/** The error for callers of the store, when `error` is known to have had no effect. */
export function storeError(error: unknown, doing: string): TsorchError {
  if (error instanceof TsorchError) return error;
  if (!(error instanceof RpcError)) return new TsorchError('internal', `${doing}: ${String(error)}`, { cause: error });
  const message = `etcd, ${doing}: ${error.message}`;
  if (isLeaseGone(error)) return new TsorchError('not-found', message, { cause: error, hint: 'take a new lease' });
  switch (error.code) {
    case status.INVALID_ARGUMENT:
      return new TsorchError('internal', message, { cause: error });
    case status.RESOURCE_EXHAUSTED:
      return error.message.includes('space exceeded')
        ? new TsorchError('exhausted', message, { cause: error, hint: 'etcd is full: compact and defragment it with etcdctl, then `etcdctl alarm disarm`' })
        : new TsorchError('unavailable', message, { cause: error });
    case status.PERMISSION_DENIED:
    case status.UNAUTHENTICATED:
      return new TsorchError('forbidden', message, { cause: error, hint: 'check the client certificate for etcd' });
    default:
      return new TsorchError('unavailable', message, { cause: error });
  }
}
