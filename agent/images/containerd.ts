/** The images port on containerd: records point at manifests, manifests hold layers, layers are unpacked by chain id. */
import { randomBytes } from 'node:crypto';
import { dirname, join } from 'node:path';
import type { Clock } from '../../lib/clock.ts';
import type { Log } from '../../lib/log.ts';
import { choosePlatform, type Descriptor, isIndex, type Manifest, parseIndex, parseManifest } from '../../lib/oci/manifest.ts';
import { isDigest, normaliseReference } from '../../lib/oci/reference.ts';
import { isCode, TsorchError } from '../../model/errors.ts';
import type { HeldImage } from '../../model/image.ts';
import { ContentService } from '../../proto/gen/containerd/content.ts';
import { type Image, ImagesService } from '../../proto/gen/containerd/images.ts';
import { LeasesService } from '../../proto/gen/containerd/leases.ts';
import type { ContainerdClient } from '../runtime/client.ts';
import { defaultSnapshotter } from '../runtime/containerd.ts';
import { hostPlatform } from '../runtime/host.ts';
import { orNothing } from '../runtime/context.ts';
import type { ImageHandle, Images } from '../runtime/port.ts';
import { readArchive } from './archive.ts';
import { ContentStore } from './content.ts';
import { copyUp } from './copy-up.ts';
import { chainIds, type ImageDocument, parseImage } from './document.ts';
import { HeldImages, sinceLabel } from './held.ts';
import { isUnpacked, unpack } from './unpack.ts';
import { watchImages } from './watch.ts';

export interface ContainerdImagesOptions {
  readonly client: ContainerdClient;
  readonly clock: Clock;
  readonly log: Log;
  readonly snapshotter?: string;
  /** Images are mounted below it for a moment, to copy from them. Absent: the directory of containerd's socket. */
  readonly runDir?: string;
}

interface Known {
  readonly manifest: Manifest;
  readonly document: ImageDocument;
  readonly chainId: string;
}

const leasePrefix = 'tsorch-images-';
/** A lease outlives a crashed agent by at most this. */
const leaseMs = 24 * 3600_000;

export class ContainerdImages implements Images {
  readonly #client: ContainerdClient;
  readonly #clock: Clock;
  readonly #log: Log;
  readonly #snapshotter: string;
  readonly #runDir: string;
  /** By manifest digest: content never changes. */
  readonly #known = new Map<string, Known>();
  /** Look-ups under way, by reference: pods of one image begin together. */
  readonly #asked = new Map<string, Promise<ImageHandle>>();
  readonly #held: HeldImages;

  constructor(options: ContainerdImagesOptions) {
    this.#client = options.client;
    this.#held = new HeldImages(options.client);
    this.#clock = options.clock;
    this.#log = options.log;
    this.#snapshotter = options.snapshotter ?? defaultSnapshotter;
    this.#runDir = options.runDir ?? dirname(options.client.socket);
  }

