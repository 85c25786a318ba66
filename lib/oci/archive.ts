/**
 * Reads image archives as a stream: `docker save` tars of every age, and OCI layouts. Blobs go to the store as they come
 * by, nothing large is kept; what the archive means is known at its end.
 */
import { Readable } from 'node:stream';
import { createGunzip, createZstdDecompress } from 'node:zlib';
import { posix } from 'node:path';
import { extract } from 'tar-stream';
import { choosePlatform, type Descriptor, isIndex, type Manifest, mediaTypes, parseIndex, parseJson, parseManifest, sha256 } from './manifest.ts';
import type { Platform } from './platform.ts';
import { normaliseReference } from './reference.ts';
import { TsorchError } from '../../model/errors.ts';
import { diffIdsOf } from './configuration.ts';

/** Where the archive's blobs go as they come by. */
export interface ArchiveStore {
  /**
   * Takes the blob, reads the stream to its end, and resolves to its digest. Throws `invalid` when `expected` is another one. `offset` is
   * where it begins in the archive as it is uncompressed; null for what is not in it.
   */
  write(expected: string | null, size: number, data: AsyncIterable<Uint8Array>, offset: number | null): Promise<string>;
  has(digest: string): Promise<boolean>;
  /** Whole, for documents. Throws `not-found`. */
  read(digest: string): Promise<Buffer>;
}

export interface ArchiveImage {
  /** Normalised; the manifest's digest when the archive names none. */
  readonly references: readonly string[];
  readonly target: Descriptor;
  readonly manifest: Manifest;
}

/** Every file of the archive that may matter, by its path. */
interface Contents {
  readonly blobs: Map<string, { readonly digest: string; readonly size: number; readonly mediaType: string }>;
  readonly links: Map<string, string>;
  readonly documents: Map<string, Buffer>;
}

interface DockerEntry {
  readonly Config: string;
  readonly RepoTags: readonly string[] | null;
  readonly Layers: readonly string[];
}

const mostDocument = 16 << 20;
const headerBytes = 512;
const documents: ReadonlySet<string> = new Set(['manifest.json', 'index.json']);
const gzip = [0x1f, 0x8b];
const zstd = [0x28, 0xb5, 0x2f, 0xfd];

/**
 * Images for `platform` in the archive; their blobs are in the store then. Throws `invalid` when it is no image
 * archive, is cut off, or lacks something; `unsupported` when it has nothing for this platform.
 */
export async function readArchive(source: AsyncIterable<Uint8Array>, store: ArchiveStore, platform: Platform): Promise<readonly ArchiveImage[]> {
  const contents = await readContents(source, store);
  const index = contents.documents.get('index.json');
  const docker = contents.documents.get('manifest.json');
  const images = index ? await ociImages(index, docker, contents, store, platform) : docker ? await dockerImages(docker, contents, store) : [];
  if (images.length === 0) throw new TsorchError('invalid', 'the archive holds no image: there is neither manifest.json nor index.json in it', { hint: 'make it with `docker save` or as an OCI layout' });
  for (const image of images) {
    for (const blob of [image.manifest.config, ...image.manifest.layers]) {
      if (!(await store.has(blob.digest))) throw new TsorchError('invalid', `the archive lacks ${blob.digest} of ${image.references.join(', ')}`);
    }
  }
  return images;
}

