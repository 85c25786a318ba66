/**
 * An image archive on this machine: what images it has, and any part of any blob of them. Read once, as a stream, to find out; blobs are
 * read again from where they lie. What cannot be read twice (a pipe, something compressed) lies in a file of ours for the time being.
 */
import { createHash, randomBytes } from 'node:crypto';
import { type FileHandle, open } from 'node:fs/promises';
import { unlinkSync } from 'node:fs';
import { join } from 'node:path';
import { type ArchiveImage, type ArchiveStore, decompress, readArchive } from '../../lib/oci/archive.ts';
import { diffIdsOf } from '../../lib/oci/configuration.ts';
import type { Platform } from '../../lib/oci/platform.ts';
import { TsorchError } from '../../model/errors.ts';

export interface LocalImage extends ArchiveImage {
  readonly diffIds: readonly string[];
  /** The documents' bytes as text. */
  readonly manifestText: string;
  readonly configText: string;
  /** The archive had no manifest, so this one was made for it. */
  readonly made: boolean;
}

export interface LocalArchive {
  readonly images: readonly LocalImage[];
  /** Bytes of a blob from an offset on. */
  read(digest: string, offset: number): AsyncIterable<Uint8Array>;
  close(): Promise<void>;
}

export interface ArchiveInput {
  /** The archive's bytes. */
  readonly data: AsyncIterable<Uint8Array>;
  /** The file they are in from its beginning on; null for a stream. The archive closes it. */
  readonly file: FileHandle | null;
  readonly platform: Platform;
  /** Where something may be kept for the time being. */
  readonly temporary: string;
  readonly signal: AbortSignal;
  /** Hears how many bytes were read. */
  readonly progress?: (bytes: number) => void;
}

const pieceBytes = 1 << 20;
/** Larger ones are no documents of an image. */
const mostDocument = 4 << 20;

/** Throws `invalid` and `unsupported` as `readArchive` does. */
export async function openArchive(input: ArchiveInput): Promise<LocalArchive> {
  let spool: FileHandle | null = null;
  try {
    const { data, compressed } = await decompress(counted(input));
    if (input.file === null || compressed) spool = await openSpool(input.temporary);
    const store = new BlobIndex();
    const images = await readArchive(spool ? copied(data, spool) : data, store, input.platform);
    const described = await Promise.all(images.map((image) => describe(image, store)));
    const from = spool ?? input.file;
    if (!from) throw new TsorchError('internal', 'there is no file to read the archive from');
    if (spool) await input.file?.close();
    return { images: described, read: (digest, offset) => readBlob(from, store.place(digest), offset), close: () => from.close() };
  } catch (error) {
    for (const file of [spool, input.file]) await file?.close().catch(() => {});
    throw error;
  }
}

async function describe(image: ArchiveImage, store: BlobIndex): Promise<LocalImage> {
  const config = await store.read(image.manifest.config.digest);
  const diffIds = diffIdsOf(config, `configuration ${image.manifest.config.digest}`);
  const { layers } = image.manifest;
  if (diffIds.length !== layers.length) throw new TsorchError('invalid', `${image.references.join(', ')} has ${layers.length} layers, but its configuration speaks of ${diffIds.length}`);
  return { ...image, diffIds, manifestText: (await store.read(image.target.digest)).toString('utf8'), configText: config.toString('utf8'), made: !store.isIn(image.target.digest) };
}

interface Place {
  readonly offset: number;
  readonly size: number;
}

/** Where each blob lies; of documents the bytes. */
class BlobIndex implements ArchiveStore {
  readonly #places = new Map<string, Place>();
  readonly #documents = new Map<string, Buffer>();

  async write(expected: string | null, size: number, data: AsyncIterable<Uint8Array>, offset: number | null): Promise<string> {
    const hash = createHash('sha256');
    const parts: Uint8Array[] = [];
    for await (const part of data) {
      hash.update(part);
      if (size <= mostDocument) parts.push(part);
    }
    const digest = `sha256:${hash.digest('hex')}`;
    if (expected !== null && digest !== expected) throw new TsorchError('invalid', `blob ${expected} is corrupt: its content has another digest`, { hint: 'the archive is damaged: make it again' });
    if (offset !== null) this.#places.set(digest, { offset, size });
    // All of them are JSON.
    const text = Buffer.concat(parts);
    if (text[0] === 0x7b) this.#documents.set(digest, text);
    return digest;
  }

  async has(digest: string): Promise<boolean> {
    return this.#places.has(digest) || this.#documents.has(digest);
  }

  async read(digest: string): Promise<Buffer> {
    const text = this.#documents.get(digest);
    if (!text) throw new TsorchError('not-found', `the archive lacks ${digest}`);
    return text;
  }

  isIn(digest: string): boolean {
    return this.#places.has(digest);
  }

  place(digest: string): Place {
    const place = this.#places.get(digest);
    if (!place) throw new TsorchError('not-found', `the archive lacks ${digest}`);
    return place;
  }
}

async function* readBlob(file: FileHandle, place: Place, offset: number): AsyncGenerator<Uint8Array> {
  for (let at = offset; at < place.size; ) {
    const wanted = Math.min(pieceBytes, place.size - at);
    const { bytesRead, buffer } = await file.read(Buffer.allocUnsafe(wanted), 0, wanted, place.offset + at);
    if (bytesRead === 0) throw new TsorchError('invalid', 'the archive has become shorter while it was read');
    yield buffer.subarray(0, bytesRead);
    at += bytesRead;
  }
}

/** A file without a name: it is gone when it is closed, however this process ends. */
async function openSpool(directory: string): Promise<FileHandle> {
  const path = join(directory, `tsorch-push-${randomBytes(8).toString('hex')}`);
  try {
    const file = await open(path, 'wx+', 0o600);
    unlinkSync(path);
    return file;
  } catch (cause) {
    throw new TsorchError('unavailable', `the archive cannot be kept in ${directory}: ${(cause as Error).message}`, { cause, hint: 'set TMPDIR to a directory with room for it' });
  }
}

async function* copied(data: AsyncIterable<Uint8Array>, file: FileHandle): AsyncGenerator<Uint8Array> {
  for await (const chunk of data) {
    try {
      await file.writeFile(chunk);
    } catch (cause) {
      throw new TsorchError('exhausted', `the archive cannot be kept here: ${(cause as Error).message}`, { cause, hint: 'set TMPDIR to a directory with room for it' });
    }
    yield chunk;
  }
}

async function* counted({ data, signal, progress }: ArchiveInput): AsyncGenerator<Uint8Array> {
  let bytes = 0;
  for await (const chunk of data) {
    if (signal.aborted) throw new TsorchError('aborted', 'interrupted');
    bytes += chunk.length;
    progress?.(bytes);
    yield chunk;
  }
}
