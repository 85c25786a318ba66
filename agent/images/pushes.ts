/** Pushes to this host: blobs as they come, then whole images under their names. The same for containerd and for memory. */
import type { BlobState } from '../../model/api.ts';
import { sha256 } from '../../lib/oci/manifest.ts';
import { type ImageReference, isDigest, parseReference } from '../../lib/oci/reference.ts';
import { TsorchError } from '../../model/errors.ts';
import type { BlobDescriptor } from '../../model/image.ts';
import type { CommitOptions, PushedImage, Pushes } from '../runtime/port.ts';
import { type BlobStore, chunks } from './blobs.ts';
import type { PullOptions, Pulled } from './pull.ts';

type Blob = Pick<BlobDescriptor, 'digest' | 'size'>;

export interface PushHost {
  /** Runs the task with a store whose content stays for as long as the push, which is a day unless it is let go of. */
  under<T>(push: string, task: (store: BlobStore, lease: string) => Promise<T>): Promise<T>;
  /** The push is over: what no image refers to may go. */
  letGo(push: string): Promise<void>;
  /** Everything of an image but its names. */
  bring(options: Pick<PullOptions, 'reference' | 'name' | 'sources' | 'store' | 'signal' | 'progress'>, lease: string): Promise<Pulled>;
  /** Gives the image its names, all at once as far as others can see. */
  name(references: readonly string[], target: BlobDescriptor, since: number): Promise<void>;
}

export class HostPushes implements Pushes {
  readonly #host: PushHost;

  constructor(host: PushHost) {
    this.#host = host;
  }

  async state(push: string, blobs: readonly Blob[]): Promise<readonly BlobState[]> {
    return await this.#host.under(push, async (store) => await Promise.all(blobs.map((blob) => stateOf(store, blob))));
  }

  async receive(push: string, blob: Blob, offset: number, data: AsyncIterable<Uint8Array>): Promise<BlobState> {
    return await this.#host.under(push, async (store) => {
      await store.receive(blob, async (at) => {
        if (at < offset) throw new TsorchError('conflict', `only ${at} bytes of ${blob.digest} are here, not ${offset}`, { hint: 'ask again what is missing' });
        return without(data, at - offset);
      });
      return { offset: blob.size, whole: true };
    });
  }

  async commit(push: string, images: readonly PushedImage[], options: CommitOptions): Promise<void> {
    const { source, signal, progress = () => {} } = options;
    await this.#host.under(push, async (store, lease) => {
      for (const { references, target, documents } of images) {
        for (const { digest, text } of documents) {
          const data = Buffer.from(text);
          if (sha256(data) !== digest) throw new TsorchError('invalid', `a document of ${nameOf({ references, target })} has another digest than it should`);
          await store.write(digest, data.length, chunks(data));
        }
        await this.#host.bring({ reference: referenceOf(references, target), name: nameOf({ references, target }), sources: source ? [source] : [], store, signal, progress }, lease);
      }
      // Only when all are complete: a name never points at half an image.
      for (const { references, target } of images) await this.#host.name(references.length > 0 ? references : [target.digest], target, options.since);
    });
    await this.#host.letGo(push);
  }
}

async function stateOf(store: BlobStore, blob: Blob): Promise<BlobState> {
  const offset = await store.received(blob);
  return { offset, whole: await store.has(blob.digest) };
}

/** The image itself, wherever it is called so. */
function referenceOf(references: readonly string[], target: BlobDescriptor): ImageReference {
  const named = references.find((reference) => !isDigest(reference));
  const { registry, repository } = named === undefined ? { registry: 'docker.io', repository: 'library/unnamed' } : parseReference(named);
  return { registry, repository, digest: target.digest };
}

function nameOf({ references, target }: Pick<PushedImage, 'references' | 'target'>): string {
  return references[0] ?? target.digest;
}

async function* without(data: AsyncIterable<Uint8Array>, bytes: number): AsyncGenerator<Uint8Array> {
  let left = bytes;
  for await (const chunk of data) {
    if (left >= chunk.length) left -= chunk.length;
    else {
      yield left === 0 ? chunk : chunk.subarray(left);
      left = 0;
    }
  }
}
