/**
 * The one port a host opens for its peers: image blobs, and volumes that move, read-only, over TLS with the node's certificate. Only nodes that are part of
 * the cluster now may read. It stays out of the way of pods: few streams at a time, and no more bytes per second than it is given.
 *
 * `GET /v1/blobs/sha256:<hex>`, with `Range: bytes=N-` from the Nth byte on. 200 or 206 with the bytes; 404 when it is not here; 202 when
 * it is not here yet but on its way; 503 with `Retry-After-Ms` when enough is being sent already.
 */
import { createServer, type Server } from 'node:https';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { once } from 'node:events';
import type { TLSSocket } from 'node:tls';
import type { Clock } from '../../lib/clock.ts';
import type { Log } from '../../lib/log.ts';
import type { Credentials } from '../../lib/pki/credentials.ts';
import { describeError, TsorchError } from '../../model/errors.ts';
import { identify } from '../../model/identity.ts';
import type { ServedBlobs } from './blobs.ts';
import { parseVolumePath, type ServedVolumes, type VolumeRequest } from './volumes.ts';
import { createThrottle, type Throttle } from './throttle.ts';

export interface BlobServerOptions {
  readonly blobs: ServedBlobs;
  readonly volumes?: ServedVolumes;
  /** The first; `rotate` brings later ones. */
  readonly credentials: Credentials;
  /** Whether this node id is part of the cluster now. */
  readonly isPeer: (node: string) => boolean;
  /** This host's address on the underlay. Port 0 picks one. */
  readonly address: string;
  readonly port: number;
  readonly clock: Clock;
  readonly log: Log;
  readonly signal: AbortSignal;
  /** Large blobs sent at a time; 3 unless told, of which one node gets at most 2. */
  readonly streams?: number;
  /** For all of them together. */
  readonly bytesPerSecond?: number;
}

export const defaultBlobPort = 7445;

const path = /^\/v1\/blobs\/(sha256:[0-9a-f]{64})$/;
const range = /^bytes=(\d{1,15})-$/;
/** Documents are sent at once: they are small, and everything else waits for them. */
const mostDocument = 1 << 20;
const perNode = 2;
const retryMs = 250;
/** A reader that takes nothing for so long has lost its place. */
const stalledMs = 30_000;
const mostConnections = 512;

export class BlobServer {
  readonly #options: BlobServerOptions;
  readonly #server: Server;
  readonly #throttle: Throttle | null;
  /** Streams now, by node. */
  readonly #active = new Map<string, number>();
  /** Bytes of blobs sent since the start. */
  sent = 0;

  private constructor(options: BlobServerOptions) {
    this.#options = options;
    this.#throttle = options.bytesPerSecond === undefined ? null : createThrottle(options.bytesPerSecond);
    this.#server = createServer({ ...secureContext(options.credentials), requestCert: true, rejectUnauthorized: true, keepAliveTimeout: 30_000 }, (request, response) => void this.#serve(request, response));
    this.#server.maxConnections = mostConnections;
    this.#server.headersTimeout = 10_000;
    this.#server.requestTimeout = 10_000;
    this.#server.setTimeout(stalledMs, (socket) => socket.destroy());
    this.#server.on('tlsClientError', (error) => options.log.debug('a handshake failed', { error }));
  }

