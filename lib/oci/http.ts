/**
 * HTTP as registries need it, on Node's own client: redirects that do not carry credentials to strangers, proxies by environment, and no
 * wait without end: for a connection, for an answer, or for the next piece of a body.
 */
import { Agent as HttpAgent, type IncomingHttpHeaders, type IncomingMessage, type OutgoingHttpHeaders, request as httpRequest } from 'node:http';
import { Agent as HttpsAgent, request as httpsRequest } from 'node:https';
import { Readable } from 'node:stream';
import type { SecureContext } from 'node:tls';
import { TsorchError } from '../../model/errors.ts';
import { connectionError, stalled } from './errors.ts';

export interface HttpOptions {
  /** What servers are trusted, and who one is to them. Asked once, before the first TLS connection. */
  readonly tls: () => Promise<TlsSettings>;
  /** `HTTPS_PROXY`, `HTTP_PROXY`, `NO_PROXY`, in capitals or not. */
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly timeouts?: HttpTimeouts;
}

export interface TlsSettings {
  readonly secureContext: SecureContext;
  /** False: whatever certificate it shows. */
  readonly verify: boolean;
  /** As `secureContext`, without the client certificate: for hosts one is sent on to. */
  readonly elsewhere: SecureContext;
}

/** Milliseconds. */
export interface HttpTimeouts {
  readonly connect: number;
  /** From the request's end to the answer's head. */
  readonly answer: number;
  /** Between two pieces of a body, while somebody waits for the next. */
  readonly stall: number;
}

export const httpTimeouts: HttpTimeouts = { connect: 10_000, answer: 30_000, stall: 30_000 };

export interface HttpRequest {
  readonly method: 'GET' | 'HEAD' | 'POST' | 'PUT' | 'PATCH';
  readonly url: URL;
  readonly headers?: OutgoingHttpHeaders;
  readonly body?: Uint8Array | { readonly size: number; readonly data: AsyncIterable<Uint8Array> };
  readonly signal: AbortSignal;
}

export interface HttpResponse {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  /** Where it came from in the end. */
  readonly url: URL;
  /** To be read to its end or returned from. */
  readonly body: AsyncGenerator<Uint8Array>;
}

const mostRedirects = 5;

export class HttpClient {
  readonly #options: HttpOptions;
  readonly #timeouts: HttpTimeouts;
  readonly #agents = new Map<string, HttpAgent>();
  #tls: Promise<TlsSettings> | undefined;

  constructor(options: HttpOptions) {
    this.#options = options;
    this.#timeouts = options.timeouts ?? httpTimeouts;
  }

