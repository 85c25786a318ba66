/**
 * Joining: a host with a token becomes a node with a certificate. Done once; afterwards the state directory holds who it is. Agent
 * and proxy of one host may both try: whoever is first has made the identity that both use.
 */
import { mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { request } from 'node:https';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { randomBytes } from 'node:crypto';
import type { Clock } from '../../lib/clock.ts';
import type { Log } from '../../lib/log.ts';
import { certificateLife } from '../../lib/pki/certificate.ts';
import { readCredentials, writeCredentials, type Credentials } from '../../lib/pki/credentials.ts';
import { fetchAuthority, WrongAuthorityError } from '../../lib/pki/peer.ts';
import { createRequest } from '../../lib/pki/request.ts';
import { parseToken } from '../../lib/pki/token.ts';
import type { ApiErrorBody, EnrolReply, EnrolRequest, RenewReply, RenewRequest } from '../../model/api.ts';
import { describeError, TsorchError } from '../../model/errors.ts';
import { masterUrl } from '../context/resolve.ts';
import type { HostArguments } from './arguments.ts';

export interface NodeIdentity {
  readonly nodeId: string;
  readonly name: string;
  readonly credentials: Credentials;
  /** `host:port` of the master's gRPC service. */
  readonly grpc: string;
}

interface Saved {
  readonly nodeId: string;
  readonly name: string;
  readonly grpcPort: number;
}

const firstWaitMs = 200;
const mostWaitMs = 3_000;

export function identityDirectory(args: Pick<HostArguments, 'stateDir'>): string {
  return join(args.stateDir, 'identity');
}

export async function isJoined(directory: string): Promise<boolean> {
  return (await readCredentials(directory)) !== null;
}

/** The node's identity, from disk or by enrolling; waits for the master as long as it takes. */
export async function ensureIdentity(args: HostArguments, options: { readonly clock: Clock; readonly log: Log; readonly signal: AbortSignal }): Promise<NodeIdentity> {
  const { clock, log, signal } = options;
  const directory = identityDirectory(args);
  const known = await readIdentity(directory, args);
  if (known && !isOver(known, clock.now())) return known;
  if (known) {
    // Its pods run on in any case, so this is no reason to stop.
    return rejoin(args, known, clock.now()).catch((error: unknown) => {
      log.error('the certificate of this host is over, masters refuse it', { error, hint: 'start it with a new token: tsorch token create' });
      return known;
    });
  }
  let wait = firstWaitMs;
  for (;;) {
    try {
      await enrol(args, directory, clock.now());
      const made = await readIdentity(directory, args);
      if (made) {
        log.info('joined', { node: made.nodeId, name: made.name });
        return made;
      }
    } catch (error) {
      // Only a master that cannot be reached is worth waiting for: a wrong token stays wrong.
      if (!(error instanceof TsorchError) || error.code !== 'unavailable') throw error;
      log.warn(describeError(error), { again: wait });
    }
    await clock.sleep(wait, signal);
    wait = Math.min(wait * 2, mostWaitMs);
  }
}

/** A host that was away for so long that its certificate is over: its token brings it back under the same name. */
export async function rejoin(args: HostArguments, known: NodeIdentity, now: number): Promise<NodeIdentity> {
  const directory = identityDirectory(args);
  await enrol({ ...args, name: known.name }, directory, now);
  const made = await readIdentity(directory, args);
  if (!made || isOver(made, now)) throw new TsorchError('internal', 'joining again gave no new certificate');
  return made;
}

export function isOver(identity: NodeIdentity, now: number): boolean {
  return certificateLife(identity.credentials.cert).to <= now;
}

export async function readIdentity(directory: string, args: HostArguments): Promise<NodeIdentity | null> {
  const credentials = await readCredentials(directory);
  const text = await readFile(join(directory, 'node.json'), 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return null;
    throw error;
  });
  if (!credentials || text === null) return null;
  const saved = JSON.parse(text) as Saved;
  return { nodeId: saved.nodeId, name: saved.name, credentials, grpc: `${masterHost(args).hostname}:${saved.grpcPort}` };
}

