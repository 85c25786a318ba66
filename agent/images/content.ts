/** containerd's content store as a blob store, under a lease. */
import { createHash, randomBytes } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { status } from '@grpc/grpc-js';
import type { Descriptor } from '../../lib/oci/manifest.ts';
import { isCode, TsorchError } from '../../model/errors.ts';
import { ContentService, WriteAction, type WriteReply, type WriteRequest } from '../../proto/gen/containerd/content.ts';
import { LeasesService } from '../../proto/gen/containerd/leases.ts';
import { type ContainerdClient, rpcError, statusOf } from '../runtime/client.ts';
import { orNothing } from '../runtime/context.ts';
import type { BlobStore } from './blobs.ts';

const pieceBytes = 1 << 20;
/** Pieces sent ahead of their acknowledgement. */
const window = 8;
const mostDocument = 16 << 20;

export class ContentStore implements BlobStore {
  readonly #client: ContainerdClient;
  readonly #lease: string | undefined;

  /** Without a lease only for reading. */
  constructor(client: ContainerdClient, lease?: string) {
    this.#client = client;
    this.#lease = lease;
  }

  async has(digest: string): Promise<boolean> {
    await this.#keep(digest);
    try {
      await this.#client.call(ContentService.info, { digest });
      return true;
    } catch (error) {
      if (isCode(error, 'not-found')) return false;
      throw error;
    }
  }

  /** Before looking whether it is there: then it cannot be collected in between. */
  async #keep(digest: string): Promise<void> {
    if (this.#lease !== undefined) await this.#client.call(LeasesService.addResource, { id: this.#lease, resource: { id: digest, type: 'content' } });
  }

  async read(digest: string): Promise<Buffer> {
    const parts: Buffer[] = [];
    let size = 0;
    try {
      for await (const reply of this.#client.stream(ContentService.read, { digest, offset: 0, size: 0 }, { deadlineMs: 60_000 })) {
        const { data } = reply as { data: Buffer };
        size += data.length;
        if (size > mostDocument) throw new TsorchError('invalid', `${digest} is too large for an image document`);
        parts.push(data);
      }
    } catch (error) {
      throw rpcError(ContentService.read.path, error);
    }
    return Buffer.concat(parts);
  }

