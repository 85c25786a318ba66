/** Plans of pushes: what has to come from outside, to which node, and which nodes the image is for. Pure. */
import type { PushedLayer, PushImage } from '../../model/api.ts';
import type { BlobDescriptor } from '../../model/image.ts';

export interface KnownBlobs {
  has(digest: string): boolean;
  /** Any blob of the layer with this diff id. */
  layer(diffId: string): BlobDescriptor | null;
}

/** What becomes of each layer. One that some node has need not be sent; one that is stored in another compression will do as well. */
export function planLayers(image: PushImage, known: KnownBlobs): readonly PushedLayer[] {
  return image.layers.map(({ mediaType, digest, size, diffId }): PushedLayer => {
    if (known.has(digest)) return { kind: 'known', blob: { mediaType, digest, size } };
    const other = image.fixed ? null : known.layer(diffId);
    return other ? { kind: 'known', blob: other } : { kind: 'missing', offset: 0 };
  });
}

export interface Candidate {
  readonly id: string;
  readonly blobs: ReadonlySet<string>;
}

/**
 * The node that gets what is missing: the one that has most of the rest. Among equals the push decides, so that an attempt after a
 * broken one goes to the same node, and pushes spread over the nodes. Null without candidates.
 */
export function pickSeed(candidates: readonly Candidate[], blobs: readonly BlobDescriptor[], push: string): string | null {
  let best: { readonly id: string; readonly bytes: number; readonly rank: number } | null = null;
  for (const { id, blobs: own } of candidates) {
    const bytes = blobs.reduce((sum, { digest, size }) => sum + (own.has(digest) ? size : 0), 0);
    const rank = rankOf(`${push} ${id}`);
    if (!best || bytes > best.bytes || (bytes === best.bytes && rank > best.rank)) best = { id, bytes, rank };
  }
  return best?.id ?? null;
}

export interface NeedInput {
  /** Nodes that can get it now, by id. */
  readonly ready: readonly string[];
  /** Those that run, or are about to run, a pod with the image. */
  readonly running: ReadonlySet<string>;
  /** Those that have an image of the same name: it must not mean something else there. */
  readonly named: ReadonlySet<string>;
  readonly push: string;
}

/** An image that nobody uses yet is kept by this many, so that losing a host does not lose it. */
const spare = 2;

/** The nodes an image is for, unless somebody says. */
export function neededNodes({ ready, running, named, push }: NeedInput): readonly string[] {
  const needed = ready.filter((node) => running.has(node) || named.has(node));
  if (needed.length >= Math.min(spare, ready.length)) return needed;
  const others = ready.filter((node) => !needed.includes(node)).toSorted((a, b) => rankOf(`${push} ${b}`) - rankOf(`${push} ${a}`));
  return [...needed, ...others.slice(0, spare - needed.length)];
}

/** FNV-1a: a number that follows from the text, and looks like none. */
function rankOf(text: string): number {
  let hash = 0x811c9dc5;
  for (let at = 0; at < text.length; at++) hash = Math.imul(hash ^ text.charCodeAt(at), 0x01000193) >>> 0;
  // Texts that differ in their last letters only differ in the low bits so far.
  hash = Math.imul(hash ^ (hash >>> 15), 0x2c1b3c6d) >>> 0;
  return (hash ^ (hash >>> 13)) >>> 0;
}
