/** Manifests and indexes, of the OCI and of Docker. Pure. */
import { createHash } from 'node:crypto';
import { TsorchError } from '../../model/errors.ts';
import { distance, formatPlatform, type Platform } from './platform.ts';

export const mediaTypes = {
  manifest: 'application/vnd.oci.image.manifest.v1+json',
  index: 'application/vnd.oci.image.index.v1+json',
  config: 'application/vnd.oci.image.config.v1+json',
  dockerManifest: 'application/vnd.docker.distribution.manifest.v2+json',
  dockerIndex: 'application/vnd.docker.distribution.manifest.list.v2+json',
  dockerConfig: 'application/vnd.docker.container.image.v1+json',
  layer: 'application/vnd.oci.image.layer.v1.tar',
  dockerLayer: 'application/vnd.docker.image.rootfs.diff.tar',
} as const;

export interface Descriptor {
  readonly mediaType: string;
  /** `sha256:<hex>` */
  readonly digest: string;
  readonly size: number;
  readonly annotations?: Readonly<Record<string, string>>;
  readonly platform?: Partial<Platform>;
}

export interface Manifest {
  readonly config: Descriptor;
  readonly layers: readonly Descriptor[];
}

export function sha256(data: Uint8Array | string): string {
  return `sha256:${createHash('sha256').update(data).digest('hex')}`;
}

export function isIndex({ mediaType }: Pick<Descriptor, 'mediaType'>): boolean {
  return mediaType === mediaTypes.index || mediaType === mediaTypes.dockerIndex;
}

/** `what` names the document in errors. Throws `invalid`. */
export function parseManifest(data: Uint8Array, what: string): Manifest {
  const value = parseJson(data, what) as Partial<Manifest> | null;
  if (!isDescriptor(value?.config) || !Array.isArray(value.layers) || !value.layers.every(isDescriptor)) {
    throw new TsorchError('invalid', `${what} is not an image manifest: config or layers are missing or malformed`);
  }
  return { config: value.config, layers: value.layers };
}

export function parseIndex(data: Uint8Array, what: string): readonly Descriptor[] {
  const value = parseJson(data, what) as { readonly manifests?: unknown } | null;
  if (!Array.isArray(value?.manifests) || !value.manifests.every(isDescriptor)) throw new TsorchError('invalid', `${what} is not an image index: manifests are missing or malformed`);
  return value.manifests;
}

/** The manifest that runs best on a platform; one that names none fits all. Throws `unsupported` when there is no such image. */
export function choosePlatform(manifests: readonly Descriptor[], host: Platform, what: string): Descriptor {
  let best: { readonly manifest: Descriptor; readonly distance: number } | undefined;
  for (const manifest of manifests) {
    // Attestations and the like are listed as of an unknown platform.
    const away = manifest.platform === undefined ? Number.MAX_SAFE_INTEGER : distance(host, manifest.platform);
    if (away !== null && (best === undefined || away < best.distance)) best = { manifest, distance: away };
  }
  if (best) return best.manifest;
  throw new TsorchError('unsupported', `${what} has no image for ${formatPlatform(host)}, only for ${platformNames(manifests).join(', ') || 'nothing'}`);
}

/** Of what an index has images, as people write it. */
export function platformNames(manifests: readonly Descriptor[]): readonly string[] {
  const names = manifests.flatMap(({ platform }) =>
    platform?.architecture === undefined || platform.architecture === 'unknown' ? [] : [formatPlatform({ ...platform, os: platform.os ?? 'linux', architecture: platform.architecture })]);
  return [...new Set(names)];
}

export function parseJson(data: Uint8Array, what: string): unknown {
  try {
    return JSON.parse(Buffer.from(data.buffer, data.byteOffset, data.byteLength).toString('utf8'));
  } catch (cause) {
    throw new TsorchError('invalid', `${what} is not JSON`, { cause });
  }
}

function isDescriptor(value: unknown): value is Descriptor {
  const descriptor = value as Partial<Descriptor> | null | undefined;
  return typeof descriptor?.digest === 'string' && /^sha256:[0-9a-f]{64}$/.test(descriptor.digest) && Number.isSafeInteger(descriptor.size) && Number(descriptor.size) >= 0 && typeof descriptor.mediaType === 'string';
}
