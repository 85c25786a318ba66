/** The images port on containerd: records point at manifests, manifests hold layers, layers are unpacked by chain id. */
import { randomBytes } from 'node:crypto';
import { dirname, join } from 'node:path';
import type { Clock } from '../../lib/clock.ts';
import type { Log } from '../../lib/log.ts';
import { choosePlatform, type Descriptor, isIndex, type Manifest, parseIndex, parseManifest, sha256 } from '../../lib/oci/manifest.ts';
import { type ImageReference, isDigest, normaliseReference, parseReference, readableName } from '../../lib/oci/reference.ts';
import { isTransient } from '../../lib/oci/retry.ts';
import { isCode, TsorchError } from '../../model/errors.ts';
import type { HeldImage } from '../../model/image.ts';
import { ContentService } from '../../proto/gen/containerd/content.ts';
import { type Image, ImagesService } from '../../proto/gen/containerd/images.ts';
import { LeasesService } from '../../proto/gen/containerd/leases.ts';
import type { ContainerdClient } from '../runtime/client.ts';
import { defaultSnapshotter } from '../runtime/containerd.ts';
import { hostPlatform, isEmulated } from '../runtime/host.ts';
import { orNothing } from '../runtime/context.ts';
import type { ImageHandle, ImageRecord, Images, PullOptions } from '../runtime/port.ts';
import { readArchive } from '../../lib/oci/archive.ts';
import { ContentStore } from './content.ts';
import { copyUp } from './copy-up.ts';
import { chainIds, type ImageDocument, parseImage } from './document.ts';
import { Downloads } from './downloads.ts';
import { HeldImages } from './held.ts';
import { checkPlatform, pullImage, type PullOptions as PullImageOptions, type Pulled } from './pull.ts';
import { HostPushes } from './pushes.ts';
import { arrival, arrivalOfTag, collectRecords, namesToRemove } from './records.ts';
import type { BlobSources } from './source.ts';
import { isUnpacked, unpack, type UnpackOptions } from './unpack.ts';
import { watchImages } from './watch.ts';

export interface ContainerdImagesOptions {
  readonly client: ContainerdClient;
  readonly clock: Clock;
  readonly log: Log;
  readonly snapshotter?: string;
  /** Images are mounted below it for a moment, to copy from them. Absent: the directory of containerd's socket. */
  readonly runDir?: string;
  /** Where pulls get images from, in this order. Absent: from nowhere. */
  readonly sources?: readonly BlobSources[];
  /** Throws `exhausted` when there is no room for so many bytes more. Absent: there always is. */
  readonly admit?: (bytes: number) => Promise<void>;
  /** Between 0 and 1, for jitter. */
  readonly random?: () => number;
}

interface Known {
  readonly manifest: Manifest;
  readonly document: ImageDocument;
  readonly chainId: string;
}

const leasePrefix = 'tsorch-images-';
/** Of pulls: they outlast an agent, so that the next one goes on where this one was. */
const pullPrefix = 'tsorch-pull-';
/** Of pushes, which may be gone on with on another day. */
const pushPrefix = 'tsorch-push-';
/** Blobs under way at a time. */
const downloadWidth = 6;
/** A lease outlives a crashed agent by at most this. */
const leaseMs = 24 * 3600_000;