  async write(expected: string | null, size: number, data: AsyncIterable<Uint8Array>): Promise<string> {
    // A name of its own: two loads of the same blob at once must not meet.
    const ref = `tsorch-${randomBytes(12).toString('hex')}`;
    const writer = new Writer(this.#client, ref, this.#lease);
    const hash = expected === null ? createHash('sha256') : null;
    let offset = 0;
    let digest = expected;
    try {
      if (expected !== null) await this.#keep(expected);
      await writer.exchange({ action: WriteAction.STAT, ref, total: size, expected: expected ?? '' });
      for await (const piece of pieces(data)) {
        hash?.update(piece);
        await writer.send({ action: WriteAction.WRITE, ref, offset, data: piece });
        offset += piece.length;
      }
      if (digest === null) {
        digest = `sha256:${hash?.digest('hex') ?? ''}`;
        await this.#keep(digest);
      }
      if (offset !== size) throw new TsorchError('invalid', `blob ${digest} has ${offset} bytes, ${size} were announced`);
      await writer.commit({ action: WriteAction.COMMIT, ref, offset, total: size, expected: digest });
      return digest;
    } catch (error) {
      writer.cancel();
      if (statusOf(error) === status.ALREADY_EXISTS) {
        // Known before the first byte when a digest was expected, else only after the last.
        if (offset === 0) for await (const _ of data);
        if (digest !== null) return digest;
      }
      await this.#client.call(ContentService.abort, { ref }).catch(() => {});
      throw writeFailure(error, expected);
    }
  }

  async receive({ digest, size }: Pick<Descriptor, 'digest' | 'size'>, open: (offset: number) => Promise<AsyncIterable<Uint8Array>>, told?: (bytes: number) => void): Promise<void> {
    // The same for every attempt: that is how containerd knows what it has of it.
    const ref = refOf(digest);
    await this.#keep(digest);
    const { writer, offset: start } = await this.#resume(ref, digest, size);
    if (writer === null) return told?.(size);
    let offset = start;
    try {
      told?.(offset);
      for await (const piece of pieces(await open(offset))) {
        await writer.send({ action: WriteAction.WRITE, ref, offset, data: piece });
        offset += piece.length;
        told?.(offset);
      }
      // All of it must be there, or the next attempt could not go on.
      await writer.settle();
      if (offset < size) throw new TsorchError('unavailable', `blob ${digest} ended after ${offset} of ${size} bytes`);
      await writer.commit({ action: WriteAction.COMMIT, ref, offset, total: size, expected: digest });
    } catch (error) {
      // Only what is acknowledged is known to stay.
      await writer.settle().catch(() => {});
      writer.cancel();
      if (statusOf(error) === status.ALREADY_EXISTS) return told?.(size);
      const failure = writeFailure(error, digest);
      if (isCode(failure, 'invalid')) await this.#client.call(ContentService.abort, { ref }).catch(() => {});
      throw failure;
    }
  }

  async received({ digest, size }: Pick<Descriptor, 'digest' | 'size'>): Promise<number> {
    if (await this.has(digest)) return size;
    const found = await orNothing(this.#client.call(ContentService.status, { ref: refOf(digest) }));
    return Math.min(found?.status?.offset ?? 0, size);
  }

  /** Where to go on; no writer when the blob is here. */
  async #resume(ref: string, digest: string, size: number): Promise<{ readonly writer: Writer; readonly offset: number } | { readonly writer: null; readonly offset: 0 }> {
    for (let tries = 1; ; tries++) {
      const writer = new Writer(this.#client, ref, this.#lease);
      try {
        const { offset } = await writer.exchange({ action: WriteAction.STAT, ref, total: size, expected: digest });
        if (offset <= size) return { writer, offset };
        writer.cancel();
        await this.#client.call(ContentService.abort, { ref });
      } catch (error) {
        writer.cancel();
        if (statusOf(error) === status.ALREADY_EXISTS) return { writer: null, offset: 0 };
        if (!(error instanceof TsorchError) || !/locked/.test(error.message) || tries === locked.tries) throw writeFailure(error, digest);
        await sleep(locked.ms);
      }
    }
  }
}

function refOf(digest: string): string {
  return `tsorch-blob-${digest}`;
}

/** A blob's next writer is let in when the one before has been taken note of as gone. */
const locked = { tries: 100, ms: 50 };

function writeFailure(error: unknown, expected: string | null): unknown {
  if (!(error instanceof TsorchError)) return error;
  if (/no space left|disk quota/i.test(error.message)) return new TsorchError('exhausted', `no space left for ${expected ?? 'a layer'}`, { cause: error, hint: 'free disk space on the host' });
  if (/unexpected commit (digest|size)/.test(error.message)) return new TsorchError('invalid', `blob ${expected ?? ''} is corrupt: its content has another digest`, { cause: error, hint: 'the archive is damaged: make it again' });
  return error;
}

async function* pieces(data: AsyncIterable<Uint8Array>): AsyncIterable<Buffer> {
  let waiting: Uint8Array[] = [];
  let bytes = 0;
  try {
    for await (const chunk of data) {
      for (let at = 0; at < chunk.length; ) {
        const part = chunk.subarray(at, at + pieceBytes - bytes);
        waiting.push(part);
        bytes += part.length;
        at += part.length;
        if (bytes < pieceBytes) continue;
        yield Buffer.concat(waiting);
        [waiting, bytes] = [[], 0];
      }
    }
  } catch (error) {
    // What came before it is as good as the rest.
    if (bytes > 0) yield Buffer.concat(waiting);
    throw error;
  }
  if (bytes > 0) yield Buffer.concat(waiting);
}

/** One write stream: requests go out, each is answered by one reply. */
class Writer {
  readonly #stream;
  readonly #replies: WriteReply[] = [];
  #wake: (() => void) | undefined;
  #failure: unknown;
  #ended = false;
  #unanswered = 0;

  constructor(client: ContainerdClient, ref: string, lease: string | undefined) {
    this.#stream = client.duplex<WriteRequest, WriteReply>(ContentService.write, lease === undefined ? {} : { lease });
    this.#stream.on('data', (reply: WriteReply) => {
      this.#replies.push(reply);
      this.#wake?.();
    });
    this.#stream.on('error', (error) => {
      this.#failure ??= rpcError(`${ContentService.write.path} ${ref}`, error);
      this.#wake?.();
    });
    this.#stream.on('end', () => {
      this.#ended = true;
      this.#wake?.();
    });
  }

  /** Sends, and waits only when too much is unanswered. */
  async send(request: Partial<WriteRequest>): Promise<void> {
    if (this.#failure !== undefined) throw this.#failure;
    this.#unanswered++;
    const room = this.#stream.write({ action: WriteAction.STAT, ref: '', total: 0, expected: '', offset: 0, data: Buffer.alloc(0), labels: {}, ...request });
    if (!room || this.#unanswered > window) await this.#reply();
  }

  /** Sends, and resolves to the answer. */
  async exchange(request: Partial<WriteRequest>): Promise<WriteReply> {
    await this.send(request);
    let last: WriteReply | undefined;
    while (this.#unanswered > 0) last = await this.#reply();
    if (!last) throw new TsorchError('internal', 'containerd has answered before it was asked');
    return last;
  }

  /** Waits until all is acknowledged. */
  async settle(): Promise<void> {
    while (this.#unanswered > 0) await this.#reply();
  }

  async commit(request: Partial<WriteRequest>): Promise<void> {
    await this.exchange(request);
    this.#stream.end();
  }

  cancel(): void {
    this.#stream.cancel();
  }

  async #reply(): Promise<WriteReply> {
    for (;;) {
      const reply = this.#replies.shift();
      if (reply) {
        this.#unanswered--;
        return reply;
      }
      if (this.#failure !== undefined) throw this.#failure;
      if (this.#ended) throw new TsorchError('unavailable', 'containerd ended a write of its own accord');
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
      this.#wake = undefined;
    }
  }
}
