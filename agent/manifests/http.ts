/** One GET, with everything bounded: time, size, redirects. */
import { request as requestHttp, type IncomingMessage } from 'node:http';
import { request as requestHttps } from 'node:https';
import { TsorchError } from '../../model/errors.ts';

export interface GetRequest {
  readonly url: URL;
  /** Sent to the URL's own origin only: where a redirect leads is nobody to tell a password. */
  readonly headers: Readonly<Record<string, string>>;
  /** PEM, beside none of the system's. Absent: the system's. */
  readonly ca?: string;
  readonly timeoutMs: number;
  readonly maxBytes: number;
  readonly signal: AbortSignal;
}

export interface GetAnswer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | undefined>>;
  readonly body: string;
}

export type Get = (request: GetRequest) => Promise<GetAnswer>;

const mostRedirects = 5;

/** `unavailable` when there is no answer, `invalid` when it is too long or leads round in circles. Any status is an answer. */
export const get: Get = async (request) => {
  // One deadline for all of it: a server that sends a byte a second is as good as silent.
  const signal = AbortSignal.any([request.signal, AbortSignal.timeout(request.timeoutMs)]);
  let { url } = request;
  for (let redirects = 0; redirects <= mostRedirects; redirects++) {
    const headers = url.origin === request.url.origin ? request.headers : {};
    const response = await open(url, { ...request, headers, signal });
    const location = [301, 302, 303, 307, 308].includes(response.statusCode ?? 0) ? response.headers.location : undefined;
    if (location === undefined) return { status: response.statusCode ?? 0, headers: flat(response), body: await read(response, request, signal) };
    response.destroy();
    const next = URL.parse(location, url.href);
    if (!next || (next.protocol !== 'https:' && next.protocol !== 'http:') || (url.protocol === 'https:' && next.protocol === 'http:')) {
      throw new TsorchError('invalid', `${request.url.href} leads to ${location}, where it is not followed`);
    }
    url = next;
  }
  throw new TsorchError('invalid', `${request.url.href} leads on more than ${mostRedirects} times`);
};

function open(url: URL, { headers, ca, signal, timeoutMs }: GetRequest): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    const send = url.protocol === 'https:' ? requestHttps : requestHttp;
    const made = send(url, { headers: { 'accept-encoding': 'identity', ...headers }, agent: false, signal, ...(ca === undefined ? {} : { ca }) }, resolve);
    made.on('error', (cause) => reject(unreachable(url, cause, signal, timeoutMs)));
    made.end();
  });
}

async function read(response: IncomingMessage, { url, maxBytes, timeoutMs }: GetRequest, signal: AbortSignal): Promise<string> {
  const chunks: Buffer[] = [];
  let length = 0;
  try {
    for await (const chunk of response as AsyncIterable<Buffer>) {
      length += chunk.length;
      if (length > maxBytes) throw new TsorchError('invalid', `${url.href} sends more than ${maxBytes} bytes, the limit`);
      chunks.push(chunk);
    }
  } catch (error) {
    throw error instanceof TsorchError ? error : unreachable(url, error as Error, signal, timeoutMs);
  } finally {
    response.destroy();
  }
  return Buffer.concat(chunks).toString('utf8');
}

function unreachable(url: URL, cause: Error, signal: AbortSignal, timeoutMs: number): TsorchError {
  const late = (signal.reason as Error | undefined)?.name === 'TimeoutError';
  return new TsorchError('unavailable', late ? `${url.href} did not answer in ${timeoutMs} ms` : `cannot reach ${url.href}: ${cause.message}`, { cause });
}

function flat(response: IncomingMessage): Record<string, string | undefined> {
  return Object.fromEntries(Object.entries(response.headers).map(([key, value]) => [key, Array.isArray(value) ? value.join(', ') : value]));
}
