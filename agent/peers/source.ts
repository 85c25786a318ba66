/**
 * Other nodes as a source of pulls. The master says who has a blob and who is about to get it; the blob itself goes from node to node. Of
 * many that want the same one only some get it from the same node at a time: the others wait their turn, and find more that have it.
 */
import { createHash } from 'node:crypto';
import type { Clock } from '../../lib/clock.ts';
import type { Log } from '../../lib/log.ts';
import type { Descriptor } from '../../lib/oci/manifest.ts';
import { mediaTypes, parseJson } from '../../lib/oci/manifest.ts';
import type { ImageReference } from '../../lib/oci/reference.ts';
import { describeError, isCode, TsorchError } from '../../model/errors.ts';
import type { NamedImage } from '../../model/image.ts';
import type { LocateReply, LocateRequest } from '../../proto/gen/tsorch/node.ts';
import type { BlobSource, BlobSources, PullContext, SourceDocument } from '../images/source.ts';
import type { PeerAddress, PeerAnswer, PeerClient } from './client.ts';
import { Reputation } from './reputation.ts';

/** What a host knows of the others. */
export interface Cluster {
  /** Asks the master. Throws `unavailable` without one. */
  locate(request: LocateRequest): Promise<LocateReply>;
  /** Null for nodes that serve nothing. */
  addressOf(node: string): PeerAddress | null;
}

export interface PeerSourcesOptions {
  readonly client: Pick<PeerClient, 'ask'>;
  readonly clock: Clock;
  /** In [0, 1). */
  readonly random: () => number;
  readonly log: Log;
}

/** Nodes asked before the master is asked again. */
const askedAtOnce = 8;
/** Between two looks: the first, and what it grows to. Half of it is left to chance. */
const lookMs = { first: 150, factor: 1.3, most: 700 };
/** The first that seeks a blob nobody has needs this long to begin. */
const graceMs = 3_000;
/** As long as others have it but are busy, and then another source may do. */
const busyMs = 60_000;
/** As long as others are about to get it: so much, and a second for each of these bytes. */
const comingMs = 60_000;
const slowest = 1 << 20;

export class PeerSources implements BlobSources {
  readonly #context: SourceContext;

  constructor(options: PeerSourcesOptions) {
    this.#context = { ...options, reputation: new Reputation(options.clock), sought: new Map(), cluster: alone };
  }

  /** The cluster is known from now on. */
  join(cluster: Cluster): void {
    this.#context.cluster = cluster;
  }

  async for(_reference: ImageReference, { fresh }: Pick<PullContext, 'fresh'>): Promise<readonly PeerSource[]> {
    return [this.open({ tags: !fresh })];
  }

  /** For one pull: it counts what it brings. */
  open({ tags }: { readonly tags: boolean } = { tags: true }): PeerSource {
    return new PeerSource(this.#context, tags);
  }

  /** It is not under way yet, this host still looks for somebody who has it: nobody must wait for that. */
  seeks(digest: string): boolean {
    return this.#context.sought.has(digest);
  }
}

interface SourceContext extends PeerSourcesOptions {
  readonly reputation: Reputation;
  /** Blobs that are looked for right now, with how often. */
  readonly sought: Map<string, number>;
  cluster: Cluster;
}

const alone: Cluster = {
  locate: () => Promise.reject(new TsorchError('unavailable', 'there is no master yet to ask for images')),
  addressOf: () => null,
};

interface Found {
  readonly peer: PeerAddress;
  readonly body: AsyncIterable<Uint8Array>;
}

export class PeerSource implements BlobSource {
  readonly name = 'other nodes';
  readonly decides = false;
  /** Bytes of blobs that came from other nodes. */
  bytes = 0;
  readonly #context: SourceContext;
  readonly #tags: boolean;

  /** `tags`: whether what other nodes know by a tag is good enough. */
  constructor(context: SourceContext, tags: boolean) {
    this.#context = context;
    this.#tags = tags;
  }

