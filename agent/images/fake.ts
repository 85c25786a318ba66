/** Images in memory. Archives are read and checked as by the real one; layers are hashed, not kept. */
import { createHash } from 'node:crypto';
import { type Clock, systemClock } from '../../lib/clock.ts';
import { type Descriptor, type Manifest, mediaTypes, sha256 } from '../../lib/oci/manifest.ts';
import { isDigest, normaliseReference, parseReference, readableName } from '../../lib/oci/reference.ts';
import { TsorchError } from '../../model/errors.ts';
import type { HeldImage } from '../../model/image.ts';
import { hostArch, hostPlatform } from '../runtime/host.ts';
import type { ImageConfig, ImageHandle, ImageRecord, Images, PullOptions } from '../runtime/port.ts';
import { readArchive } from '../../lib/oci/archive.ts';
import { type BlobStore, chunks } from './blobs.ts';
import { chainIds, type ImageDocument, parseImage } from './document.ts';
import { Downloads } from './downloads.ts';
import { pullImage, type PullOptions as PullImageOptions, type Pulled } from './pull.ts';
import { HostPushes } from './pushes.ts';
import { arrival, collectRecords, namesToRemove } from './records.ts';
import type { BlobSources } from './source.ts';

export interface FakeImagesOptions {
  /** Where pulls get images from. Absent: from nowhere. */
  readonly sources?: readonly BlobSources[];
  readonly clock?: Clock;
}

interface FakeImage {
  readonly digest: string;
  readonly size: number;
  readonly chainId: string;
  readonly config: ImageConfig;
  readonly from: 'archive' | 'registry';
  /** In the order in which they came. */
  readonly since: number;
}

const mostDocument = 1 << 20;

