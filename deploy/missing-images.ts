/** Which node lacks which image. Pure. */
import type { ImageListItem } from '../model/api.ts';
import type { BuiltImage } from './images/build.ts';

export interface MissingImage {
  readonly image: BuiltImage;
  /** Names, in the order given. */
  readonly nodes: readonly string[];
}

/** An image is on a node when the reference means the same content there. References may have a registry in front. */
export function missingImages(images: readonly BuiltImage[], nodes: readonly string[], present: readonly ImageListItem[]): readonly MissingImage[] {
  return images.flatMap((image) => {
    const lacking = nodes.filter((node) => !present.some((item) => item.node === node && item.digest === image.id && item.references.some((reference) => isSame(reference, image.reference))));
    return lacking.length > 0 ? [{ image, nodes: lacking }] : [];
  });
}

function isSame(full: string, reference: string): boolean {
  return full === reference || full.endsWith(`/${reference}`);
}
