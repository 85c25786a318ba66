/** What images this host has, for the masters and for other nodes: names, documents, and which layers are here as blobs. */
import { parseIndex, parseManifest, isIndex, choosePlatform, type Descriptor, type Manifest } from '../../lib/oci/manifest.ts';
import { isCode, TsorchError } from '../../model/errors.ts';
import type { HeldImage, ImageName } from '../../model/image.ts';
import { ContentService, type ListContentReply } from '../../proto/gen/containerd/content.ts';
import { type Image, ImagesService } from '../../proto/gen/containerd/images.ts';
import type { ContainerdClient } from '../runtime/client.ts';
import { rpcError } from '../runtime/client.ts';
import { milliseconds } from '../runtime/context.ts';
import { hostPlatform } from '../runtime/host.ts';
import { ContentStore } from './content.ts';
import { parseImage } from './document.ts';
import { arrivalOf } from './records.ts';

interface Parts {
  /** Index, manifest and configuration, as far as there are. */
  readonly documents: readonly string[];
  readonly manifest: Manifest;
  readonly diffIds: readonly string[];
}

/** Documents never change: each image is read once. */
export class HeldImages {
  readonly #client: ContainerdClient;
  readonly #parts = new Map<string, Parts>();

  constructor(client: ContainerdClient) {
    this.#client = client;
  }

  /** Images whose documents are not all here, or are none for this host, are left out: nobody could run them. */
  async list(): Promise<readonly HeldImage[]> {
    const { images } = await this.#client.call(ImagesService.list, { filters: [] });
    const here = await this.#content();
    const byTarget = new Map<string, { readonly target: Descriptor; readonly names: ImageName[] }>();
    for (const image of images) {
      if (!image.target) continue;
      const entry = byTarget.get(image.target.digest) ?? { target: image.target, names: [] as ImageName[] };
      byTarget.set(image.target.digest, entry);
      entry.names.push({ name: image.name, ...sinceOf(image) });
    }
    const found: HeldImage[] = [];
    for (const { target, names } of byTarget.values()) {
      const parts = await this.#read(target);
      if (parts) found.push(describe(target, names, parts, here));
    }
    for (const digest of this.#parts.keys()) if (!byTarget.has(digest)) this.#parts.delete(digest);
    return found;
  }

  /** Digests of all blobs. */
  async #content(): Promise<ReadonlySet<string>> {
    const digests = new Set<string>();
    try {
      for await (const { info } of this.#client.stream(ContentService.list, { filters: [] }, { deadlineMs: 60_000 }) as AsyncIterable<ListContentReply>) {
        for (const { digest } of info) digests.add(digest);
      }
    } catch (error) {
      throw rpcError(ContentService.list.path, error);
    }
    return digests;
  }

  async #read(target: Descriptor): Promise<Parts | null> {
    const cached = this.#parts.get(target.digest);
    if (cached) return cached;
    const store = new ContentStore(this.#client);
    const documents: string[] = [];
    try {
      let descriptor: Descriptor = target;
      for (; isIndex(descriptor); descriptor = choosePlatform(parseIndex(await store.read(descriptor.digest), descriptor.digest), hostPlatform(), descriptor.digest)) {
        documents.push(descriptor.digest);
        if (documents.length > 4) throw new TsorchError('invalid', `index ${target.digest} is nested too deeply`);
      }
      const manifest = parseManifest(await store.read(descriptor.digest), descriptor.digest);
      const { diffIds } = parseImage(await store.read(manifest.config.digest), manifest.config.digest);
      if (diffIds.length !== manifest.layers.length) throw new TsorchError('invalid', `image ${target.digest} has ${manifest.layers.length} layers, but its configuration speaks of ${diffIds.length}`);
      const parts = { documents: [...documents, descriptor.digest, manifest.config.digest], manifest, diffIds };
      this.#parts.set(target.digest, parts);
      return parts;
    } catch (error) {
      if (isCode(error, 'not-found') || isCode(error, 'invalid') || isCode(error, 'unsupported')) return null;
      throw error;
    }
  }
}

function describe(target: Descriptor, names: readonly ImageName[], { documents, manifest, diffIds }: Parts, here: ReadonlySet<string>): HeldImage {
  const layers = manifest.layers.map(({ mediaType, digest, size }, at) => ({ mediaType, digest, size, diffId: diffIds[at] ?? '', here: here.has(digest) }));
  return {
    target: { mediaType: target.mediaType, digest: target.digest, size: target.size },
    names: names.toSorted((a, b) => (a.name < b.name ? -1 : 1)),
    config: manifest.config.digest,
    size: manifest.config.size + layers.reduce((sum, { size }) => sum + size, 0),
    documents,
    layers,
  };
}

function sinceOf(image: Image): Omit<ImageName, 'name'> {
  const { from, since = milliseconds(image.updatedAt, 0) } = arrivalOf(image.labels);
  return { since, ...(from === undefined ? {} : { from }) };
}
