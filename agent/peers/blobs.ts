/** What a host serves its peers: blobs of its content store, by digest and nothing else. */
import { TsorchError } from '../../model/errors.ts';

export interface ServedBlobs {
  /** Bytes of the blob; null when it is not here whole. */
  size(digest: string): Promise<number | null>;
  /** From `offset` (below its size) to the end. Throws `not-found` when it has gone meanwhile. */
  open(digest: string, offset: number): Promise<AsyncIterable<Uint8Array>>;
  /** It is being fetched right now and will be here soon. */
  coming(digest: string): boolean;
}

/** In memory, for tests and hollow agents. */
export class MemoryServedBlobs implements ServedBlobs {
  readonly blobs = new Map<string, Uint8Array>();
  readonly underWay = new Set<string>();

  async size(digest: string): Promise<number | null> {
    return this.blobs.get(digest)?.length ?? null;
  }

  async open(digest: string, offset: number): Promise<AsyncIterable<Uint8Array>> {
    const data = this.blobs.get(digest);
    if (!data) throw new TsorchError('not-found', `there is no blob ${digest}`);
    return (async function* () {
      for (let at = offset; at < data.length; at += 64 << 10) yield data.subarray(at, at + (64 << 10));
    })();
  }

  coming(digest: string): boolean {
    return this.underWay.has(digest);
  }
}
