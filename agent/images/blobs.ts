/** Where blobs go to and come from: containerd's content store, or memory in tests and hollow agents. */
import type { Descriptor } from '../../lib/oci/manifest.ts';

export interface BlobStore {
  /**
   * Stores what the stream holds and resolves to its digest. With `expected` a blob that is here already is not written
   * again, though the stream is read to its end. Throws `invalid` when content and `expected` differ.
   */
  write(expected: string | null, size: number, data: AsyncIterable<Uint8Array>): Promise<string>;
  /**
   * Stores the blob that the descriptor tells of, from where an earlier attempt broke off: `open` gives its bytes from that offset on, and
   * is not called when the blob is here. What came before an error stays for the next attempt. Throws `invalid` when content and digest
   * differ (and then nothing stays), `exhausted` when there is no room, and whatever `open` and its bytes throw. `told` hears of the
   * bytes that are here.
   */
  receive(descriptor: Pick<Descriptor, 'digest' | 'size'>, open: (offset: number) => Promise<AsyncIterable<Uint8Array>>, told?: (bytes: number) => void): Promise<void>;
  /** Bytes of it that `receive` would not ask for: all of them when it is here, some after an attempt that broke off. */
  received(blob: Pick<Descriptor, 'digest' | 'size'>): Promise<number>;
  has(digest: string): Promise<boolean>;
  /** Whole, for documents. Throws `not-found`. */
  read(digest: string): Promise<Buffer>;
}

export async function* chunks(data: Uint8Array): AsyncIterable<Uint8Array> {
  yield data;
}
