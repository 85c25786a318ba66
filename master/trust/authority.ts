/**
 * The cluster's CA on a master. It must exist before etcd does, because etcd's own TLS needs it: it is made in the state directory
 * on first start, and put into the store for masters that join later.
 */
import { mkdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Authority, certificateDigest, createAuthority, MalformedRequestError, type AuthorityPem } from '../../lib/pki/authority.ts';
import { readCredentials, writeCredentials, writeSecret, type Credentials } from '../../lib/pki/credentials.ts';
import { X509Certificate } from 'node:crypto';
import type { TokenRecord } from '../store/port.ts';
import type { Trust } from '../api/tokens.ts';
import { TsorchError } from '../../model/errors.ts';
import { subjectOf, type Identity } from './identity.ts';
import { checkToken, makeToken } from './tokens.ts';

export interface MasterTrust extends Trust {
  readonly pem: AuthorityPem;
  /** For this master's own servers: the certificate is followed by the CA's, which joiners compare with their token. */
  readonly server: Credentials;
  /** For its connections to etcd, and etcd's own. */
  readonly etcd: Credentials;
}

export interface TrustOptions {
  readonly stateDir: string;
  readonly masterId: string;
  /** Names and addresses that clients reach this master by. */
  readonly names: readonly string[];
  readonly now: () => number;
}

const dayMs = 86_400_000;
/** A certificate with less than this left is made anew at start. */
const freshMs = 60 * dayMs;

export async function loadTrust(options: TrustOptions): Promise<MasterTrust> {
  const { stateDir, now } = options;
  const directory = join(stateDir, 'ca');
  await mkdir(directory, { recursive: true, mode: 0o700 });
  const pem = (await readAuthority(directory)) ?? (await makeAuthority(directory, now()));
  const authority = await Authority.load(pem);
  const digest = certificateDigest(pem.certificate);
  const names = [...new Set(['localhost', '127.0.0.1', ...options.names])].sort();
  const own = (path: string, role: 'master' | 'admin', name: string, hosts: readonly string[]) => ensure(authority, join(stateDir, path), role, name, hosts, now());
  const server = await own('tls/server', 'master', options.masterId, names);
  await own('admin', 'admin', 'local', []);
  return {
    pem, ca: pem.certificate,
    server: { ...server, cert: `${server.cert}${pem.certificate}` },
    etcd: await own('tls/etcd', 'master', options.masterId, ['localhost', '127.0.0.1']),
    makeToken: (role, at, ttlMs) => makeToken(role, digest, at, ttlMs),
    checkToken: (token, find: (id: string) => TokenRecord | undefined, at) => checkToken(token, find, at),
    issueNode: (csr, nodeId) => issue(authority, csr, { role: 'node', name: nodeId }, now()),
    issuePerson: (csr, role, name) => issue(authority, csr, { role, name }, now()),
  };
}

async function issue(authority: Authority, csr: string, identity: Identity, now: number): Promise<string> {
  try {
    return await authority.issueFor(csr, { subject: subjectOf(identity), now });
  } catch (error) {
    if (error instanceof MalformedRequestError) throw new TsorchError('invalid', error.message, { cause: error });
    throw error;
  }
}

async function readAuthority(directory: string): Promise<AuthorityPem | null> {
  try {
    const [certificate, privateKey] = await Promise.all(['cert.pem', 'key.pem'].map((file) => readFile(join(directory, file), 'utf8')));
    return certificate && privateKey ? { certificate, privateKey } : null;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
    throw error;
  }
}

/** The key first: a certificate on disk always has its key beside it. */
async function makeAuthority(directory: string, now: number): Promise<AuthorityPem> {
  const made = await createAuthority('tsorch cluster CA', now);
  await writeSecret(join(directory, 'key.pem'), made.privateKey);
  await writeSecret(join(directory, 'cert.pem'), made.certificate);
  return made;
}

/** The credentials in a directory, made (again) when they are missing, soon over, of another CA or for other names. */
async function ensure(authority: Authority, directory: string, role: 'master' | 'admin', name: string, hosts: readonly string[], now: number): Promise<Credentials> {
  const known = await readCredentials(directory);
  if (known && known.ca === authority.certificate && covers(known.cert, hosts, now)) return known;
  const { certificate, privateKey } = await authority.issue({ subject: subjectOf({ role, name }), names: hosts, now });
  const made: Credentials = { ca: authority.certificate, cert: certificate, key: privateKey };
  await writeCredentials(directory, made);
  return made;
}

function covers(pem: string, hosts: readonly string[], now: number): boolean {
  const certificate = new X509Certificate(pem);
  if (Date.parse(certificate.validTo) - now < freshMs) return false;
  return hosts.every((host) => (certificate.subjectAltName ?? '').split(', ').some((entry) => entry === `DNS:${host}` || entry === `IP Address:${host}`));
}
