/**
 * The cluster's CA on a master. It must exist before etcd does, because etcd's own TLS needs it: it is made in the state directory
 * on first start, and put into the store for masters that join later.
 */
import { mkdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Authority, createAuthority, MalformedRequestError, maxLifeMs, type AuthorityPem } from '../../lib/pki/authority.ts';
import { certificateDigest, certificateLife } from '../../lib/pki/certificate.ts';
import { readCredentials, writeCredentials, writeSecret, type Credentials } from '../../lib/pki/credentials.ts';
import { X509Certificate } from 'node:crypto';
import type { TokenRecord } from '../store/port.ts';
import type { Trust } from '../api/tokens.ts';
import { TsorchError } from '../../model/errors.ts';
import { subjectOf, type Identity } from '../../model/identity.ts';
import type { OwnCertificate } from './own.ts';
import { checkToken, makeToken } from './tokens.ts';

export interface MasterTrust extends Trust {
  readonly pem: AuthorityPem;
  /** For this master's own servers: the certificate is followed by the CA's, which joiners compare with their token. */
  readonly server: OwnCertificate;
  /** For its connections to etcd, and etcd's own. */
  readonly etcd: OwnCertificate;
  /** For who administers the cluster on this machine: the files in `admin`. */
  readonly admin: OwnCertificate;
}

export interface TrustOptions {
  readonly stateDir: string;
  readonly masterId: string;
  /** Names and addresses that clients reach this master by. */
  readonly names: readonly string[];
  readonly now: () => number;
  /** How long certificates are good for: 90 days unless told, which is also the most. */
  readonly lifeMs?: number;
}

/** A certificate with less than this part of its life left is made anew at start. */
const freshShare = 2 / 3;

export async function loadTrust(options: TrustOptions): Promise<MasterTrust> {
  const { stateDir, now } = options;
  const directory = join(stateDir, 'ca');
  await mkdir(directory, { recursive: true, mode: 0o700 });
  const pem = (await readAuthority(directory)) ?? (await makeAuthority(directory, now()));
  const authority = await Authority.load(pem);
  const digest = certificateDigest(pem.certificate);
  const names = [...new Set(['localhost', '127.0.0.1', ...options.names])].sort();
  const lifeMs = Math.min(options.lifeMs ?? maxLifeMs, maxLifeMs);
  const own = (path: string, identity: Identity, hosts: readonly string[], chain = '') => ensure({ authority, directory: join(stateDir, path), identity, hosts, now, lifeMs, chain });
  const master: Identity = { role: 'master', name: options.masterId };
  return {
    pem, ca: pem.certificate,
    server: await own('tls/server', master, names, pem.certificate),
    etcd: await own('tls/etcd', master, ['localhost', '127.0.0.1']),
    admin: await own('admin', { role: 'admin', name: 'local' }, []),
    makeToken: (role, at, ttlMs) => makeToken(role, digest, at, ttlMs),
    checkToken: (token, find: (id: string) => TokenRecord | undefined, at) => checkToken(token, find, at),
    // Nodes serve each other, and are known to each other by their ids.
    issueNode: (csr, nodeId) => issue(authority, csr, { role: 'node', name: nodeId }, [nodeId], now(), lifeMs),
    issuePerson: (csr, role, name) => issue(authority, csr, { role, name }, [], now(), lifeMs),
  };
}

async function issue(authority: Authority, csr: string, identity: Identity, names: readonly string[], now: number, lifeMs: number): Promise<string> {
  try {
    return await authority.issueFor(csr, { subject: subjectOf(identity), names, now, lifeMs });
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

interface OwnOptions {
  readonly authority: Authority;
  readonly directory: string;
  readonly identity: Identity;
  readonly hosts: readonly string[];
  readonly now: () => number;
  readonly lifeMs: number;
  /** Certificates that follow its own where it is presented. */
  readonly chain: string;
}

/** The credentials in a directory, made (again) when they are missing, soon over, of another CA or for other names. */
async function ensure(options: OwnOptions): Promise<OwnCertificate> {
  const { authority, directory, identity, hosts, now, lifeMs, chain } = options;
  const known = await readCredentials(directory);
  let current: Credentials | null = known && known.ca === authority.certificate && covers(known.cert, hosts, now(), lifeMs) ? { ...known, cert: `${known.cert}${chain}` } : null;
  const renew = async (): Promise<Credentials> => {
    const { certificate, privateKey } = await authority.issue({ subject: subjectOf(identity), names: hosts, now: now(), lifeMs });
    const made: Credentials = { ca: authority.certificate, cert: certificate, key: privateKey };
    await writeCredentials(directory, made);
    return (current = { ...made, cert: `${certificate}${chain}` });
  };
  const first = current ?? (await renew());
  return {
    get current() {
      return current ?? first;
    },
    renew,
  };
}

function covers(pem: string, hosts: readonly string[], now: number, lifeMs: number): boolean {
  if (certificateLife(pem).to - now < lifeMs * freshShare) return false;
  const names = (new X509Certificate(pem).subjectAltName ?? '').split(', ');
  return hosts.every((host) => names.some((entry) => entry === `DNS:${host}` || entry === `IP Address:${host}`));
}
