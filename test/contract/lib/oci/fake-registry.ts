/**
 * A registry in this process, as much of the distribution API as clients use, that can be told to misbehave: each fault waits for a
 * request that matches and is used up by it. What it was asked is in `requests`.
 */
import { createHash, randomBytes } from 'node:crypto';
import { createServer, type IncomingMessage, type RequestListener, type Server, type ServerResponse } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { AddressInfo } from 'node:net';

export type Fault =
  /** An answer, whatever was asked. */
  | { readonly kind: 'status'; readonly status: number; readonly headers?: Readonly<Record<string, string>>; readonly body?: string }
  /** Ends the connection after so many bytes of the blob. */
  | { readonly kind: 'cut'; readonly after: number }
  /** Sends so many bytes of the blob, and then nothing more. */
  | { readonly kind: 'stall'; readonly after: number }
  /** Sends a blob of the right length, and one byte of it wrong. */
  | { readonly kind: 'corrupt' }
  /** Sends more than there is. */
  | { readonly kind: 'longer' }
  | { readonly kind: 'redirect'; readonly location: string }
  /** Sends the whole blob, whatever range was asked for. */
  | { readonly kind: 'no-range' }
  /** Does not take the connection's request: it hangs. */
  | { readonly kind: 'silence' }
  /** Waits until told to go on. */
  | { readonly kind: 'hold'; readonly until: Promise<void> }
  /** Leaves out the digest's header. */
  | { readonly kind: 'no-digest' };

export interface FakeRegistryOptions {
  readonly auth?: { readonly scheme: 'basic' | 'bearer'; readonly username: string; readonly password: string; readonly identity?: string; readonly expiresIn?: number };
  readonly tls?: { readonly cert: string; readonly key: string; readonly ca?: string };
  /** Where it listens; 127.0.0.1 unless told. */
  readonly address?: string;
}

export interface Asked {
  readonly method: string;
  readonly path: string;
  readonly headers: IncomingMessage['headers'];
}

export class FakeRegistry {
  readonly requests: Asked[] = [];
  readonly faults: { readonly match: RegExp; readonly fault: Fault; times: number }[] = [];
  readonly blobs = new Map<string, Buffer>();
  /** Repositories that have a blob; what a test put there all of them have. */
  readonly #holders = new Map<string, Set<string>>();
  /** By `repository:tag` and `repository@digest`. */
  readonly manifests = new Map<string, { readonly mediaType: string; readonly data: Buffer }>();
  readonly #options: FakeRegistryOptions;
  readonly #tokens = new Set<string>();
  readonly #uploads = new Map<string, Buffer>();
  #server: Server | undefined;
  /** `address:port`. */
  host = '';

  private constructor(options: FakeRegistryOptions) {
    this.#options = options;
  }

  static async start(options: FakeRegistryOptions = {}): Promise<FakeRegistry> {
    const registry = new FakeRegistry(options);
    const listener: RequestListener = (request, response) => void registry.#serve(request, response).catch(() => response.destroy());
    const { tls } = options;
    const server = tls ? createTlsServer({ cert: tls.cert, key: tls.key, ...(tls.ca === undefined ? {} : { ca: tls.ca, requestCert: true, rejectUnauthorized: true }) }, listener) : createServer(listener);
    await new Promise<void>((resolve) => server.listen(0, options.address ?? '127.0.0.1', resolve));
    registry.#server = server;
    const { address, port } = server.address() as AddressInfo;
    registry.host = `${address}:${port}`;
    return registry;
  }

  get url(): string {
    return `${this.#options.tls ? 'https' : 'http'}://${this.host}`;
  }

  /** `match` is tried on `METHOD /path`. */
  fail(match: RegExp, fault: Fault, times = 1): void {
    this.faults.push({ match, fault, times });
  }

  /** Tokens given out so far are good for nothing. */
  revoke(): void {
    this.#tokens.clear();
  }

  asked(match: RegExp): readonly Asked[] {
    return this.requests.filter(({ method, path }) => match.test(`${method} ${path}`));
  }

  put(repository: string, tag: string | null, mediaType: string, data: Buffer): string {
    const digest = `sha256:${createHash('sha256').update(data).digest('hex')}`;
    this.manifests.set(`${repository}@${digest}`, { mediaType, data });
    if (tag !== null) this.manifests.set(`${repository}:${tag}`, { mediaType, data });
    return digest;
  }

