/**
 * Stacks from a URL, asked for again and again. Only a whole answer that loads counts; while there is none, everything stays as it
 * was. The server is asked whether anything has changed (ETag, Last-Modified), and not asked more often when it fails.
 */
import { readFile } from 'node:fs/promises';
import type { Clock } from '../../lib/clock.ts';
import { Loop } from '../../lib/loop.ts';
import type { Log } from '../../lib/log.ts';
import { describeError, TsorchError } from '../../model/errors.ts';
import type { Get } from './http.ts';
import { loadTexts } from './load.ts';
import { nameOfFile } from './plan/documents.ts';
import type { ManifestEntry, SourceContent } from './plan/types.ts';
import type { ManifestSource } from './source.ts';

export interface UrlOptions {
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  /** A PEM file, read anew for each request. */
  readonly caFile?: string;
  readonly intervalMs: number;
  readonly env: Readonly<Record<string, string>>;
  readonly get: Get;
  readonly clock: Clock;
  readonly log: Log;
  readonly signal: AbortSignal;
  /** Between 0 and 1, for jitter. */
  readonly random: () => number;
}

const timeoutMs = 10_000;
const mostBytes = 10 * 1024 * 1024;
/** The first wait after a failure; it doubles up to the interval. */
const firstWaitMs = 1000;

export class UrlSource implements ManifestSource {
  readonly name: string;
  readonly #options: UrlOptions;
  readonly #url: URL;
  readonly #listeners: (() => void)[] = [];
  readonly #loop: Loop;
  #content: SourceContent | undefined;
  /** Of the last whole answer. */
  #body: string | undefined;
  #etag: string | undefined;
  #modified: string | undefined;
  #wait = firstWaitMs;

  constructor(options: UrlOptions) {
    this.#options = options;
    this.#url = parseUrl(options.url);
    this.name = shown(this.#url);
    const { clock, log, signal } = options;
    this.#loop = new Loop({ name: 'manifest URL', clock, log, signal, run: () => this.#ask() });
    this.#loop.mark();
  }

  get content(): SourceContent | undefined {
    return this.#content;
  }

  get done(): Promise<void> {
    return this.#loop.done;
  }

  onChange(listener: () => void): void {
    this.#listeners.push(listener);
  }

  async #ask(): Promise<number> {
    const { intervalMs, signal, random } = this.#options;
    let problem: string | undefined;
    try {
      await this.#getOnce();
    } catch (error) {
      if (signal.aborted) return intervalMs;
      problem = `${this.name}: ${describeError(error).replaceAll(this.#url.href, this.name)}`;
    }
    if (problem === undefined) {
      this.#wait = firstWaitMs;
      // A thousand hosts that were switched on together need not ask together for ever.
      return intervalMs * (0.9 + random() / 5);
    }
    if (this.#content === undefined || this.#content.problem !== problem) {
      this.#say({ source: this.name, entries: this.#content?.entries ?? null, problem });
    }
    const wait = Math.min(this.#wait, intervalMs);
    this.#wait = Math.min(this.#wait * 2, intervalMs);
    return wait * (0.5 + random() / 2);
  }

  async #getOnce(): Promise<void> {
    const { get, headers, caFile, env, signal } = this.#options;
    const ca = caFile === undefined ? undefined : await readFile(caFile, 'utf8');
    const answer = await get({
      url: this.#url, timeoutMs, maxBytes: mostBytes, signal, ...(ca === undefined ? {} : { ca }),
      headers: {
        accept: 'application/yaml, application/json, text/yaml, */*', ...headers,
        ...(this.#etag === undefined ? {} : { 'if-none-match': this.#etag }), ...(this.#modified === undefined ? {} : { 'if-modified-since': this.#modified }),
      },
    });
    if (answer.status === 304 && this.#body !== undefined) return this.#well();
    if (answer.status !== 200) throw new TsorchError('unavailable', `it answers with status ${answer.status}`);
    if (answer.body.trim() === '') throw new TsorchError('invalid', 'its answer is empty', { hint: 'answer {} to end all pods of this URL' });
    this.#etag = answer.headers['etag'];
    this.#modified = answer.headers['last-modified'];
    if (answer.body === this.#body) return this.#well();
    const entry: ManifestEntry = saysNothing(answer.body) ? { origin: this.name, specs: [], warnings: [] } : await loadTexts(this.name, [{ path: this.name, content: answer.body }], {
      env, workingDir: '/', defaultName: nameOfFile(this.#url.pathname) || nameOfFile(this.#url.hostname), readFile: () => null,
    });
    this.#body = answer.body;
    this.#say({ source: this.name, entries: [entry] });
  }

  /** It answers again, and says the same as before. */
  #well(): void {
    if (this.#content?.problem !== undefined) this.#say({ source: this.name, entries: this.#content.entries });
  }

  #say(content: SourceContent): void {
    this.#content = content;
    for (const listener of this.#listeners) listener();
  }
}

function parseUrl(text: string): URL {
  const url = URL.parse(text);
  if (url && (url.protocol === 'http:' || url.protocol === 'https:')) return url;
  throw new TsorchError('invalid', `${JSON.stringify(text)} is no URL for manifests`, { hint: 'write https://HOST/PATH' });
}

/** Neither user nor query: there may be passwords in them. */
function shown({ origin, pathname }: URL): string {
  return `${origin}${pathname}`;
}

/** Said on purpose: an empty mapping, or comments alone. */
function saysNothing(body: string): boolean {
  const lines = body.split('\n').map((line) => line.trim()).filter((line) => line !== '' && line !== '---' && !line.startsWith('#'));
  return lines.length === 0 || (lines.length === 1 && /^\{\s*\}$/.test(lines[0] ?? ''));
}
