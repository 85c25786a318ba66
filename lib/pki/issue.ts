/** What an authority is asked for, and its limits. */
export interface AuthorityPem {
  readonly certificate: string;
  readonly privateKey: string;
}

export interface Subject {
  readonly commonName: string;
  readonly organizationalUnit?: string;
}

export interface IssueOptions {
  readonly subject: Subject;
  /** DNS names and IP addresses; a certificate with any may be a server's. */
  readonly names?: readonly string[];
  readonly now: number;
  /** At most 90 days, which is also the default. */
  readonly lifeMs?: number;
}

/** 90 days. */
export const maxLifeMs = 90 * 86_400_000;

export class MalformedRequestError extends Error {
  override readonly name = 'MalformedRequestError';
}
