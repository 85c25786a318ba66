/** Certificates of a cluster's authority, and of another's, for hosts that speak to each other. */
import { Authority, createAuthority } from '../../../../lib/pki/authority.ts';
import type { Credentials } from '../../../../lib/pki/credentials.ts';
import { type Role, subjectOf } from '../../../../model/identity.ts';

export interface TestTrust {
  readonly ca: string;
  node(id: string, options?: { readonly now?: number; readonly lifeMs?: number }): Promise<Credentials>;
  person(role: Role, name: string, names?: readonly string[]): Promise<Credentials>;
}

export async function makeTrust(): Promise<TestTrust> {
  const pem = await createAuthority('tsorch cluster CA', Date.now());
  const authority = await Authority.load(pem);
  const issue = async (role: Role, name: string, names: readonly string[], now = Date.now(), lifeMs = 3_600_000): Promise<Credentials> => {
    const { certificate, privateKey } = await authority.issue({ subject: subjectOf({ role, name }), names, now, lifeMs });
    return { ca: pem.certificate, cert: certificate, key: privateKey };
  };
  return {
    ca: pem.certificate,
    node: (id, { now, lifeMs } = {}) => issue('node', id, [id], now, lifeMs),
    person: (role, name, names = []) => issue(role, name, names),
  };
}
