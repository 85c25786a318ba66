/** Hosts that serve blobs to each other over real TLS, and a master's inventory that tells them of each other. */
import { BlobServer } from '../../../../agent/peers/server.ts';
import { MemoryServedBlobs, type ServedBlobs } from '../../../../agent/peers/blobs.ts';
import { PeerClient, type PeerAddress } from '../../../../agent/peers/client.ts';
import { PeerSources } from '../../../../agent/peers/source.ts';
import { type Clock, systemClock } from '../../../../lib/clock.ts';
import { silentLog } from '../../../../lib/log.ts';
import { mediaTypes, sha256 } from '../../../../lib/oci/manifest.ts';
import { ImageInventory } from '../../../../master/images/inventory.ts';
import { locateImages } from '../../../../master/images/locate.ts';
import { isCode, TsorchError } from '../../../../model/errors.ts';
import type { BlobDescriptor, HeldImage } from '../../../../model/image.ts';
import { makeTrust, type TestTrust } from './trust.ts';

export interface SwarmHost {
  readonly id: string;
  readonly server: BlobServer;
  readonly sources: PeerSources;
  readonly address: PeerAddress;
  /** As if it were cut off: nobody reaches it, what it sends breaks off. */
  kill(): void;
}

export class Swarm {
  readonly inventory = new ImageInventory();
  readonly hosts = new Map<string, SwarmHost>();
  readonly trust: TestTrust;
  /** No host gets an answer while it is set. */
  masterAway = false;
  readonly #clock: Clock;
  readonly #closing: (() => void)[] = [];

  private constructor(trust: TestTrust, clock: Clock) {
    this.trust = trust;
    this.#clock = clock;
  }

  static async make(clock: Clock = systemClock): Promise<Swarm> {
    return new Swarm(await makeTrust(), clock);
  }

  async add(id: string, blobs: (sources: PeerSources) => ServedBlobs, options: { readonly streams?: number; readonly bytesPerSecond?: number } = {}): Promise<SwarmHost> {
    const credentials = await this.trust.node(id);
    const client = new PeerClient(() => credentials);
    const sources = new PeerSources({ client, clock: this.#clock, random: Math.random, log: silentLog });
    const stop = new AbortController();
    const server = await BlobServer.start({
      blobs: blobs(sources), credentials, isPeer: (node) => this.hosts.has(node), address: '127.0.0.1', port: 0, clock: systemClock, log: silentLog, signal: stop.signal, ...options,
    });
    const address = { id, address: '127.0.0.1', port: server.port };
    sources.join({
      locate: async (request) => {
        if (this.masterAway) throw new TsorchError('unavailable', 'there is no master');
        return locateImages(this.inventory, id, request, systemClock.monotonic(), Math.random);
      },
      addressOf: (node) => this.hosts.get(node)?.address ?? null,
    });
    const host: SwarmHost = { id, server, sources, address, kill: () => stop.abort() };
    this.hosts.set(id, host);
    this.#closing.push(() => {
      client.close();
      stop.abort();
    });
    return host;
  }

  close(): void {
    for (const close of this.#closing.splice(0)) close();
  }
}

/** An image of nothing but these blobs, as a node would tell of it. */
export function imageOf(...blobs: readonly Uint8Array[]): HeldImage {
  const digest = sha256(`image of ${blobs.map(sha256).join()}`);
  return { target: { digest, mediaType: mediaTypes.manifest, size: 1 }, names: [], config: digest, size: 1, documents: [], layers: blobs.map((data) => ({ ...descriptorOf(data), diffId: sha256(data), here: true })) };
}

export function descriptorOf(data: Uint8Array): BlobDescriptor {
  return { mediaType: mediaTypes.layer, digest: sha256(data), size: data.length };
}

export const anyReference = { registry: 'docker.io', repository: 'library/app', tag: '1' };

/** A host in memory that fetches a blob as a pull does: again from its beginning when it came corrupt. */
export async function fetchInto(host: SwarmHost, blobs: MemoryServedBlobs, blob: BlobDescriptor, signal: AbortSignal, tries = 4): Promise<Uint8Array> {
  blobs.underWay.add(blob.digest);
  try {
    for (let left = tries; ; left--) {
      const parts: Uint8Array[] = [];
      try {
        for await (const part of await host.sources.open().blob(anyReference, blob, 0, signal)) parts.push(part);
      } catch (error) {
        if (!isCode(error, 'invalid') || left === 1) throw error;
        continue;
      }
      const data = Buffer.concat(parts);
      if (sha256(data) !== blob.digest) throw new Error(`what came is not ${blob.digest}`);
      blobs.blobs.set(blob.digest, data);
      return data;
    }
  } finally {
    blobs.underWay.delete(blob.digest);
  }
}