async function readContents(source: AsyncIterable<Uint8Array>, store: ArchiveStore): Promise<Contents> {
  const contents: Contents = { blobs: new Map(), links: new Map(), documents: new Map() };
  const tar = extract();
  const input = Readable.from((await decompress(source)).data, { objectMode: false });
  input.on('error', (error) => tar.destroy(error));
  input.pipe(tar);
  try {
    for await (const entry of tar) {
      const name = posix.normalize(entry.header.name).replace(/^\/+/, '');
      const size = entry.header.size ?? 0;
      if (entry.header.type === 'symlink') contents.links.set(name, posix.join(posix.dirname(name), entry.header.linkname ?? ''));
      else if (entry.header.type === 'link') contents.links.set(name, posix.normalize(entry.header.linkname ?? ''));
      else if (entry.header.type === 'file' || entry.header.type === 'contiguous-file') {
        await readEntry(name, { size, offset: entry.offset + headerBytes }, entry as unknown as AsyncIterable<Uint8Array>, contents, store);
      }
      entry.resume();
    }
  } catch (error) {
    if (error instanceof TsorchError) throw error;
    throw new TsorchError('invalid', `the archive cannot be read: ${error instanceof Error ? error.message : String(error)}`, { cause: error });
  } finally {
    input.destroy();
    tar.destroy();
  }
  return contents;
}

async function readEntry(name: string, { size, offset }: { readonly size: number; readonly offset: number }, entry: AsyncIterable<Uint8Array>, contents: Contents, store: ArchiveStore): Promise<void> {
  if (documents.has(name)) {
    if (size > mostDocument) throw new TsorchError('invalid', `${name} in the archive is larger than ${mostDocument} bytes`);
    contents.documents.set(name, await collect(entry));
    return;
  }
  const [, hex] = /^blobs\/sha256\/([0-9a-f]{64})$/.exec(name) ?? [];
  const legacy = /(^|\/)layer\.tar$|^[^/]+\.(json|tar|tar\.gz|tgz)$/.test(name);
  if (hex === undefined && !legacy) return;
  let mediaType: string = mediaTypes.layer;
  const digest = await store.write(
    hex === undefined ? null : `sha256:${hex}`,
    size,
    withStart(entry, (start) => {
      mediaType = layerType(start);
    }),
    offset,
  );
  contents.blobs.set(name, { digest, size, mediaType });
}

function layerType(start: Uint8Array): string {
  if (begins(start, gzip)) return `${mediaTypes.layer}+gzip`;
  return begins(start, zstd) ? `${mediaTypes.layer}+zstd` : mediaTypes.layer;
}

/** Tells the first bytes, at least four where there are so many, and passes everything on. */
async function* withStart(source: AsyncIterable<Uint8Array>, tell: (start: Uint8Array) => void): AsyncGenerator<Uint8Array> {
  let start: Uint8Array | null = Buffer.alloc(0);
  for await (const chunk of source) {
    if (start === null) {
      yield chunk;
      continue;
    }
    start = Buffer.concat([start, chunk]);
    if (start.length < 4) continue;
    tell(start);
    yield start;
    start = null;
  }
  if (start !== null && start.length > 0) {
    tell(start);
    yield start;
  }
}

/** An archive, or anything else, that may be compressed, as in `docker save … | gzip`: what it is underneath. */
export async function decompress(source: AsyncIterable<Uint8Array>): Promise<{ readonly data: AsyncIterable<Uint8Array>; readonly compressed: boolean }> {
  let start: Uint8Array = Buffer.alloc(0);
  const whole = withStart(source, (bytes) => {
    start = bytes;
  });
  const first = await whole.next();
  const all = (async function* () {
    if (!first.done) yield first.value;
    yield* whole;
  })();
  const unpack = begins(start, gzip) ? createGunzip() : begins(start, zstd) ? createZstdDecompress() : null;
  if (!unpack) return { data: all, compressed: false };
  const input = Readable.from(all, { objectMode: false });
  input.on('error', (error) => unpack.destroy(error));
  return { data: input.pipe(unpack), compressed: true };
}

function begins(start: Uint8Array, magic: readonly number[]): boolean {
  return magic.every((byte, at) => start[at] === byte);
}

