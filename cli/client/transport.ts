/** One HTTP request to a master: mutual TLS from the context, answers as they come, failures in our one error class. */
import http from 'node:http';
import https from 'node:https';
import type { Readable } from 'node:stream';
import { connectionTrouble } from '../../lib/connection-trouble.ts';
import { isErrorCode, TsorchError, type ErrorCode } from './errors.ts';
import type { Context } from '../context/file.ts';

export type Query = Readonly<Record<string, string | number | boolean | readonly string[] | undefined>>;

export interface RequestOptions {
  readonly query?: Query;
  /** JSON, unless it is a stream. */
  readonly body?: unknown;
  readonly stream?: Readable;
  readonly contentType?: string;
  readonly accept?: string;
  readonly signal?: AbortSignal;
  /** Until the answer's head; 0 waits for ever. */
  readonly timeoutMs?: number;
}

export interface Transport {
  readonly base: string;
  request(method: string, path: string, options?: RequestOptions): Promise<http.IncomingMessage>;
  close(): void;
}

export function createTransport(context: Context): Transport {
  const secure = context.master.startsWith('https:');
  const agent = secure
    ? new https.Agent({ keepAlive: true, ca: context.ca, cert: context.cert, key: context.key, minVersion: 'TLSv1.3' })
    : new http.Agent({ keepAlive: true });
  const send = secure ? https.request : http.request;
  return {
    base: context.master,
    close: () => agent.destroy(),
    request(method, path, options = {}) {
      const { body, stream, signal } = options;
      const text = body === undefined ? undefined : JSON.stringify(body);
      const headers: Record<string, string | number> = { accept: options.accept ?? 'application/json' };
      if (text !== undefined) Object.assign(headers, { 'content-type': 'application/json', 'content-length': Buffer.byteLength(text) });
      if (stream) headers['content-type'] = options.contentType ?? 'application/octet-stream';
      return new Promise((resolve, reject) => {
        if (signal?.aborted) return reject(aborted(signal));
        const request = send(`${context.master}${path}${queryString(options.query)}`, { method, headers, agent });
        const fail = (error: unknown) => reject(signal?.aborted ? aborted(signal) : unreachable(context, error));
        const onAbort = () => request.destroy();
        signal?.addEventListener('abort', onAbort, { once: true });
        request.once('close', () => signal?.removeEventListener('abort', onAbort));
        request.once('error', fail);
        const timeoutMs = options.timeoutMs ?? 30_000;
        const timer = timeoutMs > 0 ? setTimeout(() => request.destroy(new Error(`no answer within ${timeoutMs / 1000} s`)), timeoutMs) : undefined;
        request.once('close', () => clearTimeout(timer));
        request.once('response', (response) => {
          clearTimeout(timer);
          if ((response.statusCode ?? 500) < 400) return resolve(response);
          // What it was still being sent it does not want.
          stream?.unpipe(request);
          readText(response).then((answer) => reject(errorOf(response.statusCode ?? 500, answer)), fail).finally(() => {
            if (stream) request.destroy();
          });
        });
        if (!stream) return void request.end(text);
        stream.once('error', (error) => request.destroy(error));
        stream.pipe(request);
      });
    },
  };
}

export async function readText(response: Readable): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of response) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks).toString('utf8');
}

export function queryString(query: Query = {}): string {
  const parameters = new URLSearchParams();
  for (const [key, value] of Object.entries(query)) {
    if (value === undefined) continue;
    for (const each of Array.isArray(value) ? value : [value]) parameters.append(key, String(each));
  }
  const text = parameters.toString();
  return text ? `?${text}` : '';
}

function aborted(signal: AbortSignal): TsorchError {
  return signal.reason instanceof TsorchError ? signal.reason : new TsorchError('aborted', 'interrupted', { cause: signal.reason });
}

/** What a master said no with; a proxy's HTML page in between becomes its status. */
function errorOf(status: number, text: string): TsorchError {
  try {
    const { error } = JSON.parse(text) as { error?: { code?: string; message?: string; hint?: string; path?: string } };
    if (error && isErrorCode(error.code)) {
      const where = error.path && !error.message?.includes(error.path) ? `${error.path}: ` : '';
      return new TsorchError(error.code, `${where}${error.message}`, error.hint ? { hint: error.hint } : {});
    }
  } catch {
    // Not ours; the status has to do.
  }
  return new TsorchError(codeOfStatus(status), `the master answered ${status}${text && !text.startsWith('<') ? `: ${text.slice(0, 200).trim()}` : ''}`);
}

function codeOfStatus(status: number): ErrorCode {
  if (status === 401) return 'unauthenticated';
  if (status === 403) return 'forbidden';
  if (status === 404) return 'not-found';
  if (status === 409) return 'conflict';
  if (status === 502 || status === 503 || status === 504) return 'unavailable';
  return status < 500 ? 'invalid' : 'internal';
}

export function unreachable(context: Context, error: unknown): TsorchError {
  const cause = error as NodeJS.ErrnoException;
  const code = cause.code ?? '';
  const base = { cause: error };
  if (/^ERR_SSL_.*ALERT|^ERR_SSL_TLSV1|^ERR_SSL_SSLV3/.test(code)) {
    return new TsorchError('unauthenticated', `the master at ${context.master} refuses our certificate (${cause.message})`, {
      ...base,
      hint: 'run `tsorch login` again, or `tsorch up` on the machine of a local cluster',
    });
  }
  if (/CERT|SELF_SIGNED|UNABLE_TO_|ALTNAME/.test(code)) {
    return new TsorchError('unauthenticated', `the certificate of ${context.master} is not one of this cluster (${cause.message})`, {
      ...base,
      hint: 'check the address, or run `tsorch login` again if the cluster was made anew',
    });
  }
  return new TsorchError('unavailable', `cannot reach the master at ${context.master}: ${connectionTrouble(cause)}`, {
    ...base,
    hint: 'is it running? `tsorch up` starts a local cluster; --master URL names another',
  });
}
