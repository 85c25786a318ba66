/** When to try a registry again. Pure. */
import { TsorchError } from '../../model/errors.ts';

export const retryPolicy = {
  attempts: 5,
  /** Milliseconds; doubles with every attempt. */
  first: 500,
  most: 20_000,
  /** A registry that asks for more patience than this is not waited for: whoever asked tries again later. */
  patience: 60_000,
} as const;

export type RetryPolicy = { readonly [K in keyof typeof retryPolicy]: number };

/** Too much asked, or trouble on the other side that may pass. */
export function isTransientStatus(status: number): boolean {
  return status === 408 || status === 429 || status === 500 || status === 502 || status === 503 || status === 504;
}

export function isTransient(error: unknown): boolean {
  return error instanceof TsorchError && (error.code === 'unavailable' || error.code === 'timeout');
}

/**
 * Milliseconds to wait after failed attempt number `attempt`, counted from 1; null when it is not worth it. Clients that failed together
 * must not come back together: at least half of the wait is by chance. A registry's own word is kept to, and not undercut.
 */
export function retryDelay(attempt: number, retryAfterMs: number | null, random: () => number, policy: RetryPolicy = retryPolicy): number | null {
  if (attempt >= policy.attempts) return null;
  const backoff = Math.min(policy.first * 2 ** (attempt - 1), policy.most);
  if (retryAfterMs === null) return backoff * (0.5 + random() / 2);
  return retryAfterMs > policy.patience ? null : retryAfterMs + backoff * random();
}

/** `Retry-After`: seconds or a date. null when there is none, or nonsense. */
export function parseRetryAfter(value: string | undefined, now: number): number | null {
  if (value === undefined) return null;
  if (/^\s*\d+\s*$/.test(value)) return Number(value) * 1000;
  const at = Date.parse(value);
  return Number.isNaN(at) ? null : Math.max(0, at - now);
}