  putBlob(data: Buffer): string {
    const digest = `sha256:${createHash('sha256').update(data).digest('hex')}`;
    this.blobs.set(digest, data);
    return digest;
  }

  async close(): Promise<void> {
    this.#server?.closeAllConnections();
    await new Promise<void>((resolve) => void this.#server?.close(() => resolve()));
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const url = new URL(request.url ?? '/', 'http://registry');
    const method = request.method ?? 'GET';
    this.requests.push({ method, path: `${url.pathname}${url.search}`, headers: request.headers });
    const line = `${method} ${url.pathname}${url.search}`;
    const found = this.faults.find(({ match, times }) => times > 0 && match.test(line));
    if (found) found.times--;
    const fault = found?.fault;
    if (fault?.kind === 'silence') return;
    if (fault?.kind === 'hold') await fault.until;
    if (fault?.kind === 'status') return void response.writeHead(fault.status, fault.headers).end(fault.body ?? JSON.stringify({ errors: [{ code: 'FAULT', message: 'as it was told' }] }));
    if (fault?.kind === 'redirect') return void response.writeHead(307, { location: fault.location }).end();
    if (url.pathname === '/token') return this.#token(request, url, response);
    if (!this.#authorized(request)) return this.#challenge(url, response);
    const manifest = /^\/v2\/(.+)\/manifests\/([^/]+)$/.exec(url.pathname);
    if (manifest) return this.#manifest(request, manifest[1] ?? '', manifest[2] ?? '', response, fault);
    const blob = /^\/v2\/(.+)\/blobs\/(sha256:[0-9a-f]+)$/.exec(url.pathname);
    if (blob) return this.#blob(request, blob[1] ?? '', blob[2] ?? '', response, fault);
    const upload = /^\/v2\/(.+)\/blobs\/uploads\/(.*)$/.exec(url.pathname);
    if (upload) return this.#upload(request, url, upload[1] ?? '', upload[2] ?? '', response);
    if (url.pathname === '/v2/') return void response.writeHead(200).end('{}');
    response.writeHead(404).end();
  }

  async #manifest(request: IncomingMessage, repository: string, reference: string, response: ServerResponse, fault: Fault | undefined): Promise<void> {
    const key = reference.startsWith('sha256:') ? `${repository}@${reference}` : `${repository}:${reference}`;
    if (request.method === 'PUT') {
      const data = await bodyOf(request);
      const digest = this.put(repository, reference.startsWith('sha256:') ? null : reference, request.headers['content-type'] ?? '', data);
      return void response.writeHead(201, { 'docker-content-digest': digest }).end();
    }
    const found = this.manifests.get(key);
    if (!found) return notFound(response, 'MANIFEST_UNKNOWN', 'manifest unknown');
    const data = fault?.kind === 'corrupt' ? corrupt(found.data) : found.data;
    const digest = `sha256:${createHash('sha256').update(found.data).digest('hex')}`;
    response.writeHead(200, { 'content-type': found.mediaType, 'content-length': data.length, ...(fault?.kind === 'no-digest' ? {} : { 'docker-content-digest': digest }) });
    response.end(request.method === 'HEAD' ? undefined : data);
  }

  #blob(request: IncomingMessage, repository: string, digest: string, response: ServerResponse, fault: Fault | undefined): void {
    const whole = this.#holders.get(digest)?.has(repository) === false ? undefined : this.blobs.get(digest);
    if (!whole) return notFound(response, 'BLOB_UNKNOWN', 'blob unknown');
    const [, from] = /^bytes=(\d+)-$/.exec(request.headers.range ?? '') ?? [];
    const start = from === undefined || fault?.kind === 'no-range' ? 0 : Number(from);
    if (start > 0 && start >= whole.length) return void response.writeHead(416, { 'content-range': `bytes */${whole.length}` }).end();
    const data = (fault?.kind === 'corrupt' ? corrupt(whole) : fault?.kind === 'longer' ? Buffer.concat([whole, whole]) : whole).subarray(start);
    const partial = start > 0 || (from !== undefined && fault?.kind !== 'no-range');
    response.writeHead(partial ? 206 : 200, { 'content-length': data.length, ...(partial ? { 'content-range': `bytes ${start}-${whole.length - 1}/${whole.length}` } : {}) });
    if (request.method === 'HEAD') return void response.end();
    if (fault?.kind === 'cut') return void response.write(data.subarray(0, fault.after), () => response.destroy());
    if (fault?.kind === 'stall') return void response.write(data.subarray(0, fault.after));
    response.end(data);
  }

