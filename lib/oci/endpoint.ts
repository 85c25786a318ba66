/**
 * One registry, or a mirror of one, by the OCI distribution API. Requests that can be repeated are, when the other side has trouble that may
 * pass; what it answers is limited in size, and credentials go to it alone.
 */
import type { Clock } from '../clock.ts';
import { TsorchError } from '../../model/errors.ts';
import { Authorizer } from './authorizer.ts';
import { parseChallenge } from './challenge.ts';
import type { RegistryCredentials } from './credentials.ts';
import { refusal } from './errors.ts';
import { HttpClient, type HttpOptions, type HttpRequest, type HttpResponse, readBody } from './http.ts';
import { type Descriptor, mediaTypes, sha256 } from './manifest.ts';
import { isTransient, isTransientStatus, parseRetryAfter, retryDelay, type RetryPolicy, retryPolicy } from './retry.ts';

export interface EndpointOptions extends Omit<HttpOptions, 'tls'> {
  /** With the scheme, and a path where a proxy serves several registries: `https://mirror.example.com/hub`. */
  readonly url: URL;
  readonly tls: HttpOptions['tls'];
  readonly credentials: RegistryCredentials | null;
  readonly clock: Clock;
  /** Between 0 and 1, for jitter. */
  readonly random: () => number;
  readonly retry?: RetryPolicy;
  /** Sent as `ns`: a mirror of several registries learns by it which one is meant. */
  readonly namespace?: string;
  /** Where a mirror keeps the registry's repositories: before their names. */
  readonly prefix?: string;
}

export interface ManifestAnswer {
  readonly mediaType: string;
  readonly data: Buffer;
}

const manifestTypes = [mediaTypes.index, mediaTypes.manifest, mediaTypes.dockerIndex, mediaTypes.dockerManifest].join(', ');
/** Registries refuse larger ones too. */
export const mostManifest = 4 << 20;
const mostRefusal = 64 << 10;

export class Endpoint {
  /** For people. */
  readonly name: string;
  readonly #options: EndpointOptions;
  readonly #http: HttpClient;
  readonly #auth: Authorizer;

  constructor(options: EndpointOptions) {
    this.#options = options;
    this.name = options.url.host;
    this.#http = new HttpClient(options);
    this.#auth = new Authorizer({ http: this.#http, credentials: options.credentials, clock: options.clock });
  }

  /** Drops its connections. */
  close(): void {
    this.#http.close();
  }

  /** What a repository of the registry is called here. */
  repository(name: string): string {
    const { prefix } = this.#options;
    return prefix === undefined ? name : `${prefix}/${name}`;
  }

  /** What the tag or digest names, without fetching it where the registry says so in a header. */
  async resolve(name: string, reference: string, signal: AbortSignal): Promise<Descriptor> {
    const repository = this.repository(name);
    const response = await this.exchange({ method: 'HEAD', path: `${repository}/manifests/${reference}`, scope: pull(repository), headers: { accept: manifestTypes }, what: named(repository, reference), signal });
    await drain(response);
    const digest = response.headers['docker-content-digest'];
    const size = Number(response.headers['content-length']);
    const mediaType = bareType(response.headers['content-type']);
    if (typeof digest === 'string' && /^sha256:[0-9a-f]{64}$/.test(digest) && mediaType !== '' && Number.isSafeInteger(size)) return { mediaType, digest, size };
    const manifest = await this.manifest(name, reference, signal);
    return { mediaType: manifest.mediaType, digest: sha256(manifest.data), size: manifest.data.length };
  }

  async manifest(name: string, reference: string, signal: AbortSignal): Promise<ManifestAnswer> {
    const repository = this.repository(name);
    const what = named(repository, reference);
    const response = await this.exchange({ method: 'GET', path: `${repository}/manifests/${reference}`, scope: pull(repository), headers: { accept: manifestTypes }, what, signal });
    const { data, cut } = await readBody(response.body, mostManifest);
    if (cut) throw new TsorchError('invalid', `${this.name} sends a manifest of ${what} larger than ${mostManifest >> 20} MiB`);
    return { mediaType: manifestType(response.headers['content-type'], data), data };
  }

  /** The blob from `offset` on, also when the registry knows no ranges. Ends with an error when it is longer than its descriptor says. */
  async blob(name: string, { digest, size }: Descriptor, offset: number, signal: AbortSignal): Promise<AsyncIterable<Uint8Array>> {
    const repository = this.repository(name);
    if (offset >= size) return exactly([], 0, 0, '');
    const headers = { 'accept-encoding': 'identity', ...(offset > 0 ? { range: `bytes=${offset}-` } : {}) };
    const response = await this.exchange({ method: 'GET', path: `${repository}/blobs/${digest}`, scope: pull(repository), headers, what: `${repository}@${digest}`, accept: [200, 206, 416], signal });
    if (response.status === 416) {
      await response.body.return(undefined);
      throw new TsorchError('invalid', `${this.name} has less of ${digest} than its manifest says`);
    }
    if (response.status === 206 && !startsAt(response.headers['content-range'], offset)) {
      await response.body.return(undefined);
      throw new TsorchError('unsupported', `${this.name} answers with another range of ${digest} than was asked for`);
    }
    return exactly(response.body, response.status === 206 ? 0 : offset, size - offset, `${this.name} sends more of ${digest} than its manifest says`);
  }

