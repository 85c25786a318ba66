/** Sends what is missing, several blobs at a time, each from where an earlier attempt broke off. */
import { Readable } from 'node:stream';
import { constants, createZstdCompress } from 'node:zlib';
import type { Clock } from '../../lib/clock.ts';
import type { BlobState, PushPlan } from '../../model/api.ts';
import { isCode, TsorchError } from '../../model/errors.ts';
import type { ApiClient } from '../client.ts';
import type { LocalArchive } from './archive.ts';
import type { Upload } from './manifest.ts';

export interface UploadOptions {
  readonly client: Pick<ApiClient, 'json'>;
  readonly archive: Pick<LocalArchive, 'read'>;
  readonly plan: Pick<PushPlan, 'push' | 'seed'>;
  readonly clock: Clock;
  readonly signal: AbortSignal;
  /** How far a blob is: bytes of it that are there. */
  readonly progress: (upload: Upload, bytes: number) => void;
  /** How much of a blob an attempt that broke off has brought over. */
  readonly stateOf: (upload: Upload) => Promise<number>;
}

export interface Sent {
  /** Bytes of blobs, and what they were as they travelled. */
  readonly bytes: number;
  readonly travelled: number;
}

const width = 3;
/** Attempts that bring nothing new. */
const attempts = 5;
const waitMs = { first: 500, most: 8_000 };

/** Rejects when one of them cannot be sent; what has been sent stays for the next push. */
export async function uploadAll(uploads: readonly Upload[], options: UploadOptions): Promise<Sent> {
  const stop = new AbortController();
  const signal = AbortSignal.any([options.signal, stop.signal]);
  const sent = { bytes: 0, travelled: 0 };
  // The largest first: they take longest.
  const waiting = uploads.toSorted((a, b) => b.size - a.size);
  const work = async () => {
    for (let upload = waiting.shift(); upload && !signal.aborted; upload = waiting.shift()) {
      const { bytes, travelled } = await uploadOne(upload, { ...options, signal });
      sent.bytes += bytes;
      sent.travelled += travelled;
    }
  };
  const failures: unknown[] = [];
  await Promise.all(Array.from({ length: width }, () => work().catch((error: unknown) => {
    failures.push(error);
    stop.abort(error);
  })));
  if (failures.length > 0) throw failures[0];
  options.signal.throwIfAborted();
  return sent;
}

async function uploadOne(upload: Upload, options: UploadOptions): Promise<Sent> {
  const { client, plan, clock, signal, progress } = options;
  const sent = { bytes: 0, travelled: 0 };
  let { offset } = upload;
  let failures = 0;
  for (;;) {
    signal.throwIfAborted();
    const body = bodyOf(upload, options.archive.read(upload.digest, offset), offset, (bytes) => progress(upload, bytes), sent);
    try {
      await client.json<BlobState>('PUT', `/v1/images/blobs/${upload.digest}`, {
        query: { push: plan.push, node: plan.seed, size: upload.size, offset, ...(upload.packed ? {} : { encoding: 'zstd' }) }, stream: body, timeoutMs: 0, signal,
      });
      return sent;
    } catch (error) {
      if (signal.aborted || !(error instanceof TsorchError) || !(error.retryable || isCode(error, 'aborted'))) throw error;
      const before = offset;
      await clock.sleep(Math.min(waitMs.first * 2 ** failures, waitMs.most), signal);
      // Without an answer the old offset stands: the node passes over what it has.
      offset = await options.stateOf(upload).catch(() => offset);
      if (offset >= upload.size) return sent;
      failures = offset > before ? 0 : failures + 1;
      if (failures === attempts) throw new TsorchError('unavailable', `layer ${upload.digest} cannot be sent: ${error.message}`, { cause: error, hint: 'push again: it goes on where this ended' });
    } finally {
      body.destroy();
    }
  }
}

/** Layers of `docker save` are not compressed, and the way to the cluster may be a thin one: the quickest level is enough. */
function bodyOf({ packed }: Upload, data: AsyncIterable<Uint8Array>, offset: number, tell: (bytes: number) => void, sent: { bytes: number; travelled: number }): Readable {
  const counted = async function* () {
    let at = offset;
    for await (const chunk of data) {
      at += chunk.length;
      sent.bytes += chunk.length;
      yield chunk;
      tell(at);
    }
  };
  const source = Readable.from(counted(), { objectMode: false });
  const body = packed ? source : source.pipe(createZstdCompress({ params: { [constants.ZSTD_c_compressionLevel]: 1 } }));
  if (body !== source) {
    source.on('error', (error) => body.destroy(error));
    body.on('close', () => source.destroy());
  }
  // Whoever takes it makes it flow.
  body.on('data', (chunk: Buffer) => {
    sent.travelled += chunk.length;
  });
  return body.pause();
}
