/**
 * Pushes to this host. `push-state`: `{push, blobs: [{digest, size}]}`, one `message`, an array of BlobState. `push-blob`: `{push, digest, size,
 * offset}`, stdin frames are the bytes from the offset on (as zstd with `encoding`), one `message`, a BlobState. `push-commit`: `{push, since, images}`, `message` frames
 * tell of progress (`{message}`) and at last of what is here now (`{held: HeldImage[], bytes}`, those that came from other nodes).
 */
import { Readable } from 'node:stream';
import { createZstdDecompress } from 'node:zlib';
import { TsorchError } from '../../model/errors.ts';
import type { PushedImage, PullProgress } from '../runtime/port.ts';
import { isCount } from '../state.ts';
import { type FrameStream, inputBytes } from './frames.ts';
import type { StreamContext } from './serve.ts';

/** Ids become names of leases. */
const pushId = /^[0-9a-f]{8,64}$/;
const digestOnly = /^sha256:[0-9a-f]{64}$/;
const tellMs = 300;

interface BlobParams {
  readonly digest: string;
  readonly size: number;
}

export async function servePushState(stream: FrameStream, params: { readonly push?: unknown; readonly blobs?: unknown }, context: StreamContext): Promise<void> {
  stream.discardInput();
  const { push, blobs } = params;
  if (!isPush(push) || !Array.isArray(blobs) || !blobs.every(isBlob)) throw new TsorchError('invalid', 'push-state needs a push and blobs');
  await stream.send({ $case: 'message', value: JSON.stringify(await context.images.pushes.state(push, blobs)) });
  await stream.done(0);
}

export async function servePushBlob(stream: FrameStream, params: { readonly push?: unknown; readonly digest?: unknown; readonly size?: unknown; readonly offset?: unknown; readonly encoding?: unknown }, context: StreamContext): Promise<void> {
  const { push, digest, size, offset, encoding } = params;
  const blob = { digest, size };
  if (!isPush(push) || !isBlob(blob) || !isCount(offset) || (encoding !== undefined && encoding !== 'zstd')) throw new TsorchError('invalid', 'push-blob needs a push, digest, size and offset');
  const state = await context.images.pushes.receive(push, blob, offset, encoding === undefined ? inputBytes(stream.incoming()) : unpacked(inputBytes(stream.incoming())));
  stream.discardInput();
  await stream.send({ $case: 'message', value: JSON.stringify(state) });
  await stream.done(0);
}

export async function servePushCommit(stream: FrameStream, params: { readonly push?: unknown; readonly since?: unknown; readonly images?: unknown }, context: StreamContext): Promise<void> {
  stream.discardInput();
  const { push, since, images } = params;
  if (!isPush(push) || !isCount(since) || !Array.isArray(images) || !images.every(isImage)) throw new TsorchError('invalid', 'push-commit needs a push, its time and images');
  const tell = (value: unknown) => stream.send({ $case: 'message', value: JSON.stringify(value) });
  const source = context.peers?.open() ?? null;
  let told = Number.NEGATIVE_INFINITY;
  await context.images.pushes.commit(push, images, {
    since, source, signal: AbortSignal.any([context.signal, stream.over]),
    progress(progress) {
      const now = context.clock.monotonic();
      if (now - told < tellMs) return;
      told = now;
      // Progress is for people: when nobody takes it the work goes on.
      void tell({ message: describe(progress) }).catch(() => {});
    },
  });
  context.pods.poke();
  const digests = new Set(images.map(({ target }) => target.digest));
  const held = (await context.images.held()).filter(({ target }) => digests.has(target.digest));
  await tell({ held, bytes: source?.bytes ?? 0 });
  await stream.done(0);
}

/** As it was before it travelled. What came before a break is given out before the error. */
function unpacked(data: AsyncIterable<Uint8Array>): AsyncIterable<Uint8Array> {
  const unpack = createZstdDecompress();
  const input = Readable.from(data, { objectMode: false });
  input.on('error', (error) => unpack.destroy(error));
  unpack.on('close', () => input.destroy());
  return input.pipe(unpack);
}

function describe(progress: PullProgress): string {
  if (progress.kind === 'unpacking') return `unpacking layer ${Math.min(progress.layers + 1, progress.total)} of ${progress.total}`;
  return `fetched ${Math.floor((progress.bytes / Math.max(1, progress.total)) * 100)} % of ${progress.total} bytes`;
}

function isPush(value: unknown): value is string {
  return typeof value === 'string' && pushId.test(value);
}

function isBlob(value: unknown): value is BlobParams {
  const blob = value as Partial<BlobParams> | null;
  return typeof blob?.digest === 'string' && digestOnly.test(blob.digest) && isCount(blob.size);
}

function isImage(value: unknown): value is PushedImage {
  const image = value as Partial<PushedImage> | null;
  const texts = (list: unknown): list is readonly string[] => Array.isArray(list) && list.every((each) => typeof each === 'string');
  return texts(image?.references) && isBlob(image.target) && Array.isArray(image.documents) && image.documents.every((each: { digest?: unknown; text?: unknown } | null) => texts([each?.digest, each?.text]));
}
