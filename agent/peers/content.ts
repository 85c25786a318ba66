/**
 * containerd's content store as peers see it. What is in our namespace is asked of containerd; the bytes are read from its files where
 * they can be, since passing them through gRPC costs several times as much.
 */
import { type FileHandle, open } from 'node:fs/promises';
import { join } from 'node:path';
import { isCode } from '../../model/errors.ts';
import { ContentService } from '../../proto/gen/containerd/content.ts';
import { type ContainerdClient, rpcError } from '../runtime/client.ts';
import { isMissing } from '../state.ts';
import type { ServedBlobs } from './blobs.ts';

export interface ContentBlobsOptions {
  readonly client: ContainerdClient;
  /** containerd's root directory; null when it is not known. */
  readonly root: string | null;
  readonly coming: (digest: string) => boolean;
}

const pieceBytes = 256 << 10;

export class ContentBlobs implements ServedBlobs {
  readonly #options: ContentBlobsOptions;

  constructor(options: ContentBlobsOptions) {
    this.#options = options;
  }

  async size(digest: string): Promise<number | null> {
    try {
      const { info } = await this.#options.client.call(ContentService.info, { digest });
      return info ? info.size : null;
    } catch (error) {
      if (isCode(error, 'not-found')) return null;
      throw error;
    }
  }

  async open(digest: string, offset: number): Promise<AsyncIterable<Uint8Array>> {
    const { root } = this.#options;
    // Once it is open it may be collected: what is being read stays.
    const file = root === null ? null : await open(join(root, 'io.containerd.content.v1.content/blobs/sha256', digest.slice('sha256:'.length))).catch((error: unknown) => {
      if (isMissing(error)) return null;
      throw error;
    });
    return file ? fromFile(file, offset) : this.#fromDaemon(digest, offset);
  }

  coming(digest: string): boolean {
    return this.#options.coming(digest);
  }

  async *#fromDaemon(digest: string, offset: number): AsyncGenerator<Uint8Array> {
    const stream = this.#options.client.stream(ContentService.read, { digest, offset, size: 0 });
    try {
      for await (const { data } of stream as AsyncIterable<{ readonly data: Buffer }>) yield data;
    } catch (error) {
      throw rpcError(ContentService.read.path, error);
    } finally {
      stream.on('error', () => {});
      stream.cancel();
    }
  }
}

async function* fromFile(file: FileHandle, offset: number): AsyncGenerator<Uint8Array> {
  try {
    for (let at = offset; ; ) {
      const { bytesRead, buffer } = await file.read(Buffer.allocUnsafe(pieceBytes), 0, pieceBytes, at);
      if (bytesRead === 0) return;
      yield buffer.subarray(0, bytesRead);
      at += bytesRead;
    }
  } finally {
    await file.close();
  }
}
