/** What there is among layers, and what of it can be unpacked. Pure. */
import { type Descriptor, mediaTypes } from '../../lib/oci/manifest.ts';
import { TsorchError } from '../../model/errors.ts';

const plain = /^application\/vnd\.(?:oci\.image\.layer\.v1|docker\.image\.rootfs\.diff)\.tar(?:[+.](gzip|zstd))?$/;
const foreign = /nondistributable|rootfs\.foreign/;
const configs: ReadonlySet<string> = new Set([mediaTypes.config, mediaTypes.dockerConfig, 'application/octet-stream']);

/** Throws `unsupported` for what is no image that can run here, `what` being its name. */
export function checkParts(config: Descriptor, layers: readonly Descriptor[], what: string): void {
  if (!configs.has(config.mediaType)) throw new TsorchError('unsupported', `${what} is not an image of a container, but ${config.mediaType}`);
  for (const { mediaType, digest } of layers) {
    if (foreign.test(mediaType)) throw new TsorchError('unsupported', `${what} has a layer that registries may not give out (${mediaType}), as images of Windows do: ${digest}`);
    if (!plain.test(mediaType)) throw new TsorchError('unsupported', `${what} has a layer of a kind that is not known here (${mediaType}): ${digest}`);
  }
}

/** The layer as containerd is told of it: it knows the OCI's names of all kinds, and not all of Docker's. */
export function forUnpacking(layer: Descriptor): Pick<Descriptor, 'mediaType' | 'digest' | 'size'> {
  const [whole, compression] = plain.exec(layer.mediaType) ?? [];
  const mediaType = whole === undefined ? layer.mediaType : `${mediaTypes.layer}${compression === undefined ? '' : `+${compression}`}`;
  return { mediaType, digest: layer.digest, size: layer.size };
}

/** About how many bytes the layers take on disk, packed and unpacked: programs and texts pack to a third or so. */
export function roomFor(layers: readonly Descriptor[]): number {
  return layers.reduce((sum, layer) => sum + layer.size * (plain.exec(layer.mediaType)?.[1] === undefined ? 2 : 4), 0);
}
