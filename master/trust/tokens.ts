/** Join tokens on the master's side: the store keeps a hash, never a token. */
import { createHash, randomBytes, timingSafeEqual } from 'node:crypto';
import { formatToken, parseToken } from '../../lib/pki/token.ts';
import { TsorchError } from '../../model/errors.ts';
import type { TokenRecord } from '../store/port.ts';

export function makeToken(role: TokenRecord['role'], caDigest: string, now: number, ttlMs: number | null): { readonly token: string; readonly record: TokenRecord } {
  const id = randomBytes(4).toString('hex');
  const secret = randomBytes(16).toString('hex');
  return { token: formatToken({ role, id, secret, caDigest }), record: { id, hash: hashOf(secret), role, createdAt: now, expiresAt: ttlMs === null ? null : now + ttlMs } };
}

/** The record that the token proves; `unauthenticated` says no more than it must. */
export function checkToken(text: string, find: (id: string) => TokenRecord | undefined, now: number): TokenRecord {
  const parts = parseToken(text);
  if (!parts) throw new TsorchError('unauthenticated', 'this is not a join token', { hint: 'make one with tsorch token create' });
  const record = find(parts.id);
  // Compared even when there is no such token, so that the time taken tells nothing.
  const right = timingSafeEqual(Buffer.from(hashOf(parts.secret), 'hex'), Buffer.from(record?.hash ?? hashOf(''), 'hex'));
  if (!record || !right || record.role !== parts.role) throw new TsorchError('unauthenticated', 'the join token is not valid', { hint: 'make a new one with tsorch token create' });
  if (record.expiresAt !== null && record.expiresAt <= now) throw new TsorchError('unauthenticated', 'the join token has expired', { hint: 'make a new one with tsorch token create' });
  return record;
}

function hashOf(secret: string): string {
  return createHash('sha256').update(secret).digest('hex');
}