  /** Any status is an answer. Throws `unavailable` or `timeout` when there was none, `aborted` when the signal fired. */
  async request(request: HttpRequest): Promise<HttpResponse> {
    let { url } = request;
    let headers = { 'user-agent': 'tsorch', ...request.headers };
    for (let hops = 0; ; hops++) {
      const response = await this.#once({ ...request, url, headers }, url.host === request.url.host);
      const status = response.statusCode ?? 0;
      const { location } = response.headers;
      const follow = (request.method === 'GET' || request.method === 'HEAD') && [301, 302, 303, 307, 308].includes(status) && location !== undefined;
      if (!follow) return { status, headers: response.headers, url, body: this.#body(response, url, request.signal) };
      response.resume();
      if (hops === mostRedirects) throw new TsorchError('unsupported', `${request.url.host} redirects more than ${mostRedirects} times`);
      const next = redirect(url, location);
      // Whom it sends us to is no one that the credentials are for.
      if (next.origin !== url.origin) {
        const { authorization: _own, ...others } = headers as OutgoingHttpHeaders;
        headers = { 'user-agent': 'tsorch', ...others };
      }
      url = next;
    }
  }

  close(): void {
    for (const agent of this.#agents.values()) agent.destroy();
    this.#agents.clear();
  }

  async #once(request: HttpRequest & { readonly headers: OutgoingHttpHeaders }, own: boolean): Promise<IncomingMessage> {
    const { url, method, headers, body, signal } = request;
    const agent = await this.#agent(url, own);
    return await new Promise<IncomingMessage>((resolve, reject) => {
      if (signal.aborted) return reject(aborted(signal));
      const length = body === undefined ? {} : { 'content-length': body instanceof Uint8Array ? body.length : body.size };
      const sent = (url.protocol === 'https:' ? httpsRequest : httpRequest)(url, { method, agent, headers: { ...headers, ...length } });
      let timer: NodeJS.Timeout | undefined;
      const wait = (ms: number, what: string) => {
        clearTimeout(timer);
        timer = setTimeout(() => sent.destroy(new TsorchError('timeout', `${url.host} ${what} within ${ms / 1000} s`)), ms);
      };
      const onAbort = () => sent.destroy(aborted(signal));
      signal.addEventListener('abort', onAbort, { once: true });
      sent.once('close', () => {
        clearTimeout(timer);
        signal.removeEventListener('abort', onAbort);
      });
      sent.once('error', (error) => reject(signal.aborted ? aborted(signal) : connectionError(url, error)));
      sent.once('socket', (socket) => {
        if (!socket.connecting) return;
        wait(this.#timeouts.connect, 'did not take the connection');
        socket.once(url.protocol === 'https:' ? 'secureConnect' : 'connect', () => clearTimeout(timer));
      });
      sent.once('finish', () => wait(this.#timeouts.answer, 'gave no answer'));
      sent.once('response', (response) => {
        clearTimeout(timer);
        // Its own errors are told to whoever reads it.
        response.on('error', () => {});
        resolve(response);
      });
      if (body === undefined || body instanceof Uint8Array) return void sent.end(body);
      const data = Readable.from(body.data, { objectMode: false });
      data.once('error', (error) => sent.destroy(error));
      sent.once('close', () => data.destroy());
      data.pipe(sent);
    });
  }

  async *#body(response: IncomingMessage, url: URL, signal: AbortSignal): AsyncGenerator<Uint8Array> {
    const pieces = response[Symbol.asyncIterator]() as AsyncIterator<Buffer>;
    const onAbort = () => response.destroy(aborted(signal));
    signal.addEventListener('abort', onAbort, { once: true });
    try {
      if (signal.aborted) onAbort();
      for (;;) {
        const timer = setTimeout(() => response.destroy(stalled(url, this.#timeouts.stall)), this.#timeouts.stall);
        let next: IteratorResult<Buffer>;
        try {
          next = await pieces.next();
        } catch (error) {
          throw signal.aborted ? aborted(signal) : connectionError(url, error);
        } finally {
          clearTimeout(timer);
        }
        if (next.done) return;
        yield next.value;
      }
    } finally {
      signal.removeEventListener('abort', onAbort);
      await pieces.return?.();
    }
  }

  async #agent(url: URL, own: boolean): Promise<HttpAgent> {
    const key = `${url.protocol} ${own}`;
    const known = this.#agents.get(key);
    if (known) return known;
    const common = { keepAlive: true, maxSockets: 16, proxyEnv: this.#options.env };
    const agent = url.protocol === 'https:' ? new HttpsAgent({ ...common, ...(await this.#secure(own)) }) : new HttpAgent(common);
    const first = this.#agents.get(key);
    if (first) agent.destroy();
    else this.#agents.set(key, agent);
    return first ?? agent;
  }

  async #secure(own: boolean): Promise<{ readonly secureContext: SecureContext; readonly rejectUnauthorized: boolean }> {
    const { secureContext, elsewhere, verify } = await (this.#tls ??= this.#options.tls());
    return { secureContext: own ? secureContext : elsewhere, rejectUnauthorized: verify };
  }
}

/** The whole body as text, cut off at `most` bytes. */
export async function readBody(body: AsyncIterable<Uint8Array>, most: number): Promise<{ readonly data: Buffer; readonly cut: boolean }> {
  const parts: Uint8Array[] = [];
  let size = 0;
  for await (const part of body) {
    parts.push(part);
    size += part.length;
    if (size > most) return { data: Buffer.concat(parts).subarray(0, most), cut: true };
  }
  return { data: Buffer.concat(parts), cut: false };
}

function redirect(from: URL, location: string): URL {
  let next: URL;
  try {
    next = new URL(location, from);
  } catch (cause) {
    throw new TsorchError('unsupported', `${from.host} redirects to ${JSON.stringify(location.slice(0, 100))}, which is no address`, { cause });
  }
  if (next.protocol !== 'https:' && !(next.protocol === 'http:' && from.protocol === 'http:')) {
    throw new TsorchError('unsupported', `${from.host} redirects from https to ${next.protocol}//${next.host}, which is not followed`);
  }
  return next;
}

function aborted(signal: AbortSignal): TsorchError {
  return signal.reason instanceof TsorchError ? signal.reason : new TsorchError('aborted', 'given up', { cause: signal.reason });
}