  /** Whether the repository has the blob. */
  async has(name: string, digest: string, scope: string, signal: AbortSignal): Promise<boolean> {
    const repository = this.repository(name);
    const response = await this.exchange({ method: 'HEAD', path: `${repository}/blobs/${digest}`, scope, what: `${repository}@${digest}`, accept: [200, 404], signal });
    await drain(response);
    return response.status === 200;
  }

  /** One request below `/v2/`, with credentials, tried again where that can help. Any status but those of `accept` is an error. */
  async exchange(request: Exchange): Promise<HttpResponse> {
    const { clock, random, retry = retryPolicy } = this.#options;
    const { what, signal, accept = [200] } = request;
    let authorized = false;
    for (let attempt = 1; ; ) {
      let again: number | null;
      let error: TsorchError;
      try {
        const sent = await this.#auth.header(request.scope, signal);
        const response = await this.#http.request({ ...this.#request(request), headers: { ...request.headers, ...(sent === undefined ? {} : { authorization: sent }) } });
        if (accept.includes(response.status)) return response;
        const retryAfterMs = parseRetryAfter(response.headers['retry-after'], clock.now());
        const { data: body } = await readBody(response.body, mostRefusal);
        if (response.status === 401 && this.#auth.refused(parseChallenge(response.headers['www-authenticate']), request.scope, sent) && !authorized) {
          authorized = true;
          continue;
        }
        error = refusal({ url: response.url, status: response.status, what, body, anonymous: this.#auth.anonymous, retryAfterMs });
        again = isTransientStatus(response.status) ? retryDelay(attempt, retryAfterMs, random, retry) : null;
      } catch (failure) {
        if (!(failure instanceof TsorchError) || !isTransient(failure)) throw failure;
        error = failure;
        again = retryDelay(attempt, null, random, retry);
      }
      // A body that is a stream has been read from: whoever has it must begin again.
      if (again === null || (request.body !== undefined && !(request.body instanceof Uint8Array))) throw error;
      attempt++;
      authorized = false;
      await clock.sleep(again, signal).catch(() => {
        throw signal.reason instanceof TsorchError ? signal.reason : new TsorchError('aborted', 'given up', { cause: signal.reason });
      });
    }
  }

  #request({ method, path, signal, body, query }: Exchange): HttpRequest {
    const { url: base, namespace } = this.#options;
    const url = path instanceof URL ? new URL(path) : new URL(`${base.href.replace(/\/+$/, '')}/v2/${path}`);
    for (const [key, value] of Object.entries(query ?? {})) url.searchParams.set(key, value);
    if (namespace !== undefined && !(path instanceof URL)) url.searchParams.set('ns', namespace);
    return { method, url, signal, ...(body === undefined ? {} : { body }) };
  }
}

export interface Exchange {
  readonly method: HttpRequest['method'];
  /** Below `/v2/`, or where the registry said to go on. */
  readonly path: string | URL;
  readonly query?: Readonly<Record<string, string>>;
  readonly scope: string;
  readonly headers?: HttpRequest['headers'];
  readonly body?: HttpRequest['body'];
  /** For errors. */
  readonly what: string;
  readonly accept?: readonly number[];
  readonly signal: AbortSignal;
}

/** The scopes that a token is asked for. */
export function pull(repository: string): string {
  return `repository:${repository}:pull`;
}

export async function drain(response: HttpResponse): Promise<void> {
  await readBody(response.body, mostRefusal);
}

function named(repository: string, reference: string): string {
  return `${repository}${reference.startsWith('sha256:') ? '@' : ':'}${reference}`;
}

/** What the document says of itself goes before the header, which some registries get wrong. */
function manifestType(header: string | undefined, data: Buffer): string {
  const own = peek(data);
  if (own?.schemaVersion === 1) throw new TsorchError('unsupported', 'the image has a manifest of schema 1, which registries gave up in 2017', { hint: 'push it again with a newer docker' });
  if (typeof own?.mediaType === 'string' && own.mediaType !== '') return own.mediaType;
  const type = bareType(header);
  if (manifestTypes.includes(type) && type !== '') return type;
  return Array.isArray(own?.manifests) ? mediaTypes.index : mediaTypes.manifest;
}

function peek(data: Buffer): { readonly mediaType?: unknown; readonly manifests?: unknown; readonly schemaVersion?: unknown } | null {
  try {
    return JSON.parse(data.toString('utf8')) as ReturnType<typeof peek>;
  } catch {
    // Whoever parses it says so.
    return null;
  }
}

function bareType(header: string | undefined): string {
  return header?.split(';')[0]?.trim() ?? '';
}

function startsAt(range: string | undefined, offset: number): boolean {
  return /^bytes (\d+)-/.exec(range ?? '')?.[1] === String(offset);
}

/** Leaves out the first `skip` bytes; an error when there are more than `size` after them. */
async function* exactly(data: AsyncIterable<Uint8Array> | Iterable<Uint8Array>, skip: number, size: number, more: string): AsyncGenerator<Uint8Array> {
  let left = size;
  for await (const piece of data) {
    const part = skip > 0 ? piece.subarray(Math.min(skip, piece.length)) : piece;
    skip -= piece.length - part.length;
    if (part.length === 0) continue;
    if (part.length > left) throw new TsorchError('invalid', more);
    left -= part.length;
    yield part;
  }
}
