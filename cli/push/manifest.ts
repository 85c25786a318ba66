/** From an archive's image and the master's plan to what is sent and what is said. Pure but for the digest. */
import { mediaTypes } from '../../lib/oci/manifest.ts';
import type { PushedLayer, PushImage } from '../../model/api.ts';
import { TsorchError } from '../../model/errors.ts';
import type { LocalImage } from './archive.ts';

/** What the master is told of it. */
export function pushImage(image: LocalImage, references: readonly string[]): PushImage {
  const { config, layers } = image.manifest;
  const described = layers.map(({ mediaType, digest, size }, at) => ({ mediaType, digest, size, diffId: image.diffIds[at] ?? '' }));
  return {
    references,
    config: { mediaType: config.mediaType, digest: config.digest, size: config.size },
    layers: described,
    // Layers that are stored as they are unpacked were written by an export: no registry knows the manifest, so any other will do.
    fixed: !image.made && described.some(({ digest, diffId }) => digest !== diffId),
  };
}

export interface Upload {
  readonly digest: string;
  readonly size: number;
  readonly offset: number;
  /** It is compressed as it is. */
  readonly packed: boolean;
}

export interface Difference {
  /** Each blob once, however many images have it. */
  readonly uploads: readonly Upload[];
  /** Of all images' layers, each counted once. */
  readonly layers: number;
  readonly known: number;
}

export function difference(images: readonly PushImage[], plan: readonly { readonly layers: readonly PushedLayer[] }[]): Difference {
  const uploads = new Map<string, Upload>();
  const all = new Set<string>();
  for (const [at, { layers }] of images.entries()) {
    for (const [index, { mediaType, digest, size }] of layers.entries()) {
      const planned = plan[at]?.layers[index];
      if (!planned) throw new TsorchError('internal', 'the master has planned for other images');
      all.add(digest);
      if (planned.kind === 'missing') uploads.set(digest, { digest, size, offset: planned.offset, packed: /[+.](gzip|zstd)$/.test(mediaType) });
    }
  }
  return { uploads: [...uploads.values()], layers: all.size, known: all.size - uploads.size };
}

/** The manifest that the nodes get: the archive's own, unless some layer is there in another compression. */
export function finalManifest(image: LocalImage, planned: readonly PushedLayer[]): string {
  const { config, layers } = image.manifest;
  const taken = layers.map((layer, at) => {
    const each = planned[at];
    return each?.kind === 'known' ? each.blob : layer;
  });
  if (taken.every(({ digest }, at) => digest === layers[at]?.digest)) return image.manifestText;
  const describe = ({ mediaType, digest, size }: { readonly mediaType: string; readonly digest: string; readonly size: number }) => ({ mediaType, digest, size });
  return JSON.stringify({ schemaVersion: 2, mediaType: mediaTypes.manifest, config: describe(config), layers: taken.map(describe) });
}
