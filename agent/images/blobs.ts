/** Where blobs go to and come from: containerd's content store, or memory in tests and hollow agents. */
export interface BlobStore {
  /**
   * Stores what the stream holds and resolves to its digest. With `expected` a blob that is here already is not written
   * again, though the stream is read to its end. Throws `invalid` when content and `expected` differ.
   */
  write(expected: string | null, size: number, data: AsyncIterable<Uint8Array>): Promise<string>;
  has(digest: string): Promise<boolean>;
  /** Whole, for documents. Throws `not-found`. */
  read(digest: string): Promise<Buffer>;
}

export async function* chunks(data: Uint8Array): AsyncIterable<Uint8Array> {
  yield data;
}

export async function collect(data: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const parts: Uint8Array[] = [];
  for await (const part of data) parts.push(part);
  return Buffer.concat(parts);
}
