/** Images in memory. Archives are read and checked as by the real one; layers are hashed, not kept. */
import { createHash } from 'node:crypto';
import { mediaTypes, sha256 } from '../../lib/oci/manifest.ts';
import { isDigest, normaliseReference } from '../../lib/oci/reference.ts';
import { TsorchError } from '../../model/errors.ts';
import type { HeldImage } from '../../model/image.ts';
import { hostArch, hostPlatform } from '../runtime/host.ts';
import type { ImageConfig, ImageHandle, Images } from '../runtime/port.ts';
import { readArchive } from './archive.ts';
import type { BlobStore } from './blobs.ts';
import { chainIds, parseImage } from './document.ts';

interface FakeImage {
  readonly digest: string;
  readonly size: number;
  readonly chainId: string;
  readonly config: ImageConfig;
  /** In the order in which they came. */
  readonly since: number;
}

const mostDocument = 1 << 20;

export class FakeImages implements Images {
  /** By normalised reference. */
  readonly #images = new Map<string, FakeImage>();
  readonly #watchers = new Set<() => void>();
  #count = 0;

  /** An image from nothing, for tests and hollow agents. */
  add(reference: string, config: Partial<ImageConfig> = {}): void {
    const name = normaliseReference(reference);
    const whole: ImageConfig = {
      architecture: hostArch, os: 'linux', entrypoint: [], cmd: ['sleep', '1000000'], env: [], workingDir: '', user: '', exposedPorts: [], volumes: [], labels: {},
      ...config,
    };
    this.#images.set(name, { digest: sha256(`${name} ${JSON.stringify(whole)}`), size: 1 << 20, chainId: sha256(name), config: whole, since: ++this.#count });
    this.#changed();
  }

  async get(reference: string): Promise<ImageHandle> {
    const image = this.#images.get(this.#find(reference));
    if (!image) throw notHere(reference);
    const { digest, chainId, config } = image;
    return { reference: normaliseReference(reference), digest, chainId, config };
  }

  async list(): Promise<readonly { readonly references: readonly string[]; readonly digest: string; readonly size: number }[]> {
    const byDigest = new Map<string, { references: string[]; digest: string; size: number }>();
    for (const [name, { digest, size }] of this.#images) {
      const entry = byDigest.get(digest) ?? { references: [], digest, size };
      entry.references.push(name);
      byDigest.set(digest, entry);
    }
    return [...byDigest.values()].map((entry) => ({ ...entry, references: entry.references.sort() })).sort((a, b) => ((a.references[0] ?? '') < (b.references[0] ?? '') ? -1 : 1));
  }

  async load(archive: AsyncIterable<Uint8Array>, progress?: (message: string) => void): Promise<readonly string[]> {
    const store = new MemoryBlobs();
    const images = await readArchive(archive, store, hostPlatform());
    const read = await Promise.all(images.map(async (image) => ({ ...image, document: parseImage(await store.read(image.manifest.config.digest), 'image configuration') })));
    for (const { manifest, document } of read) {
      if (manifest.layers.length !== document.diffIds.length) throw new TsorchError('invalid', `the image has ${manifest.layers.length} layers, but its configuration speaks of ${document.diffIds.length}`);
    }
    for (const { references, target, manifest, document } of read) {
      progress?.(`loading ${references.join(', ')}`);
      const size = [manifest.config, ...manifest.layers].reduce((sum, blob) => sum + blob.size, 0);
      for (const name of references) this.#images.set(name, { digest: target.digest, size, chainId: chainIds(document.diffIds).at(-1) ?? '', config: document.config, since: ++this.#count });
    }
    this.#changed();
    return read.flatMap((image) => image.references);
  }

  async remove(reference: string): Promise<void> {
    const name = this.#find(reference);
    const digest = this.#images.get(name)?.digest;
    if (digest === undefined) throw notHere(reference);
    for (const [other, image] of this.#images) if (other === name || (isDigest(reference) && image.digest === digest)) this.#images.delete(other);
    this.#changed();
  }

  /** None of its layers is here: there is nothing to be had from memory. */
  async held(): Promise<readonly HeldImage[]> {
    const byDigest = new Map<string, HeldImage>();
    for (const [name, { digest, size, since }] of this.#images) {
      const before = byDigest.get(digest)?.names ?? [];
      byDigest.set(digest, { target: { mediaType: mediaTypes.manifest, digest, size: 1 }, names: [...before, { name, since }], config: digest, size, documents: [], layers: [] });
    }
    return [...byDigest.values()];
  }

  watch(changed: () => void, signal: AbortSignal): void {
    this.#watchers.add(changed);
    signal.addEventListener('abort', () => this.#watchers.delete(changed), { once: true });
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
    if (!isDigest(name)) return name;
    return [...this.#images].find(([, image]) => image.digest === name)?.[0] ?? name;
  }
}

function notHere(reference: string): TsorchError {
  return new TsorchError('not-found', `image ${normaliseReference(reference)} is not on this host`, { hint: 'load it with `tsorch image load`' });
}

class MemoryBlobs implements BlobStore {
  readonly #known = new Set<string>();
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

  async has(digest: string): Promise<boolean> {
    return this.#known.has(digest);
  }

  async read(digest: string): Promise<Buffer> {
    const data = this.#documents.get(digest);
    if (!data) throw new TsorchError('not-found', `there is no blob ${digest}`);
    return data;
  }
}
