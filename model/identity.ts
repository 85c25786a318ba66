/** Whom a certificate of the cluster's CA speaks for. TLS has verified the signature and the dates by the time this is asked. */
export type Role = 'master' | 'node' | 'admin' | 'viewer';

export interface Identity {
  readonly role: Role;
  /** Node id for nodes, a person's name for people. */
  readonly name: string;
}

const roles: ReadonlySet<string> = new Set<Role>(['master', 'node', 'admin', 'viewer']);

/** The subject that says so; `identify` reads it back. */
export function subjectOf(identity: Identity): { readonly commonName: string; readonly organizationalUnit: string } {
  return { commonName: `${identity.role}:${identity.name}`, organizationalUnit: identity.role };
}

/** A certificate as TLS shows it; null for one that names no role of ours. */
export function identify(certificate: { readonly subject?: { readonly CN?: unknown; readonly OU?: unknown } } | undefined): Identity | null {
  const subject = certificate?.subject;
  if (!subject || typeof subject.CN !== 'string') return null;
  const colon = subject.CN.indexOf(':');
  const role = subject.CN.slice(0, colon);
  const name = subject.CN.slice(colon + 1);
  if (colon < 0 || !roles.has(role) || subject.OU !== role || name === '') return null;
  return { role: role as Role, name };
}
