/** Docker on this machine, by its API: which images it has, and their archives. `DOCKER_HOST` says where it is, as for `docker`. */
import { readFileSync } from 'node:fs';
import { request as plainRequest, type IncomingMessage, type RequestOptions } from 'node:http';
import { request as secureRequest } from 'node:https';
import { join } from 'node:path';
import { TsorchError } from '../../model/errors.ts';

export interface DockerImage {
  /** The configuration's digest. */
  readonly id: string;
  readonly size: number;
  /** It came from a registry, or was put into one. */
  readonly published: boolean;
}

export interface Docker {
  /** For people: where it is. */
  readonly where: string;
  /** Null when it has no such image. Throws `unavailable` when there is no Docker, `forbidden` when it is not ours to ask. */
  find(name: string, signal?: AbortSignal): Promise<DockerImage | null>;
  /** As `docker save NAME`. */
  save(name: string, signal: AbortSignal): Promise<AsyncIterable<Uint8Array>>;
}

const silentMs = 30_000;
const mostAnswer = 4 << 20;

export function openDocker(env: Readonly<Record<string, string | undefined>>): Docker {
  const { where, options, secure } = endpoint(env);
  const get = (path: string, signal: AbortSignal | undefined, timeout: number) =>
    new Promise<IncomingMessage>((resolve, reject) => {
      const send = secure ? secureRequest : plainRequest;
      const req = send({ ...options, path, agent: false, timeout, ...(signal ? { signal } : {}) }, resolve);
      req.on('timeout', () => req.destroy(new Error('no answer')));
      req.on('error', (error: NodeJS.ErrnoException) => reject(unreachable(where, error)));
      req.end();
    });
  return {
    where,
    async find(name, signal) {
      const response = await get(`/images/${encodeURIComponent(name)}/json`, signal, silentMs);
      const text = await readAll(response);
      if (response.statusCode === 404) return null;
      if (response.statusCode !== 200) throw refused(where, response.statusCode, text);
      const { Id, Size, RepoDigests } = JSON.parse(text) as { Id?: string; Size?: number; RepoDigests?: readonly string[] | null };
      return { id: Id ?? '', size: Size ?? 0, published: (RepoDigests ?? []).length > 0 };
    },
    async save(name, signal) {
      const response = await get(`/images/${encodeURIComponent(name)}/get`, signal, 0);
      if (response.statusCode !== 200) throw refused(where, response.statusCode, await readAll(response));
      return response;
    },
  };
}

interface Endpoint {
  readonly where: string;
  readonly options: RequestOptions & { readonly ca?: string; readonly cert?: string; readonly key?: string };
  readonly secure: boolean;
}

function endpoint(env: Readonly<Record<string, string | undefined>>): Endpoint {
  const host = env['DOCKER_HOST'] || 'unix:///var/run/docker.sock';
  const url = URL.canParse(host) ? new URL(host) : null;
  if (url?.protocol === 'unix:') return { where: url.pathname, options: { socketPath: url.pathname }, secure: false };
  const verify = env['DOCKER_TLS_VERIFY'] !== undefined && env['DOCKER_TLS_VERIFY'] !== '';
  if (url?.protocol === 'tcp:' || url?.protocol === 'http:' || url?.protocol === 'https:') {
    const secure = verify || url.protocol === 'https:';
    const options = { host: url.hostname, port: url.port || (secure ? '2376' : '2375'), ...(secure ? certificates(env) : {}) };
    return { where: url.host, options, secure };
  }
  throw new TsorchError('unsupported', `DOCKER_HOST=${host} is not a place we know to ask`, { hint: 'use unix:// or tcp://, or pass the archive: docker save NAME | tsorch image push -' });
}

function certificates(env: Readonly<Record<string, string | undefined>>): { readonly ca: string; readonly cert: string; readonly key: string } {
  const directory = env['DOCKER_CERT_PATH'] || join(env['HOME'] ?? '/root', '.docker');
  const read = (name: string) => {
    try {
      return readFileSync(join(directory, name), 'utf8');
    } catch (cause) {
      throw new TsorchError('unauthenticated', `cannot read Docker's ${name}: ${(cause as Error).message}`, { cause, hint: 'DOCKER_CERT_PATH says where ca.pem, cert.pem and key.pem are' });
    }
  };
  return { ca: read('ca.pem'), cert: read('cert.pem'), key: read('key.pem') };
}

function unreachable(where: string, error: NodeJS.ErrnoException): TsorchError {
  if (error.code === 'EACCES') return new TsorchError('forbidden', `Docker at ${where} does not let us in`, { cause: error, hint: 'be root or in the group docker' });
  return new TsorchError('unavailable', `there is no Docker at ${where}: ${error.code === 'ENOENT' ? 'no such socket' : error.message}`, { cause: error });
}

function refused(where: string, status: number | undefined, text: string): TsorchError {
  let message = text;
  try {
    message = (JSON.parse(text) as { message?: string }).message ?? text;
  } catch {
    // It speaks otherwise.
  }
  return new TsorchError(status === 404 ? 'not-found' : 'unavailable', `Docker at ${where} answered ${status}: ${message.trim().slice(0, 200)}`);
}

async function readAll(response: IncomingMessage): Promise<string> {
  const parts: Buffer[] = [];
  let size = 0;
  for await (const part of response as AsyncIterable<Buffer>) {
    size += part.length;
    if (size > mostAnswer) throw new TsorchError('internal', 'Docker answers at too great a length');
    parts.push(part);
  }
  return Buffer.concat(parts).toString('utf8');
}