  /** Resolves when it listens; it ends with the signal. Throws `unavailable` when it cannot. */
  static async start(options: BlobServerOptions): Promise<BlobServer> {
    const made = new BlobServer(options);
    const server = made.#server;
    await new Promise<void>((resolve, reject) => {
      server.once('error', (cause: NodeJS.ErrnoException) => {
        reject(new TsorchError('unavailable', `cannot listen on ${options.address}:${options.port}: ${cause.message}`, { cause, hint: 'another program has the port; --blob-port chooses another one' }));
      });
      server.listen(options.port, options.address, resolve);
    });
    server.on('error', (error) => options.log.warn('the blob server failed', { error }));
    const stop = () => {
      server.close();
      server.closeAllConnections();
    };
    if (options.signal.aborted) stop();
    options.signal.addEventListener('abort', stop, { once: true });
    return made;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo | null)?.port ?? 0;
  }

  /** For connections from now on. */
  rotate(credentials: Credentials): void {
    this.#server.setSecureContext(secureContext(credentials));
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    try {
      const identity = identify((request.socket as TLSSocket).getPeerCertificate());
      if (identity?.role !== 'node' || !this.#options.isPeer(identity.name)) return refuse(response, 403, 'only nodes of this cluster may read');
      if (request.method !== 'GET' && request.method !== 'HEAD') return refuse(response, 405, 'this is read-only');
      const volume = parseVolumePath(request.url ?? '');
      if (volume && this.#options.volumes) return await this.#sendVolume(identity.name, volume, this.#options.volumes, response);
      const [, digest] = path.exec(request.url ?? '') ?? [];
      if (digest === undefined) return refuse(response, 404, 'there are blobs here, by digest');
      await this.#send(identity.name, digest, request, response);
    } catch (error) {
      this.#options.log.debug('a blob was not sent', { error, url: request.url });
      if (response.headersSent) response.destroy();
      else refuse(response, 500, 'it cannot be read');
    }
  }

  async #send(node: string, digest: string, request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { blobs } = this.#options;
    const size = await blobs.size(digest);
    if (size === null) return blobs.coming(digest) ? refuse(response, 202, 'it is on its way here') : refuse(response, 404, 'it is not here');
    const offset = offsetOf(request.headers.range);
    if (offset === null || offset > size || (offset === size && size > 0)) return refuse(response, 416, `it has ${size} bytes`);
    const head = { 'content-type': 'application/octet-stream', 'content-length': size - offset, ...(offset === 0 ? {} : { 'content-range': `bytes ${offset}-${size - 1}/${size}` }) };
    const place = request.method === 'HEAD' || size - offset <= mostDocument ? () => {} : this.#enter(node);
    if (!place) return refuse(response, 503, 'enough is being sent already', { 'retry-after-ms': retryMs });
    try {
      response.writeHead(offset === 0 ? 200 : 206, head);
      if (request.method === 'HEAD') return void response.end();
      await this.#pump(await blobs.open(digest, offset), response);
    } finally {
      place();
    }
  }

  async #sendVolume(node: string, { name, move, from }: VolumeRequest, volumes: ServedVolumes, response: ServerResponse): Promise<void> {
    const gone = new AbortController();
    response.once('close', () => gone.abort());
    try {
      const tree = volumes.open(node, name, move, from, gone.signal)[Symbol.asyncIterator]();
      // The first piece tells whether it can be read at all.
      const first = await tree.next();
      response.writeHead(200, { 'content-type': 'application/octet-stream' });
      await this.#pump((async function* () {
        for (let next = first; !next.done; next = await tree.next()) yield next.value;
      })(), response);
    } catch (error) {
      if (response.headersSent) throw error;
      const { code } = error as { readonly code?: string };
      refuse(response, code === 'forbidden' ? 403 : code === 'conflict' ? 409 : 500, describeError(error));
    }
  }

  async #pump(data: AsyncIterable<Uint8Array>, response: ServerResponse): Promise<void> {
    const { clock } = this.#options;
    const gone = new AbortController();
    response.once('close', () => gone.abort());
    for await (const chunk of data) {
      if (gone.signal.aborted) return;
      const wait = this.#throttle?.take(chunk.length, clock.monotonic()) ?? 0;
      if (wait > 0) await clock.sleep(wait, gone.signal).catch(() => {});
      this.sent += chunk.length;
      if (!response.write(chunk)) await once(response, 'drain', { signal: gone.signal }).catch(() => {});
    }
    response.end();
  }

  /** A place among the streams, to be given back by calling it; null when there is none. */
  #enter(node: string): (() => void) | null {
    const own = this.#active.get(node) ?? 0;
    const all = [...this.#active.values()].reduce((sum, count) => sum + count, 0);
    if (own >= perNode || all >= (this.#options.streams ?? 3)) return null;
    this.#active.set(node, own + 1);
    return () => {
      const left = (this.#active.get(node) ?? 1) - 1;
      if (left > 0) this.#active.set(node, left);
      else this.#active.delete(node);
    };
  }
}

function secureContext({ ca, cert, key }: Credentials): { readonly ca: string; readonly cert: string; readonly key: string; readonly minVersion: 'TLSv1.3' } {
  return { ca, cert, key, minVersion: 'TLSv1.3' };
}

/** Null when it is not a range we know. */
function offsetOf(header: string | undefined): number | null {
  if (header === undefined) return 0;
  const [, from] = range.exec(header) ?? [];
  return from === undefined ? null : Number(from);
}

function refuse(response: ServerResponse, status: number, message: string, headers: Readonly<Record<string, number>> = {}): void {
  const body = `${message}\n`;
  response.writeHead(status, { 'content-type': 'text/plain', 'content-length': Buffer.byteLength(body), ...headers });
  response.end(body);
}
