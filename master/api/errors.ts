/** Errors on the wire: the status follows from the code. */
import type { FastifyInstance } from 'fastify';
import { TsorchError, type ErrorCode } from '../../model/errors.ts';
import type { ApiErrorBody } from '../../model/api.ts';
import type { Log } from '../../lib/log.ts';

const statusOf: Record<ErrorCode, number> = {
  invalid: 400, unauthenticated: 401, forbidden: 403, 'not-found': 404, conflict: 409, exhausted: 422, internal: 500, unsupported: 501,
  unavailable: 503, fenced: 503, 'unknown-outcome': 503, aborted: 503, timeout: 504,
};

export function httpStatus(code: ErrorCode): number {
  return statusOf[code];
}

/** A code that came over a wire; what is not one of ours is an internal failure of the other side. */
export function toErrorCode(text: string): ErrorCode {
  return Object.hasOwn(statusOf, text) ? (text as ErrorCode) : 'internal';
}

export function errorBody(error: TsorchError): ApiErrorBody {
  return {
    error: {
      code: error.code, message: error.message, ...(error.hint === undefined ? {} : { hint: error.hint }), ...(error.path === undefined ? {} : { path: error.path }),
    },
  };
}

/** Fastify's own failures in our terms. */
export function toTsorchError(error: unknown): TsorchError {
  if (error instanceof TsorchError) return error;
  const failure = error as Failure;
  const first = failure.validation?.[0];
  if (first) {
    const path = short(first.instancePath.replace(/^\//, '').replaceAll('/', '.'));
    const surplus = first.params?.additionalProperty;
    if (typeof surplus === 'string') {
      const whole = short(path === '' ? surplus : `${path}.${surplus}`);
      return new TsorchError('invalid', `${whole} is not known here`, { path: whole, hint: 'leave it away, or check how it is written', cause: error });
    }
    return new TsorchError('invalid', `${path || 'the request'} ${first.message ?? 'is not valid'}`, { path, cause: error });
  }
  if (failure.statusCode === 413) return new TsorchError('invalid', 'the request is larger than this call allows', { cause: error });
  if (failure.statusCode !== undefined && failure.statusCode < 500) return new TsorchError('invalid', failure.message ?? 'bad request', { cause: error });
  return new TsorchError('internal', failure.message ?? String(error), { cause: error });
}

/** A name a megabyte long need not be told back. */
function short(path: string): string {
  return path.length > 300 ? `${path.slice(0, 300)}…` : path;
}

/** What fastify throws. */
interface Failure {
  readonly validation?: readonly { readonly instancePath: string; readonly message?: string; readonly params?: { readonly additionalProperty?: unknown } }[];
  readonly statusCode?: number;
  readonly message?: string;
}

/** These say more than our code does. */
const keptStatus: ReadonlySet<number | undefined> = new Set([413, 415]);

export function installErrors(app: FastifyInstance, log: Log): void {
  app.setErrorHandler((error, request, reply) => {
    const known = toTsorchError(error);
    if (known.code === 'internal') log.error('request failed', { method: request.method, url: request.url, error, stack: (error as Error).stack });
    const { statusCode } = error as Failure;
    return reply.status(statusCode !== undefined && keptStatus.has(statusCode) ? statusCode : httpStatus(known.code)).send(errorBody(known));
  });
  app.setNotFoundHandler((request, reply) =>
    reply.status(404).send(errorBody(new TsorchError('not-found', `there is no ${request.method} ${request.url.split('?')[0]}`, { hint: 'see /v1/openapi.json' }))));
}
