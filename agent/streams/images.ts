/**
 * Images of this host. `image-load`: stdin frames are the archive; `message` frames tell of progress (`{message}`) and at last
 * of what it held (`{loaded: [references]}`). `image-list`: one `message`, an array. `image-rm`: `{reference}`. `image-prune`: `{all}`, one `message` with what went.
 */
import { TsorchError } from '../../model/errors.ts';
import { type FrameStream, inputBytes } from './frames.ts';
import type { StreamContext } from './serve.ts';

export async function serveImageLoad(stream: FrameStream, context: StreamContext): Promise<void> {
  const tell = (value: unknown) => stream.send({ $case: 'message', value: JSON.stringify(value) });
  // Progress is for people: when nobody takes it the load goes on.
  const loaded = await context.images.load(inputBytes(stream.incoming()), (message) => void tell({ message }).catch(() => {}));
  context.pods.poke();
  // Who hears that it is here finds that the master knows it.
  await context.imagesTold();
  await tell({ loaded });
  await stream.done(0);
}

export async function serveImageList(stream: FrameStream, context: StreamContext): Promise<void> {
  stream.discardInput();
  await stream.send({ $case: 'message', value: JSON.stringify(await context.images.list()) });
  await stream.done(0);
}

export async function serveImagePrune(stream: FrameStream, params: { readonly all?: unknown }, context: StreamContext): Promise<void> {
  stream.discardInput();
  if (!context.collector) throw new TsorchError('unsupported', 'this node collects no images');
  await stream.send({ $case: 'message', value: JSON.stringify(await context.collector.prune(params.all === true)) });
  await context.imagesTold();
  await stream.done(0);
}

export async function serveImageRemove(stream: FrameStream, params: { readonly reference?: unknown }, context: StreamContext): Promise<void> {
  stream.discardInput();
  if (typeof params.reference !== 'string') throw new TsorchError('invalid', 'image-rm needs a reference');
  await context.images.remove(params.reference);
  await stream.done(0);
}