export class FakeImages implements Images {
  /** By normalised reference. */
  readonly #images = new Map<string, FakeImage>();
  readonly #watchers = new Set<() => void>();
  readonly #brought = new Map<string, Pulled>();
  readonly pushes = new HostPushes({
    under: async (_push, task) => await task(this.#blobs, ''),
    letGo: async () => {},
    bring: (options) => this.#bring(options),
    name: async (references, target, since) => {
      const pulled = this.#brought.get(target.digest);
      if (!pulled) throw new TsorchError('internal', `${target.digest} was named before it was here`);
      for (const name of references) this.#images.set(normaliseReference(name), imageOf(pulled, 'archive', since));
      this.#changed();
    },
  });
  #last = 0;
  readonly #blobs = new MemoryBlobs();
  readonly #downloads = new Downloads(6);
  readonly #sources: readonly BlobSources[];
  readonly #clock: Clock;

  constructor(options: FakeImagesOptions = {}) {
    this.#sources = options.sources ?? [];
    this.#clock = options.clock ?? systemClock;
  }

  /** An image from nothing, for tests and hollow agents. */
  add(reference: string, config: Partial<ImageConfig> = {}): void {
    const name = normaliseReference(reference);
    const whole: ImageConfig = {
      architecture: hostArch, os: 'linux', entrypoint: [], cmd: ['sleep', '1000000'], env: [], workingDir: '', user: '', exposedPorts: [], volumes: [], labels: {},
      ...config,
    };
    this.#images.set(name, { digest: sha256(`${name} ${JSON.stringify(whole)}`), size: 1 << 20, chainId: sha256(name), config: whole, from: 'archive', since: this.#now() });
    this.#changed();
  }

  async get(reference: string): Promise<ImageHandle> {
    const image = this.#images.get(this.#find(reference));
    if (!image) throw notHere(reference);
    const { digest, chainId, config } = image;
    return { reference: normaliseReference(reference), digest, chainId, config };
  }

  async list(): Promise<readonly ImageRecord[]> {
    const images = Array.from(this.#images, ([name, image]) => ({ name, image, labels: arrival(image.from, image.since), target: { digest: image.digest } }));
    return await collectRecords(images, async ({ image }) => image.size);
  }

  async pull(text: string, options: PullOptions): Promise<ImageHandle> {
    const { credentials, signal, progress } = options;
    const reference = parseReference(text);
    const name = readableName(text);
    const over = new AbortController();
    try {
      const sources = (await Promise.all(this.#sources.map((each) => each.for(reference, { credentials, fresh: options.fresh === true, over: over.signal })))).flat();
      const pulled = await this.#bring({ reference, name, sources, store: this.#blobs, signal, progress: progress ?? (() => {}) });
      const image = imageOf(pulled, pulled.arrival?.from ?? 'registry', pulled.arrival?.since ?? this.#now());
      const { registry, repository, tag, digest } = reference;
      this.#images.set(`${registry}/${repository}@${image.digest}`, image);
      const tagged = `${registry}/${repository}:${tag}`;
      if (tag !== undefined && (digest === undefined || !this.#images.has(tagged))) this.#images.set(tagged, image);
      this.#changed();
      return { reference: normaliseReference(text), digest: image.digest, chainId: image.chainId, config: image.config };
    } finally {
      over.abort();
    }
  }

  async #bring(options: Pick<PullImageOptions, 'reference' | 'name' | 'sources' | 'store' | 'signal' | 'progress'>): Promise<Pulled> {
    const pulled = await pullImage({
      ...options, downloads: this.#downloads, platform: hostPlatform(), emulated: () => false, clock: this.#clock, random: () => 0,
      unpack: async (of, to, ready, unpacked) => {
        checkCount(of, to);
        for (const at of of.layers.keys()) {
          await ready(at);
          unpacked(at + 1);
        }
      },
    });
    this.#brought.set(pulled.target.digest, pulled);
    return pulled;
  }

  async load(archive: AsyncIterable<Uint8Array>, progress?: (message: string) => void): Promise<readonly string[]> {
    const store = new MemoryBlobs();
    const images = await readArchive(archive, store, hostPlatform());
    const read = await Promise.all(images.map(async (image) => ({ ...image, document: parseImage(await store.read(image.manifest.config.digest), 'image configuration') })));
    for (const { manifest, document } of read) checkCount(manifest, document);
    for (const { references, target, manifest, document } of read) {
      progress?.(`loading ${references.join(', ')}`);
      const image: FakeImage = { digest: target.digest, size: sizeOf(manifest), chainId: chainIds(document.diffIds).at(-1) ?? '', config: document.config, from: 'archive', since: this.#now() };
      for (const name of references) this.#images.set(name, image);
    }
    this.#changed();
    return read.flatMap((image) => image.references);
  }

  async remove(reference: string): Promise<void> {
    const name = this.#find(reference);
    const digest = this.#images.get(name)?.digest;
    if (digest === undefined) throw notHere(reference);
    const names = Array.from(this.#images).flatMap(([other, image]) => (image.digest === digest ? [other] : []));
    for (const each of namesToRemove(isDigest(reference) ? null : name, names)) this.#images.delete(each);
    this.#changed();
  }

  /** None of its layers is here: there is nothing to be had from memory. */
  async held(): Promise<readonly HeldImage[]> {
    const byDigest = new Map<string, HeldImage>();
    for (const [name, { digest, size, since, from }] of this.#images) {
      const before = byDigest.get(digest)?.names ?? [];
      byDigest.set(digest, { target: { mediaType: mediaTypes.manifest, digest, size: 1 }, names: [...before, { name, since, from }], config: digest, size, documents: [], layers: [] });
    }
    return [...byDigest.values()];
  }

  watch(changed: () => void, signal: AbortSignal): void {
    this.#watchers.add(changed);
    signal.addEventListener('abort', () => this.#watchers.delete(changed), { once: true });
  }

  /** No two at the same time: the order in which they came is to be told. */
  #now(): number {
    this.#last = Math.max(this.#clock.now(), this.#last + 1);
    return this.#last;
  }

  #changed(): void {
    for (const changed of this.#watchers) changed();
  }

  /** Images in memory have no files. */
  async copyUp(): Promise<boolean> {
    return false;
  }

  #find(reference: string): string {
    const name = normaliseReference(reference);
    if (this.#images.has(name)) return name;
    const digest = isDigest(name) ? name : name.split('@')[1];
    if (digest === undefined) return name;
    const repository = isDigest(name) ? null : name.replace(/(:[^/@]*)?@.*$/, '');
    return [...this.#images].find(([other, image]) => image.digest === digest && (repository === null || other.replace(/(:[^/@]*)?(@.*)?$/, '') === repository))?.[0] ?? name;
  }
}

function notHere(reference: string): TsorchError {
  return new TsorchError('not-found', `image ${readableName(reference)} is not on this host`, { hint: 'load it with `tsorch image load`' });
}

function checkCount(manifest: Manifest, document: ImageDocument): void {
  if (manifest.layers.length !== document.diffIds.length) throw new TsorchError('invalid', `the image has ${manifest.layers.length} layers, but its configuration speaks of ${document.diffIds.length}`);
}

function imageOf({ target, manifest, document }: Pulled, from: FakeImage['from'], since: number): FakeImage {
  return { digest: target.digest, size: sizeOf(manifest), chainId: chainIds(document.diffIds).at(-1) ?? '', config: document.config, from, since };
}

function sizeOf(manifest: Manifest): number {
  return [manifest.config, ...manifest.layers].reduce((sum, blob) => sum + blob.size, 0);
}

class MemoryBlobs implements BlobStore {
  readonly #known = new Set<string>();
  /** What an attempt left behind. */
  readonly #partial = new Map<string, Buffer>();
  readonly #documents = new Map<string, Buffer>();

  async write(expected: string | null, size: number, data: AsyncIterable<Uint8Array>): Promise<string> {
    const hash = createHash('sha256');
    const parts: Uint8Array[] = [];
    for await (const part of data) {
      hash.update(part);
      if (size <= mostDocument) parts.push(part);
    }
    const digest = `sha256:${hash.digest('hex')}`;
    if (expected !== null && digest !== expected) throw new TsorchError('invalid', `blob ${expected} is corrupt: its content has another digest`);
    this.#known.add(digest);
    if (size <= mostDocument) this.#documents.set(digest, Buffer.concat(parts));
    return digest;
  }

  async received({ digest, size }: Pick<Descriptor, 'digest' | 'size'>): Promise<number> {
    return this.#known.has(digest) ? size : (this.#partial.get(digest)?.length ?? 0);
  }

  async receive({ digest, size }: Pick<Descriptor, 'digest' | 'size'>, open: (offset: number) => Promise<AsyncIterable<Uint8Array>>, told?: (bytes: number) => void): Promise<void> {
    if (this.#known.has(digest)) return told?.(size);
    let data = this.#partial.get(digest) ?? Buffer.alloc(0);
    try {
      const parts = await open(data.length);
      told?.(data.length);
      for await (const part of parts) {
        data = Buffer.concat([data, part]);
        told?.(data.length);
      }
    } finally {
      this.#partial.set(digest, data);
    }
    if (data.length < size) throw new TsorchError('unavailable', `blob ${digest} ended after ${data.length} of ${size} bytes`);
    this.#partial.delete(digest);
    await this.write(digest, size, chunks(data));
  }

  async has(digest: string): Promise<boolean> {
    return this.#known.has(digest);
  }

  async read(digest: string): Promise<Buffer> {
    const data = this.#documents.get(digest);
    if (!data) throw new TsorchError('not-found', `there is no blob ${digest}`);
    return data;
  }
}