export class ContainerdImages implements Images {
  readonly #client: ContainerdClient;
  readonly #clock: Clock;
  /** Pulls under way, and leases being given up, by lease. */
  readonly #users = new Map<string, number>();
  readonly #giving = new Map<string, Promise<void>>();
  readonly #log: Log;
  readonly #snapshotter: string;
  readonly #runDir: string;
  /** By manifest digest: content never changes. */
  readonly #known = new Map<string, Known>();
  /** Look-ups under way, by reference: pods of one image begin together. */
  readonly #asked = new Map<string, Promise<ImageHandle>>();
  readonly #held: HeldImages;
  readonly #options: ContainerdImagesOptions;
  /** What is under way to this host. */
  readonly downloads = new Downloads(downloadWidth);
  readonly pushes = new HostPushes({
    under: async (push, task) => {
      await this.#ensureLease(`${pushPrefix}${push}`);
      return await task(new ContentStore(this.#client, `${pushPrefix}${push}`), `${pushPrefix}${push}`);
    },
    letGo: (push) => this.#dropLease(`${pushPrefix}${push}`),
    bring: (options, lease) => this.#bring(options, lease),
    name: async (references, target, since) => {
      for (const name of references) await this.#register(normaliseReference(name), target, arrival('archive', since));
      this.#log.info('images pushed', { references: references.join(' ') });
    },
  });

  constructor(options: ContainerdImagesOptions) {
    this.#options = options;
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
    checkPlatform(known.document, hostPlatform(), isEmulated, readableName(reference));
    if (!(await isUnpacked({ client: this.#client, snapshotter: this.#snapshotter }, known.chainId))) {
      await this.#underLease((lease) => this.#unpack(known, lease));
    }
    return { reference: normaliseReference(reference), digest, chainId: known.chainId, config: known.document.config };
  }

  async list(): Promise<readonly ImageRecord[]> {
    const { images } = await this.#client.call(ImagesService.list, { filters: [] });
    return await collectRecords(images, (image) => this.#size(image));
  }

  async pull(text: string, options: PullOptions): Promise<ImageHandle> {
    const { credentials, signal, progress } = options;
    const reference = parseReference(text);
    const name = readableName(text);
    const over = new AbortController();
    try {
      const sources = (await Promise.all((this.#options.sources ?? []).map((each) => each.for(reference, { credentials, fresh: options.fresh === true, over: over.signal })))).flat();
      return await this.#underLasting(`${pullPrefix}${sha256(normaliseReference(text)).slice('sha256:'.length, 'sha256:'.length + 16)}`, async (lease) => {
        const pulled = await this.#bring({ reference, name, sources, store: new ContentStore(this.#client, lease), signal, progress: progress ?? (() => {}) }, lease);
        await this.#registerPulled(reference, pulled);
        this.#log.info('image pulled', { image: name, digest: pulled.target.digest });
        return { reference: normaliseReference(text), digest: pulled.target.digest, chainId: chainIds(pulled.document.diffIds).at(-1) ?? '', config: pulled.document.config };
      });
    } finally {
      over.abort();
    }
  }

  /** Everything of an image but its names. */
  async #bring(options: Pick<PullImageOptions, 'reference' | 'name' | 'sources' | 'store' | 'signal' | 'progress'>, lease: string): Promise<Pulled> {
    const { signal } = options;
    const pulled = await pullImage({
      ...options, downloads: this.downloads, platform: hostPlatform(), emulated: isEmulated, clock: this.#clock,
      random: this.#options.random ?? Math.random, ...(this.#options.admit ? { admit: this.#options.admit } : {}),
      unpack: (of, to, ready, unpacked) => this.#unpack({ manifest: of, document: to, chainId: chainIds(to.diffIds).at(-1) ?? '' }, lease, { ready, unpacked, signal }),
    });
    const { target, path, manifest, document } = pulled;
    for (const [at, descriptor] of path.entries()) {
      const next = path[at + 1];
      await this.#label(descriptor.digest, next ? { 'containerd.io/gc.ref.content.m.0': next.digest } : contentLabels(manifest));
    }
    this.#known.set(target.digest, { manifest, document, chainId: chainIds(document.diffIds).at(-1) ?? '' });
    return pulled;
  }

  /** A tag that is here is moved only by a pull of the tag itself. */
  async #registerPulled({ registry, repository, tag, digest }: ImageReference, { target, arrival: known }: Pulled): Promise<void> {
    await this.#register(`${registry}/${repository}@${target.digest}`, target, arrival(known?.from ?? 'registry', this.#clock.now()));
    if (tag === undefined) return;
    const tagged = `${registry}/${repository}:${tag}`;
    const labels = arrivalOfTag(known, digest, this.#clock.now());
    if (digest === undefined || !(await orNothing(this.#client.call(ImagesService.get, { name: tagged })))) await this.#register(tagged, target, labels);
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
        await this.#unpack(known, lease, progress ? { progress } : {});
        await this.#label(target.digest, contentLabels(manifest));
        this.#known.set(target.digest, known);
      }
      // Only when all are complete: a name never points at half an image.
      const labels = arrival('archive', this.#clock.now());
      for (const { target, references } of images) for (const name of references) await this.#register(name, target, labels);
      const names = images.flatMap((image) => image.references);
      this.#log.info('images loaded', { references: names.join(' ') });
      return names;
    });
  }

  async remove(reference: string): Promise<void> {
    const image = await this.#find(reference);
    const { images } = await this.#client.call(ImagesService.list, { filters: [] });
    const digest = image.target?.digest ?? '';
    const own = images.filter((other) => other.target?.digest === digest).map((other) => other.name);
    const names = namesToRemove(isDigest(reference) ? null : image.name, own);
    for (const [index, name] of names.entries()) {
      await orNothing(this.#client.call(ImagesService.delete, { name, sync: index === names.length - 1 }, { deadlineMs: 120_000 }));
    }
    if (images.every((other) => other.target?.digest !== digest || names.includes(other.name))) this.#known.delete(digest);
  }

  async copyUp(image: ImageHandle, path: string, target: string, user = ''): Promise<boolean> {
    const directory = join(this.#runDir, 'mounts');
    return await this.#underLease((lease) => copyUp({ client: this.#client, snapshotter: this.#snapshotter, lease, directory }, image.chainId, path, target, user));
  }

  async #find(reference: string): Promise<Image> {
    const name = normaliseReference(reference);
    const digest = isDigest(name) ? name : name.split('@')[1];
    const repository = digest === undefined || isDigest(name) ? '' : name.replace(/(:[^/@]*)?@.*$/, '');
    for (const known of new Set([name, ...(repository === '' ? [] : [`${repository}@${digest}`])])) {
      const found = await orNothing(this.#client.call(ImagesService.get, { name: known }));
      if (found?.image) return found.image;
    }
    if (digest !== undefined) {
      const { images } = await this.#client.call(ImagesService.list, { filters: [] });
      for (const image of images) {
        if (repository !== '' && image.name.replace(/(:[^/@]*)?(@.*)?$/, '') !== repository) continue;
        if (image.target?.digest === digest) return image;
        // An image's id, as Docker has it, is the digest of its configuration.
        if (repository === '' && (await orNothing(this.#read(image, image.name)))?.manifest.config.digest === digest) return image;
      }
    }
    throw new TsorchError('not-found', `image ${readableName(reference)} is not on this host`, { hint: 'load it with `tsorch image load`' });
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

  async #unpack(known: Known, lease: string, options: Omit<UnpackOptions, 'client' | 'snapshotter' | 'lease'> = {}): Promise<void> {
    const { manifest, document, chainId } = known;
    await unpack({ ...options, client: this.#client, snapshotter: this.#snapshotter, lease }, manifest.layers, document.diffIds);
    if (chainId !== '') await this.#label(manifest.config.digest, { [`containerd.io/gc.ref.snapshot.${this.#snapshotter}`]: chainId });
  }

  /** The garbage collector follows labels: what an image refers to stays as long as its record. */
  async #label(digest: string, labels: Readonly<Record<string, string>>): Promise<void> {
    const paths = Object.keys(labels).map((label) => `labels.${label}`);
    await this.#client.call(ContentService.update, { info: { digest, size: 0, labels: { ...labels } }, updateMask: { paths } });
  }

  /** `labels` say how and when somebody gave it this name. */
  async #register(name: string, target: Descriptor, labels: Readonly<Record<string, string>>): Promise<void> {
    const image: Image = { name, labels: { ...labels }, updatedAt: undefined, target: { mediaType: target.mediaType, digest: target.digest, size: target.size, annotations: {} } };
    try {
      await this.#client.call(ImagesService.create, { image });
    } catch (error) {
      if (!isCode(error, 'conflict')) throw error;
      await this.#client.call(ImagesService.update, { image, updateMask: { paths: ['target', 'labels'] } });
    }
  }

  /**
   * What an attempt that failed has got stays for the next one, unless there is no use in a next one. Pulls of one image at the same
   * time share the lease, so the last of them gives it up.
   */
  async #underLasting<T>(id: string, task: (lease: string) => Promise<T>): Promise<T> {
    await this.#giving.get(id);
    this.#users.set(id, (this.#users.get(id) ?? 0) + 1);
    let keep = false;
    try {
      await this.#ensureLease(id);
      return await task(id);
    } catch (error) {
      keep = isTransient(error) || isCode(error, 'aborted');
      throw error;
    } finally {
      const others = (this.#users.get(id) ?? 1) - 1;
      if (others > 0) this.#users.set(id, others);
      else {
        this.#users.delete(id);
        if (!keep) await this.#giveUp(id);
      }
    }
  }

  /** Whoever begins meanwhile waits for it: the lease would be taken from under its hands. */
  async #giveUp(id: string): Promise<void> {
    const going = this.#dropLease(id).finally(() => this.#giving.delete(id));
    this.#giving.set(id, going);
    await going;
  }

  async #ensureLease(id: string): Promise<void> {
    try {
      await this.#client.call(LeasesService.create, { id, labels: { 'containerd.io/gc.expire': new Date(this.#clock.now() + leaseMs).toISOString() } });
    } catch (error) {
      if (!isCode(error, 'conflict')) throw error;
    }
  }

  async #dropLease(id: string): Promise<void> {
    await this.#client.call(LeasesService.delete, { id, sync: false }).catch((error: unknown) => this.#log.warn('a lease stays until it expires', { lease: id, error }));
  }

  async #underLease<T>(task: (lease: string) => Promise<T>): Promise<T> {
    const id = `${leasePrefix}${randomBytes(8).toString('hex')}`;
    await this.#client.call(LeasesService.create, { id, labels: { 'containerd.io/gc.expire': new Date(this.#clock.now() + leaseMs).toISOString() } });
    try {
      return await task(id);
    } finally {
      await this.#dropLease(id);
    }
  }
}

function contentLabels(manifest: Manifest): Record<string, string> {
  const labels: Record<string, string> = { 'containerd.io/gc.ref.content.config': manifest.config.digest };
  for (const [index, layer] of manifest.layers.entries()) labels[`containerd.io/gc.ref.content.l.${index}`] = layer.digest;
  return labels;
}
