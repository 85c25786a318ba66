/** Which images some node lacks. Pure. */
import type { ImageListItem } from '../model/api.ts';
import type { BuiltImage } from './images/build.ts';

/** By an image's id: the digests that nodes have listed it under after it was loaded. */
export type KnownDigests = Readonly<Record<string, readonly string[]>>;

/** An image is on a node when the reference means the same content there. References may have a registry in front. */
export function missingImages(images: readonly BuiltImage[], nodes: readonly string[], present: readonly ImageListItem[], known: KnownDigests): readonly BuiltImage[] {
  return images.filter((image) => nodes.some((node) => !present.some((item) => item.node === node && (item.digest === image.id || known[image.id]?.includes(item.digest) === true) && names(item, image))));
}

/** What the nodes list the images under, for the next time. */
export function digestsOf(images: readonly BuiltImage[], present: readonly ImageListItem[]): KnownDigests {
  return Object.fromEntries(images.map((image) => [image.id, [...new Set(present.filter((item) => names(item, image)).map((item) => item.digest))].toSorted()]));
}

function names(item: ImageListItem, image: BuiltImage): boolean {
  return item.references.some((reference) => isSame(reference, image.reference));
}

function isSame(full: string, reference: string): boolean {
  return full === reference || full.endsWith(`/${reference}`);
}
