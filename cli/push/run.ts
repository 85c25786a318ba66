/** One push, from an archive's images to the nodes that have them. */
import type { Clock } from '../../lib/clock.ts';
import { normaliseReference, readableName } from '../../lib/oci/reference.ts';
import type { PushCommit, PushEvent, PushImage, PushPlan, PushRequest } from '../../model/api.ts';
import { TsorchError } from '../../model/errors.ts';
import type { ApiClient } from '../client.ts';
import { formatBytes, formatElapsed } from '../output/values.ts';
import type { LocalArchive, LocalImage } from './archive.ts';
import { difference, type Difference, finalManifest, pushImage, type Upload } from './manifest.ts';
import { uploadAll } from './upload.ts';
import type { PushView } from './view.ts';

export interface PushOptions {
  readonly client: ApiClient;
  readonly archive: LocalArchive;
  /** What the images are called where the archive does not say. */
  readonly fallback: string | null;
  readonly nodes: NonNullable<PushRequest['nodes']>;
  readonly view: PushView;
  readonly clock: Clock;
  readonly signal: AbortSignal;
}

export interface PushResult {
  readonly images: readonly string[];
  readonly nodes: readonly string[];
  readonly layers: number;
  readonly known: number;
  /** Bytes of layers that were sent, and what they were as they travelled. */
  readonly bytes: number;
  readonly travelled: number;
  readonly failed: readonly { readonly node: string; readonly error: string }[];
}

/** Resolves also when some node has not got it: see `failed`. */
export async function runPush(options: PushOptions): Promise<PushResult> {
  const { client, archive, view, clock, signal } = options;
  const images = archive.images.map((image) => pushImage(image, referencesOf(image, options)));
  const plan = await askPlan(client, images, options.nodes);
  const found = difference(images, plan.images);
  const name = images.flatMap((image) => image.references.map(readableName)).join(', ') || images.map(({ config }) => config.digest.slice(0, 19)).join(', ');
  view.say(`${name}: ${describe(found)}`);
  const began = clock.monotonic();
  const sent = await uploadAll(found.uploads, {
    client, archive, plan, clock, signal,
    progress: (upload, bytes) => view.progress(short(upload.digest), { bytes, total: upload.size }),
    stateOf: async (upload) => offsetOf(upload, await askPlan(client, images, options.nodes), images),
  });
  for (const { digest, size } of found.uploads) view.done(short(digest), `sent ${formatBytes(size)}`);
  if (found.uploads.length > 0) view.say(`sent ${formatBytes(sent.bytes)} to ${plan.seed}${sent.travelled < sent.bytes ? ` as ${formatBytes(sent.travelled)}` : ''} in ${formatElapsed(clock.monotonic() - began)}`);
  const failed = await commit(options, plan, images);
  return { images: images.flatMap((image) => image.references), nodes: plan.nodes.filter((node) => !failed.some((each) => each.node === node)), layers: found.layers, known: found.known, ...sent, failed };
}

async function askPlan(client: ApiClient, images: readonly PushImage[], nodes: NonNullable<PushRequest['nodes']>): Promise<PushPlan> {
  return await client.json<PushPlan>('POST', '/v1/images/push', { body: { images, nodes } satisfies PushRequest });
}

function offsetOf(upload: Upload, plan: PushPlan, images: readonly PushImage[]): number {
  const still = difference(images, plan.images).uploads.find(({ digest }) => digest === upload.digest);
  return still ? still.offset : upload.size;
}

async function commit({ client, archive, view }: PushOptions, plan: PushPlan, images: readonly PushImage[]): Promise<PushResult['failed']> {
  const body: PushCommit = {
    push: plan.push, seed: plan.seed, nodes: plan.nodes,
    images: archive.images.map((image, at) => ({ references: images[at]?.references ?? [], manifest: finalManifest(image, plan.images[at]?.layers ?? []), config: image.configText })),
  };
  const failed: { node: string; error: string }[] = [];
  const waiting = new Set(plan.nodes);
  for await (const event of client.ask<PushEvent>('/v1/images/commit', body)) {
    switch (event.kind) {
      case 'progress':
        view.progress(event.node, { text: event.message });
        break;
      case 'done':
        waiting.delete(event.node);
        view.done(event.node, `${event.references.map(readableName).join(', ')}${event.bytes > 0 ? ` (${formatBytes(event.bytes)} from other nodes)` : ''}`);
        break;
      case 'failed':
        waiting.delete(event.node);
        failed.push({ node: event.node, error: event.error });
        view.failed(event.node, event.error);
    }
  }
  // The others are not tried when the first one fails.
  if (failed.length === 0 && waiting.size > 0) throw new TsorchError('unavailable', `the master broke off before ${[...waiting].join(', ')} had it`, { hint: 'push again: what is there is not sent again' });
  return failed;
}

function referencesOf(image: LocalImage, { archive, fallback }: PushOptions): readonly string[] {
  const named = image.references.filter((reference) => !reference.startsWith('sha256:'));
  if (named.length > 0) return named;
  // Several images cannot all have the one name that is known.
  return fallback !== null && archive.images.length === 1 && !/^(sha256:)?[0-9a-f]{12,64}$/.test(fallback) ? [normaliseReference(fallback)] : [];
}

function describe({ layers, known, uploads }: Difference): string {
  const bytes = uploads.reduce((sum, { size, offset }) => sum + size - offset, 0);
  const begun = uploads.filter(({ offset }) => offset > 0).length;
  const rest = begun > 0 ? `, ${begun} of the others in part` : '';
  if (uploads.length === 0) return layers === 1 ? 'its layer was there already' : `all ${layers} layers were there already`;
  return `${known} of ${layers} layers were there already${rest}; ${formatBytes(bytes)} to send`;
}

function short(digest: string): string {
  return digest.slice(0, 'sha256:'.length + 12);
}