  /** Lets go of what loads of an earlier, killed agent held. Call once, before the first load. */
  async sweep(): Promise<void> {
    const { leases } = await this.#client.call(LeasesService.list, { filters: [] });
    for (const { id } of leases) if (id.startsWith(leasePrefix)) await orNothing(this.#client.call(LeasesService.delete, { id, sync: false }));
  }

  get(reference: string): Promise<ImageHandle> {
    const asked = this.#asked.get(reference) ?? this.#get(reference).finally(() => this.#asked.delete(reference));
    this.#asked.set(reference, asked);
    return asked;
  }

  async #get(reference: string): Promise<ImageHandle> {
    const image = await this.#find(reference);
    const digest = image.target?.digest ?? '';
    const known = await this.#read(image, reference);
    if (!(await isUnpacked({ client: this.#client, snapshotter: this.#snapshotter }, known.chainId))) {
      await this.#underLease((lease) => this.#unpack(known, lease));
    }
    return { reference: normaliseReference(reference), digest, chainId: known.chainId, config: known.document.config };
  }

  async list(): Promise<readonly { readonly references: readonly string[]; readonly digest: string; readonly size: number }[]> {
    const { images } = await this.#client.call(ImagesService.list, { filters: [] });
    const byDigest = new Map<string, { references: string[]; digest: string; size: number }>();
    for (const image of images) {
      const digest = image.target?.digest ?? '';
      const entry = byDigest.get(digest) ?? { references: [], digest, size: await this.#size(image) };
      entry.references.push(image.name);
      byDigest.set(digest, entry);
    }
    return [...byDigest.values()].map((entry) => ({ ...entry, references: entry.references.sort() })).sort((a, b) => ((a.references[0] ?? '') < (b.references[0] ?? '') ? -1 : 1));
  }

  held(): Promise<readonly HeldImage[]> {
    return this.#held.list();
  }

  watch(changed: () => void, signal: AbortSignal): void {
    void watchImages(this.#client, changed, { clock: this.#clock, log: this.#log, signal });
  }

  async load(archive: AsyncIterable<Uint8Array>, progress?: (message: string) => void): Promise<readonly string[]> {
    return await this.#underLease(async (lease) => {
      const store = new ContentStore(this.#client, lease);
      const images = await readArchive(archive, store, hostPlatform());
      for (const { manifest, target, references } of images) {
        const document = parseImage(await store.read(manifest.config.digest), `configuration ${manifest.config.digest}`);
        progress?.(`loading ${references.join(', ')}`);
        const known = { manifest, document, chainId: chainIds(document.diffIds).at(-1) ?? '' };
        await this.#unpack(known, lease, progress);
        await this.#label(target.digest, contentLabels(manifest));
        this.#known.set(target.digest, known);
      }
      // Only when all are complete: a name never points at half an image.
      for (const { target, references } of images) for (const name of references) await this.#register(name, target);
      const names = images.flatMap((image) => image.references);
      this.#log.info('images loaded', { references: names.join(' ') });
      return names;
    });
  }

  async remove(reference: string): Promise<void> {
    const image = await this.#find(reference);
    const { images } = await this.#client.call(ImagesService.list, { filters: [] });
    const digest = image.target?.digest ?? '';
    // By digest it goes under all its names.
    const names = isDigest(reference) ? images.filter((other) => other.target?.digest === digest).map((other) => other.name) : [image.name];
    for (const [index, name] of names.entries()) {
      await orNothing(this.#client.call(ImagesService.delete, { name, sync: index === names.length - 1 }, { deadlineMs: 120_000 }));
    }
    if (images.every((other) => other.target?.digest !== digest || names.includes(other.name))) this.#known.delete(digest);
  }

  async copyUp(image: ImageHandle, path: string, target: string): Promise<boolean> {
    const directory = join(this.#runDir, 'mounts');
    return await this.#underLease((lease) => copyUp({ client: this.#client, snapshotter: this.#snapshotter, lease, directory }, image.chainId, path, target));
  }

  async #find(reference: string): Promise<Image> {
    const name = normaliseReference(reference);
    const found = await orNothing(this.#client.call(ImagesService.get, { name }));
    if (found?.image) return found.image;
    const digest = isDigest(name) ? name : name.split('@')[1];
    if (digest !== undefined) {
      const repository = isDigest(name) ? '' : name.replace(/(:[^/@]*)?@.*$/, '');
      const { images } = await this.#client.call(ImagesService.list, { filters: [] });
      for (const image of images) {
        if (repository !== '' && image.name.replace(/(:[^/@]*)?(@.*)?$/, '') !== repository) continue;
        if (image.target?.digest === digest) return image;
        // An image's id, as Docker has it, is the digest of its configuration.
        if (repository === '' && (await orNothing(this.#read(image, image.name)))?.manifest.config.digest === digest) return image;
      }
    }
    throw new TsorchError('not-found', `image ${name} is not on this host`, { hint: 'load it with `tsorch image load`' });
  }

  async #read(image: Image, reference: string): Promise<Known> {
    const { target } = image;
    if (!target) throw new TsorchError('internal', `the record of image ${reference} points nowhere`);
    const cached = this.#known.get(target.digest);
    if (cached) return cached;
    const store = new ContentStore(this.#client);
    let descriptor: Descriptor = target;
    while (isIndex(descriptor)) descriptor = choosePlatform(parseIndex(await store.read(descriptor.digest), reference), hostPlatform(), reference);
    const manifest = parseManifest(await store.read(descriptor.digest), reference);
    const document = parseImage(await store.read(manifest.config.digest), reference);
    const known = { manifest, document, chainId: chainIds(document.diffIds).at(-1) ?? '' };
    this.#known.set(target.digest, known);
    return known;
  }

  async #size(image: Image): Promise<number> {
    try {
      const { manifest } = await this.#read(image, image.name);
      return [manifest.config, ...manifest.layers].reduce((sum, blob) => sum + blob.size, 0);
    } catch (error) {
      if (!isCode(error, 'not-found')) throw error;
      return 0;
    }
  }

  async #unpack(known: Known, lease: string, progress?: (message: string) => void): Promise<void> {
    const { manifest, document, chainId } = known;
    await unpack({ client: this.#client, snapshotter: this.#snapshotter, lease, ...(progress ? { progress } : {}) }, manifest.layers, document.diffIds);
    if (chainId !== '') await this.#label(manifest.config.digest, { [`containerd.io/gc.ref.snapshot.${this.#snapshotter}`]: chainId });
  }

  /** The garbage collector follows labels: what an image refers to stays as long as its record. */
  async #label(digest: string, labels: Readonly<Record<string, string>>): Promise<void> {
    const paths = Object.keys(labels).map((label) => `labels.${label}`);
    await this.#client.call(ContentService.update, { info: { digest, size: 0, labels: { ...labels } }, updateMask: { paths } });
  }

  /** `since` is when somebody gave it this name, see model/image.ts. */
  async #register(name: string, target: Descriptor, since = this.#clock.now()): Promise<void> {
    const image: Image = {
      name, labels: { [sinceLabel]: String(since) }, updatedAt: undefined,
      target: { mediaType: target.mediaType, digest: target.digest, size: target.size, annotations: {} },
    };
    try {
      await this.#client.call(ImagesService.create, { image });
    } catch (error) {
      if (!isCode(error, 'conflict')) throw error;
      await this.#client.call(ImagesService.update, { image, updateMask: { paths: ['target', `labels.${sinceLabel}`] } });
    }
  }

  async #underLease<T>(task: (lease: string) => Promise<T>): Promise<T> {
    const id = `${leasePrefix}${randomBytes(8).toString('hex')}`;
    await this.#client.call(LeasesService.create, { id, labels: { 'containerd.io/gc.expire': new Date(this.#clock.now() + leaseMs).toISOString() } });
    try {
      return await task(id);
    } finally {
      await this.#client.call(LeasesService.delete, { id, sync: false }).catch((error: unknown) => this.#log.warn('a lease stays until it expires', { lease: id, error }));
    }
  }
}

function contentLabels(manifest: Manifest): Record<string, string> {
  const labels: Record<string, string> = { 'containerd.io/gc.ref.content.config': manifest.config.digest };
  for (const [index, layer] of manifest.layers.entries()) labels[`containerd.io/gc.ref.content.l.${index}`] = layer.digest;
  return labels;
}
