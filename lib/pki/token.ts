/**
 * Join tokens as text: `tsorch1-<role>-<id>-<secret>-<digest of the CA's certificate>`. Pure. The secret proves the right to join,
 * the digest proves the cluster to the joiner.
 */
export interface TokenParts {
  readonly role: 'node' | 'admin' | 'viewer';
  readonly id: string;
  readonly secret: string;
  /** sha256 of the CA certificate's DER, hex. */
  readonly caDigest: string;
}

const pattern = /^tsorch1-(node|admin|viewer)-([a-z0-9]{8})-([0-9a-f]{32})-([0-9a-f]{64})$/;

/** Null when the text is not a token. Surrounding blanks do not matter: tokens are pasted. */
export function parseToken(text: string): TokenParts | null {
  const [, role, id, secret, caDigest] = pattern.exec(text.trim()) ?? [];
  if (role === undefined || id === undefined || secret === undefined || caDigest === undefined) return null;
  return { role: role as TokenParts['role'], id, secret, caDigest };
}

export function formatToken(parts: TokenParts): string {
  return `tsorch1-${parts.role}-${parts.id}-${parts.secret}-${parts.caDigest}`;
}