async function enrol(args: HostArguments, directory: string, now: number): Promise<void> {
  const text = args.token ?? (args.tokenFile === undefined ? undefined : await readToken(args.tokenFile));
  if (text === undefined) throw new TsorchError('invalid', 'this host has not joined yet and there is no token', { hint: 'make one with `tsorch token create` and pass it with --token' });
  const token = parseToken(text);
  if (!token || token.role !== 'node') throw new TsorchError('invalid', 'this is not a join token for hosts', { hint: 'make one with `tsorch token create`' });
  const url = masterHost(args);
  const port = Number(url.port);
  const ca = await fetchAuthority(url.hostname, port, token.caDigest).catch((cause: Error) => {
    if (cause instanceof WrongAuthorityError) throw new TsorchError('unauthenticated', cause.message, { cause, hint: 'check --master, and that the token is of this cluster' });
    throw new TsorchError('unavailable', `cannot reach the master at ${url.host}: ${cause.message}`, { cause });
  });
  const name = args.name ?? hostname();
  const { csr, privateKey } = await createRequest(`node:${name}`);
  const reply = await post<EnrolReply, EnrolRequest>(new URL('/v1/enrol', url), { ca }, { token: text.trim(), csr, name, labels: args.labels });
  // A directory appears whole or not at all; when another process was faster, its identity stands.
  const fresh = `${directory}.${randomBytes(4).toString('hex')}`;
  await mkdir(args.stateDir, { recursive: true });
  await writeCredentials(fresh, { ca: reply.ca, cert: reply.certificate, key: privateKey });
  const saved: Saved = { nodeId: reply.nodeId, name, grpcPort: reply.grpcPort };
  await writeFile(join(fresh, 'node.json'), `${JSON.stringify(saved)}\n`, { mode: 0o600, flush: true });
  try {
    await rename(fresh, directory);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code !== 'ENOTEMPTY' && code !== 'EEXIST') throw error;
    const old = await readIdentity(directory, args);
    if (!old || !isOver(old, now)) return;
    // One that is over gives way, but only to the same node: pods, volumes and subnet are that node's.
    if (old.nodeId !== saved.nodeId) {
      throw new TsorchError('conflict', `the cluster knows this host as ${saved.nodeId} now, no longer as ${old.nodeId}`, { hint: `tsorch ${args.kind} --teardown, then remove ${directory} and join again` });
    }
    await writeCredentials(directory, { ca: reply.ca, cert: reply.certificate, key: privateKey });
  } finally {
    await rm(fresh, { recursive: true, force: true });
  }
}

/** A new certificate for the one this host has. What is on disk and returned afterwards belongs together. */
export async function renewIdentity(args: HostArguments, identity: NodeIdentity): Promise<Credentials> {
  const { ca, cert, key } = identity.credentials;
  const { csr, privateKey } = await createRequest(`node:${identity.name}`);
  const reply = await post<RenewReply, RenewRequest>(new URL('/v1/renew', masterHost(args)), { ca, cert, key }, { csr });
  const made: Credentials = { ca: reply.ca, cert: reply.certificate, key: privateKey };
  await writeCredentials(identityDirectory(args), made);
  return made;
}

async function readToken(file: string): Promise<string> {
  return readFile(file, 'utf8').catch((cause: NodeJS.ErrnoException) => {
    throw new TsorchError('invalid', `cannot read the token in ${file}: ${cause.message}`, { cause });
  });
}

function masterHost(args: HostArguments): URL {
  if (args.master === undefined) throw new TsorchError('invalid', 'which master? write --master HOST:PORT');
  return new URL(masterUrl(args.master));
}

function post<Reply, Body>(url: URL, tls: { readonly ca: string; readonly cert?: string; readonly key?: string }, body: Body): Promise<Reply> {
  const payload = JSON.stringify(body);
  return new Promise((resolve, reject) => {
    const unreachable = (cause: Error) => reject(new TsorchError('unavailable', `cannot reach the master at ${url.host}: ${cause.message}`, { cause }));
    const req = request(url, { method: 'POST', ...tls, agent: false, timeout: 15_000, headers: { 'content-type': 'application/json', 'content-length': Buffer.byteLength(payload) } }, (response) => {
      const chunks: Buffer[] = [];
      response.on('data', (chunk: Buffer) => chunks.push(chunk));
      response.on('error', unreachable);
      response.on('end', () => {
        try {
          const answer = JSON.parse(Buffer.concat(chunks).toString()) as Reply | ApiErrorBody;
          if (!isError(answer)) return resolve(answer);
          const { code, message, hint } = answer.error;
          reject(new TsorchError(code, message, hint === undefined ? {} : { hint }));
        } catch (cause) {
          reject(new TsorchError('internal', `${url.host} did not answer JSON`, { cause, hint: 'is this a tsorch master?' }));
        }
      });
    });
    req.on('timeout', () => req.destroy(new Error('no answer in 15 s')));
    req.on('error', unreachable);
    req.end(payload);
  });
}

function isError(answer: unknown): answer is ApiErrorBody {
  return typeof answer === 'object' && answer !== null && 'error' in answer;
}