  async #upload(request: IncomingMessage, url: URL, repository: string, id: string, response: ServerResponse): Promise<void> {
    if (request.method === 'POST') {
      const mount = url.searchParams.get('mount');
      if (mount !== null && this.blobs.has(mount)) this.#holders.get(mount)?.add(repository);
      if (mount !== null && this.blobs.has(mount)) return void response.writeHead(201, { location: `/v2/${repository}/blobs/${mount}` }).end();
      const fresh = randomBytes(8).toString('hex');
      this.#uploads.set(fresh, Buffer.alloc(0));
      return void response.writeHead(202, { location: `/v2/${repository}/blobs/uploads/${fresh}?state=x` }).end();
    }
    const before = this.#uploads.get(id);
    if (!before) return notFound(response, 'BLOB_UPLOAD_UNKNOWN', 'upload unknown');
    const data = Buffer.concat([before, await bodyOf(request)]);
    const digest = `sha256:${createHash('sha256').update(data).digest('hex')}`;
    if (url.searchParams.get('digest') !== digest) return void response.writeHead(400).end(JSON.stringify({ errors: [{ code: 'DIGEST_INVALID', message: 'provided digest did not match uploaded content' }] }));
    this.blobs.set(digest, data);
    this.#holders.set(digest, (this.#holders.get(digest) ?? new Set()).add(repository));
    response.writeHead(201, { location: `/v2/${repository}/blobs/${digest}` }).end();
  }

  async #token(request: IncomingMessage, url: URL, response: ServerResponse): Promise<void> {
    const { auth } = this.#options;
    if (auth === undefined) return void response.writeHead(404).end();
    const form = new URLSearchParams((await bodyOf(request)).toString());
    const fine = request.method === 'POST'
      ? auth.identity !== undefined && form.get('refresh_token') === auth.identity && form.get('grant_type') === 'refresh_token'
      : request.headers.authorization === `Basic ${Buffer.from(`${auth.username}:${auth.password}`).toString('base64')}` && url.searchParams.get('service') === 'fake';
    if (!fine) return void response.writeHead(401).end(JSON.stringify({ details: 'incorrect username or password' }));
    const token = randomBytes(12).toString('base64url');
    this.#tokens.add(token);
    response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify({ token, expires_in: auth.expiresIn ?? 300 }));
  }

  #authorized(request: IncomingMessage): boolean {
    const { auth } = this.#options;
    const { authorization = '' } = request.headers;
    if (auth === undefined) return true;
    if (auth.scheme === 'basic') return authorization === `Basic ${Buffer.from(`${auth.username}:${auth.password}`).toString('base64')}`;
    return this.#tokens.has(authorization.replace(/^Bearer /, ''));
  }

  #challenge(url: URL, response: ServerResponse): void {
    const repository = /^\/v2\/(.+)\/(?:manifests|blobs)\//.exec(url.pathname)?.[1] ?? '';
    const header = this.#options.auth?.scheme === 'basic' ? 'Basic realm="fake"' : `Bearer realm="${this.url}/token",service="fake",scope="repository:${repository}:pull"`;
    response.writeHead(401, { 'www-authenticate': header }).end(JSON.stringify({ errors: [{ code: 'UNAUTHORIZED', message: 'authentication required' }] }));
  }
}

function corrupt(data: Buffer): Buffer {
  const wrong = Buffer.from(data);
  const at = Math.floor(wrong.length / 2);
  wrong[at] = (wrong[at] ?? 0) ^ 0xff;
  return wrong;
}

async function bodyOf(request: IncomingMessage): Promise<Buffer> {
  const parts: Buffer[] = [];
  for await (const part of request) parts.push(part as Buffer);
  return Buffer.concat(parts);
}

function notFound(response: ServerResponse, code: string, message: string): void {
  response.writeHead(404, { 'content-type': 'application/json' }).end(JSON.stringify({ errors: [{ code, message }] }));
}