async function ociImages(index: Buffer, docker: Buffer | undefined, contents: Contents, store: ArchiveStore, platform: Platform): Promise<readonly ArchiveImage[]> {
  const tags = docker ? dockerEntries(docker) : [];
  const images = new Map<string, { readonly references: Set<string>; readonly target: Descriptor; readonly manifest: Manifest }>();
  for (const descriptor of parseIndex(index, 'index.json of the archive')) {
    const target = await resolveIndex(descriptor, store, platform);
    const manifest = parseManifest(await store.read(target.digest), `manifest ${target.digest}`);
    const image = images.get(target.digest) ?? { references: new Set<string>(), target, manifest };
    const name = descriptor.annotations?.['io.containerd.image.name'] ?? descriptor.annotations?.['org.opencontainers.image.ref.name'];
    // Some tools write the tag alone: there is no name to be had from it.
    if (name !== undefined && /[/:]/.test(name)) image.references.add(normaliseReference(name));
    for (const entry of tags) {
      if (configDigest(entry, contents) === manifest.config.digest) for (const tag of entry.RepoTags ?? []) image.references.add(normaliseReference(tag));
    }
    images.set(target.digest, image);
  }
  return [...images.values()].map(({ references, target, manifest }) => ({ references: references.size > 0 ? [...references] : [target.digest], target, manifest }));
}

async function resolveIndex(descriptor: Descriptor, store: ArchiveStore, platform: Platform): Promise<Descriptor> {
  let current = descriptor;
  for (let depth = 0; isIndex(current); depth++) {
    if (depth === 4) throw new TsorchError('invalid', `index ${descriptor.digest} is nested too deeply`);
    current = choosePlatform(parseIndex(await store.read(current.digest), `index ${current.digest}`), platform, `index ${current.digest}`);
  }
  return { mediaType: current.mediaType, digest: current.digest, size: current.size };
}

async function dockerImages(text: Buffer, contents: Contents, store: ArchiveStore): Promise<readonly ArchiveImage[]> {
  return await Promise.all(
    dockerEntries(text).map(async (entry) => {
      const config = blobAt(entry.Config, contents);
      const layers = entry.Layers.map((path) => blobAt(path, contents));
      diffIdsOf(await store.read(config.digest), `configuration ${entry.Config}`);
      const manifest: Manifest = { config: { ...config, mediaType: mediaTypes.config }, layers };
      // Written by us, the same for the same image: loading it again changes nothing.
      const data = Buffer.from(JSON.stringify({ schemaVersion: 2, mediaType: mediaTypes.manifest, ...manifest }));
      const digest = await store.write(sha256(data), data.length, once(data), null);
      const references = [...new Set((entry.RepoTags ?? []).map(normaliseReference))];
      return { references: references.length > 0 ? references : [digest], target: { mediaType: mediaTypes.manifest, digest, size: data.length }, manifest };
    }),
  );
}

function dockerEntries(text: Buffer): readonly DockerEntry[] {
  const value = parseJson(text, 'manifest.json of the archive');
  const fine = Array.isArray(value) && value.every((entry: Partial<DockerEntry> | null) => typeof entry?.Config === 'string' && Array.isArray(entry.Layers));
  if (!fine) throw new TsorchError('invalid', 'manifest.json of the archive is not a list of images');
  return value as readonly DockerEntry[];
}

function configDigest(entry: DockerEntry, contents: Contents): string | undefined {
  return contents.blobs.get(follow(entry.Config, contents))?.digest;
}

function blobAt(path: string, contents: Contents): { readonly digest: string; readonly size: number; readonly mediaType: string } {
  const blob = contents.blobs.get(follow(path, contents));
  if (!blob) throw new TsorchError('invalid', `the archive lacks ${path}, which its manifest.json names`);
  return blob;
}

/** Layers that are the same as another's are links to it. */
function follow(path: string, contents: Contents): string {
  let current = posix.normalize(path);
  for (let steps = 0; steps < 16; steps++) {
    const next = contents.links.get(current);
    if (next === undefined) return current;
    current = posix.normalize(next);
  }
  return current;
}

async function* once(data: Uint8Array): AsyncIterable<Uint8Array> {
  yield data;
}

async function collect(data: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const parts: Uint8Array[] = [];
  for await (const part of data) parts.push(part);
  return Buffer.concat(parts);
}