  async manifest({ registry, repository, tag, digest }: ImageReference, signal: AbortSignal): Promise<SourceDocument> {
    const name = `${registry}/${repository}:${tag}`;
    if (digest === undefined && !this.#tags) throw new TsorchError('not-found', `what ${name} means is for its registry to say`);
    const { image } = tag === undefined ? { image: '' } : await this.#context.cluster.locate({ reference: name, digests: [] });
    const named = image === '' ? null : (JSON.parse(image) as NamedImage);
    const wanted = digest ?? named?.target.digest;
    if (wanted === undefined) throw new TsorchError('not-found', `no node has ${name}`);
    const data = await this.#document(wanted, signal);
    return { mediaType: mediaTypeOf(data, wanted), data, ...(named && named.target.digest === wanted ? { arrival: named } : {}) };
  }

  async blob(_reference: ImageReference, { digest, size }: Descriptor, offset: number, signal: AbortSignal): Promise<AsyncIterable<Uint8Array>> {
    if (offset >= size) return empty();
    // The first one is found before anything is promised: when there is none, another source is asked.
    return this.#stream(digest, size, offset, await this.#find(digest, size, offset, signal), signal);
  }

  /** What one node does not send to its end, another goes on with. */
  async *#stream(digest: string, size: number, offset: number, first: Found, signal: AbortSignal): AsyncGenerator<Uint8Array> {
    const { log, reputation } = this.#context;
    let { peer, body } = first;
    const senders = new Set<string>();
    // Whoever reads it checks it as well; this is to know whose fault it was. What was here before cannot be told from it.
    const hash = offset === 0 ? createHash('sha256') : null;
    for (let at = offset; ; ) {
      senders.add(peer.id);
      try {
        for await (const chunk of body) {
          at += chunk.length;
          this.bytes += chunk.length;
          hash?.update(chunk);
          if (at >= size && hash && `sha256:${hash.digest('hex')}` !== digest) {
            reputation.corrupt(digest, senders);
            throw new TsorchError('invalid', `what node ${[...senders].join(', ')} sent is not blob ${digest}`);
          }
          yield chunk;
        }
        if (at >= size) return;
      } catch (error) {
        if (signal.aborted || isCode(error, 'invalid')) throw error;
        log.info('a node broke off in a blob, going on with another', { node: peer.id, digest, error: describeError(error) });
        reputation.failed(peer.id);
      }
      ({ peer, body } = await this.#find(digest, size, at, signal));
    }
  }

  async #document(digest: string, signal: AbortSignal): Promise<Buffer> {
    const { body } = await this.#find(digest, null, 0, signal);
    const parts: Uint8Array[] = [];
    for await (const part of body) parts.push(part);
    return Buffer.concat(parts);
  }

  /** Somebody who sends it, from the offset on. `size` is null when it is not known; then it is a document. */
  async #find(digest: string, size: number | null, offset: number, signal: AbortSignal): Promise<Found> {
    const { clock, random, sought } = this.#context;
    const began = clock.monotonic();
    sought.set(digest, (sought.get(digest) ?? 0) + 1);
    try {
      for (let wait = lookMs.first; ; wait = Math.min(wait * lookMs.factor, lookMs.most)) {
        const { found, busy, coming, hopeful } = await this.#look(digest, size, offset, signal);
        if (found) return found;
        const waited = clock.monotonic() - began;
        const patience = busy ? busyMs : coming ? comingMs + ((size ?? 0) / slowest) * 1000 : hopeful ? graceMs : 0;
        if (waited >= patience) throw new TsorchError(busy ? 'unavailable' : 'not-found', busy ? `all nodes that have ${digest} are busy` : `no node has ${digest}`);
        await clock.sleep(wait * (0.5 + random() / 2), signal);
      }
    } finally {
      const left = (sought.get(digest) ?? 1) - 1;
      if (left > 0) sought.set(digest, left);
      else sought.delete(digest);
    }
  }

  async #look(digest: string, size: number | null, offset: number, signal: AbortSignal): Promise<{ readonly found: Found | null; readonly busy: boolean; readonly coming: boolean; readonly hopeful: boolean }> {
    const { cluster, reputation } = this.#context;
    const places = (await cluster.locate({ reference: '', digests: [digest] })).blobs[0];
    const holders = reputation.order(digest, places?.holders ?? []);
    const seekers = reputation.order(digest, places?.seekers ?? []);
    let busy = false;
    let coming = false;
    for (const node of [...holders.slice(0, askedAtOnce), ...seekers.slice(0, askedAtOnce)]) {
      const peer = cluster.addressOf(node);
      if (!peer) continue;
      const answer = await this.#ask(peer, digest, offset, signal);
      if (answer.kind === 'blob') {
        if (size === null ? answer.size <= mostDocument : answer.size === size) return { found: { peer, body: answer.body }, busy, coming, hopeful: false };
        answer.cancel();
        reputation.corrupt(digest, new Set([node]));
      } else if (answer.kind === 'busy') busy = true;
      else if (answer.kind === 'coming') coming = true;
    }
    return { found: null, busy, coming, hopeful: places !== undefined && !places.first && places.seekers.length > 0 };
  }

  async #ask(peer: PeerAddress, digest: string, offset: number, signal: AbortSignal): Promise<PeerAnswer> {
    try {
      return await this.#context.client.ask(peer, digest, offset, signal);
    } catch (error) {
      if (signal.aborted) throw error;
      this.#context.log.info('a node cannot be asked for a blob', { node: peer.id, error: describeError(error) });
      // One that does not know us yet soon will.
      if (!isCode(error, 'forbidden')) this.#context.reputation.failed(peer.id);
      return { kind: 'absent' };
    }
  }
}

/** Manifests and indexes are not larger. */
const mostDocument = 4 << 20;

function mediaTypeOf(data: Buffer, what: string): string {
  const value = parseJson(data, `manifest ${what}`) as { readonly mediaType?: unknown; readonly manifests?: unknown } | null;
  if (typeof value?.mediaType === 'string') return value.mediaType;
  return value?.manifests === undefined ? mediaTypes.manifest : mediaTypes.index;
}

async function* empty(): AsyncGenerator<Uint8Array> {}
