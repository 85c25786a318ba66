/** Runs the command line in this process against a fake master and collects what it says. */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { PassThrough, Readable } from 'node:stream';
import type { Input, Output } from '../../../cli/io.ts';
import { run } from '../../../cli/run.ts';

export interface FakeRequest {
  readonly method: string;
  /** With the query. */
  readonly url: string;
  readonly body: Buffer;
  readonly headers: IncomingMessage['headers'];
}

export type Handler = (request: FakeRequest, response: ServerResponse) => void;

/** Answers by `METHOD /path` (without the query); everything asked is kept. */
export class FakeMaster {
  readonly requests: FakeRequest[] = [];
  readonly server: Server;
  readonly #routes = new Map<string, Handler>();
  readonly #prefixes = new Map<string, Handler>();

  constructor() {
    // A client may go away in the middle.
    this.server = createServer((request, response) => void this.#serve(request, response).catch(() => response.destroy()));
  }

  on(route: string, answer: unknown): this {
    this.#routes.set(route, typeof answer === 'function' ? (answer as Handler) : (_request, response) => sendJson(response, 200, answer));
    return this;
  }

  /** Every route that begins so and has no answer of its own. */
  onPrefix(prefix: string, handler: Handler): this {
    this.#prefixes.set(prefix, handler);
    return this;
  }

  fail(route: string, status: number, error: { readonly code: string; readonly message: string; readonly hint?: string }): this {
    return this.on(route, (_request: FakeRequest, response: ServerResponse) => sendJson(response, status, { error }));
  }

  get url(): string {
    return `http://127.0.0.1:${(this.server.address() as AddressInfo).port}`;
  }

  async start(): Promise<this> {
    await new Promise<void>((resolve) => void this.server.listen(0, '127.0.0.1', resolve));
    return this;
  }

  async stop(): Promise<void> {
    this.server.closeAllConnections();
    await new Promise<void>((resolve) => void this.server.close(() => resolve()));
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const asked = { method: request.method ?? '', url: request.url ?? '', body: Buffer.concat(chunks), headers: request.headers };
    this.requests.push(asked);
    const called = `${asked.method} ${asked.url.split('?')[0]}`;
    const route = this.#routes.get(called) ?? [...this.#prefixes].find(([prefix]) => called.startsWith(prefix))?.[1];
    if (route) return route(asked, response);
    sendJson(response, 404, { error: { code: 'not-found', message: `no route ${asked.method} ${asked.url}` } });
  }
}

export function sendJson(response: ServerResponse, status: number, value: unknown): void {
  response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(value));
}

export interface RunOptions {
  readonly master?: FakeMaster | string;
  readonly env?: Readonly<Record<string, string>>;
  readonly cwd?: string;
  readonly stdin?: string | Buffer | Readable;
  /** Pretend that stdout and stderr are terminals of this many columns. */
  readonly columns?: number;
  readonly now?: number;
  readonly signal?: AbortSignal;
  /** Hears all that stdout has got, whenever it gets more. */
  readonly onOutput?: (stdout: string) => void;
}

export interface RunResult {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
  /** stdout when it is no text. */
  readonly raw: Buffer;
}

export const fixedNow = Date.UTC(2026, 0, 31, 12, 0, 0);

export async function runCli(argv: readonly string[], options: RunOptions = {}): Promise<RunResult> {
  const stdout = collector(options.columns, options.onOutput);
  const stderr = collector(options.columns);
  const url = typeof options.master === 'string' ? options.master : options.master?.url;
  const stdin = options.stdin instanceof Readable ? options.stdin : Readable.from(options.stdin === undefined ? [] : [Buffer.from(options.stdin)]);
  const code = await run(argv, {
    stdin: stdin as Input,
    stdout: stdout.stream,
    stderr: stderr.stream,
    env: { TSORCH_CONFIG: '/nonexistent/context.json', DOCKER_CONFIG: '/nonexistent', ...(url ? { TSORCH_MASTER: url } : {}), ...options.env },
    cwd: options.cwd ?? '/nonexistent',
    now: () => options.now ?? fixedNow,
    signal: options.signal ?? new AbortController().signal,
  });
  // Not among what tests compare.
  return Object.defineProperty({ code, stdout: stdout.text(), stderr: stderr.text() }, 'raw', { value: stdout.bytes(), enumerable: false }) as RunResult;
}

function collector(columns: number | undefined, heard?: (text: string) => void): { readonly stream: Output; text(): string; bytes(): Buffer } {
  const chunks: Buffer[] = [];
  const stream = new PassThrough();
  stream.on('data', (chunk: Buffer) => {
    chunks.push(chunk);
    heard?.(Buffer.concat(chunks).toString('utf8'));
  });
  if (columns !== undefined) Object.assign(stream, { isTTY: true, columns, rows: 24 });
  return { stream, text: () => Buffer.concat(chunks).toString('utf8'), bytes: () => Buffer.concat(chunks) };
}

/** How a golden file shows a run. */
export function transcript(argv: readonly string[], { code, stdout, stderr }: RunResult): string {
  return `$ tsorch ${argv.join(' ')}\n${stdout}${stderr ? `--- stderr\n${stderr}` : ''}--- exit ${code}\n`;
}
