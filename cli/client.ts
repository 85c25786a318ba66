/** The HTTP API as functions: paths, bodies and answers of model/api.ts. Everything rejects with a TsorchError. */
import type { IncomingMessage } from 'node:http';
import { TsorchError } from '../model/errors.ts';
import { logChunkType, type PodLogChunk } from '../model/log-chunk.ts';
import { jsonLines, logChunks, serverSentEvents } from './client/streams.ts';
import { createTransport, readText, unreachable, type Query, type RequestOptions, type Transport } from './client/transport.ts';
import type { Context } from './context/file.ts';

export class ApiClient {
  readonly context: Context;
  readonly #transport: Transport;
  readonly #signal: AbortSignal | undefined;

  constructor(context: Context, signal?: AbortSignal) {
    this.context = context;
    this.#transport = createTransport(context);
    this.#signal = signal;
  }

  get<T>(path: string, query?: Query, options: RequestOptions = {}): Promise<T> {
    return this.json<T>('GET', path, { ...options, ...(query ? { query } : {}) });
  }

  async json<T>(method: string, path: string, options: RequestOptions = {}): Promise<T> {
    const text = await readText(await this.#request(method, path, options)).catch((error: unknown) => {
      throw this.#lost(error);
    });
    try {
      return (text ? JSON.parse(text) : {}) as T;
    } catch (error) {
      throw new TsorchError('internal', `${this.context.master}${path} did not answer JSON`, { cause: error, hint: 'is this a tsorch master?' });
    }
  }

  /** One JSON value per line, for as long as the master sends. */
  async *lines<T>(path: string, query?: Query): AsyncGenerator<T> {
    const response = await this.#request('GET', path, { accept: 'application/x-ndjson', ...(query ? { query } : {}) });
    yield* this.#receive(jsonLines<T>(response), response);
  }

  /** The answer as it comes. */
  raw(path: string, query?: Query): Promise<IncomingMessage> {
    return this.#request('GET', path, { accept: '*/*', ...(query ? { query } : {}) });
  }

  /** Output of pods, see `readLogs`. */
  async *logs(method: 'GET' | 'POST', options: Pick<RequestOptions, 'query' | 'body'>): AsyncGenerator<PodLogChunk> {
    const response = await this.#request(method, '/v1/logs', { accept: logChunkType, ...options });
    yield* this.#receive(logChunks(response), response);
  }

  async *events<T>(path: string, query?: Query): AsyncGenerator<T> {
    const response = await this.#request('GET', path, { accept: 'text/event-stream', ...(query ? { query } : {}) });
    yield* this.#receive(serverSentEvents<T>(response), response);
  }

  /** Sends JSON and yields what the master says about it, one value per line, for as long as it takes. */
  async *ask<T>(path: string, body: unknown): AsyncGenerator<T> {
    const response = await this.#request('POST', path, { body, accept: 'application/x-ndjson', timeoutMs: 0 });
    yield* this.#receive(jsonLines<T>(response), response);
  }

  close(): void {
    this.#transport.close();
  }

  #request(method: string, path: string, options: RequestOptions): Promise<IncomingMessage> {
    return this.#transport.request(method, path, { ...(this.#signal ? { signal: this.#signal } : {}), ...options });
  }

  async *#receive<T>(values: AsyncGenerator<T>, response: IncomingMessage): AsyncGenerator<T> {
    try {
      yield* values;
    } catch (error) {
      throw this.#lost(error);
    } finally {
      response.destroy();
    }
  }

  #lost(error: unknown): unknown {
    if (error instanceof TsorchError) return error;
    if (this.#signal?.aborted) return new TsorchError('aborted', 'interrupted', { cause: error });
    return unreachable(this.context, error);
  }
}

/** A name as one segment of a path. */
export function segment(name: string): string {
  return encodeURIComponent(name);
}
