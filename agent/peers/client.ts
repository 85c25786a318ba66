/** Asks other hosts for blobs, over TLS with this node's certificate: a peer must prove that it is the node it is taken for. */
import { Agent, request } from 'node:https';
import type { IncomingMessage } from 'node:http';
import type { Credentials } from '../../lib/pki/credentials.ts';
import { TsorchError } from '../../model/errors.ts';
import { volumePath, type VolumeRequest } from './volumes.ts';

export interface PeerAddress {
  /** The node's id. */
  readonly id: string;
  readonly address: string;
  readonly port: number;
}

export type PeerAnswer =
  | { readonly kind: 'blob'; readonly size: number; readonly body: AsyncIterable<Uint8Array>; /** Instead of reading it. */ readonly cancel: () => void }
  /** It has it, but sends enough already. */
  | { readonly kind: 'busy'; readonly retryMs: number }
  /** It fetches it itself. */
  | { readonly kind: 'coming' }
  | { readonly kind: 'absent' };

/** A peer that says nothing for so long is taken for dead. */
const silentMs = 10_000;

export class PeerClient {
  readonly #credentials: () => Credentials;
  #agent: Agent | null = null;
  #agentOf: Credentials | null = null;

  /** The function is asked for each request: certificates are renewed. */
  constructor(credentials: () => Credentials) {
    this.#credentials = credentials;
  }

  /** The blob from `offset` on; `size` is that of the whole. Throws `unavailable`, `forbidden`, `aborted`. A body ends in the same errors. */
  async ask(peer: PeerAddress, digest: string, offset: number, signal: AbortSignal): Promise<PeerAnswer> {
    const response = await this.#get(peer, `/v1/blobs/${digest}`, offset, signal);
    switch (response.statusCode) {
      case 200:
      case 206:
        return { kind: 'blob', size: Number(response.headers['content-length']) + offset, body: bodyOf(response, peer, signal), cancel: () => response.destroy() };
      case 202:
        response.resume();
        return { kind: 'coming' };
      case 503:
        response.resume();
        return { kind: 'busy', retryMs: Number(response.headers['retry-after-ms']) || 250 };
      case 404:
        response.resume();
        return { kind: 'absent' };
      default:
        response.resume();
        throw new TsorchError(response.statusCode === 403 ? 'forbidden' : 'unavailable', `node ${peer.id} answered ${response.statusCode} for ${digest}`);
    }
  }

  /** A volume's tree from a position on. Throws `forbidden`, `conflict`, `unavailable`, `aborted`. */
  async *volume(peer: PeerAddress, wanted: VolumeRequest, signal: AbortSignal): AsyncGenerator<Uint8Array> {
    const response = await this.#get(peer, volumePath(wanted), 0, signal);
    if (response.statusCode !== 200) {
      let said = '';
      for await (const part of response as AsyncIterable<Buffer>) said = (said + part.toString()).slice(0, 500);
      throw new TsorchError(response.statusCode === 403 ? 'forbidden' : response.statusCode === 409 ? 'conflict' : 'unavailable', said.trim() || `node ${peer.id} answered ${response.statusCode}`);
    }
    yield* bodyOf(response, peer, signal);
  }

  close(): void {
    this.#agent?.destroy();
  }

  #get(peer: PeerAddress, path: string, offset: number, signal: AbortSignal): Promise<IncomingMessage> {
    return new Promise((resolve, reject) => {
      const req = request({
        host: peer.address, port: peer.port, path, agent: this.#pool(), servername: peer.id, timeout: silentMs, signal,
        headers: offset === 0 ? {} : { range: `bytes=${offset}-` },
      }, resolve);
      req.on('timeout', () => req.destroy(new Error(`silent for ${silentMs / 1000} s`)));
      req.on('error', (error) => reject(failure(error, peer, signal)));
      req.end();
    });
  }

  #pool(): Agent {
    const credentials = this.#credentials();
    if (this.#agent && this.#agentOf === credentials) return this.#agent;
    const old = this.#agent;
    const { ca, cert, key } = credentials;
    this.#agent = new Agent({ keepAlive: true, maxFreeSockets: 16, ca, cert, key, minVersion: 'TLSv1.3', scheduling: 'lifo' });
    this.#agentOf = credentials;
    // What it still carries is carried to the end; its idle connections close.
    if (old) for (const socket of Object.values(old.freeSockets).flat()) socket?.destroy();
    return this.#agent;
  }
}

async function* bodyOf(response: IncomingMessage, peer: PeerAddress, signal: AbortSignal): AsyncGenerator<Uint8Array> {
  try {
    for await (const chunk of response as AsyncIterable<Buffer>) yield chunk;
    if (!response.complete) throw new Error('it broke off');
  } catch (error) {
    throw failure(error, peer, signal);
  } finally {
    response.destroy();
  }
}

function failure(error: unknown, peer: PeerAddress, signal: AbortSignal): TsorchError {
  if (error instanceof TsorchError) return error;
  if (signal.aborted) return new TsorchError('aborted', 'the fetch was ended', { cause: error });
  return new TsorchError('unavailable', `node ${peer.id} at ${peer.address}:${peer.port}: ${error instanceof Error ? error.message : String(error)}`, { cause: error });
}
