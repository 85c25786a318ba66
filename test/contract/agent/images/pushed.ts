/** Test images put straight into a registry of this process. */
import { randomBytes } from 'node:crypto';
import { gzipSync, zstdCompressSync } from 'node:zlib';
import { type Descriptor, mediaTypes, sha256 } from '../../../../lib/oci/manifest.ts';
import type { FakeRegistry } from '../../lib/oci/fake-registry.ts';
import { type BuiltImage, tar } from '../runtime/busybox.ts';

export interface Kinds {
  readonly compression?: 'gzip' | 'zstd' | 'none';
  readonly docker?: boolean;
  /** Put into an index, for this architecture, beside one for another. */
  readonly index?: { readonly architecture: string };
}

export interface Pushed {
  /** Of what the tag names. */
  readonly digest: string;
  readonly manifest: string;
  readonly layers: readonly Descriptor[];
}

export function putImage(registry: FakeRegistry, repository: string, tag: string, image: BuiltImage, { compression = 'gzip', docker = false, index }: Kinds = {}): Pushed {
  const pack = { gzip: gzipSync, zstd: (data: Buffer) => zstdCompressSync(data), none: (data: Buffer) => data }[compression];
  const suffix = compression === 'none' ? '' : docker ? `.${compression}` : `+${compression}`;
  const layers = image.layers.map((layer): Descriptor => {
    const data = pack(layer);
    return { mediaType: `${docker ? mediaTypes.dockerLayer : mediaTypes.layer}${suffix}`, digest: registry.putBlob(data), size: data.length };
  });
  const config = { mediaType: docker ? mediaTypes.dockerConfig : mediaTypes.config, digest: registry.putBlob(image.config), size: image.config.length };
  const mediaType = docker ? mediaTypes.dockerManifest : mediaTypes.manifest;
  const data = Buffer.from(JSON.stringify({ schemaVersion: 2, mediaType, config, layers }));
  const manifest = registry.put(repository, index ? null : tag, mediaType, data);
  if (!index) return { digest: manifest, manifest, layers };
  const indexType = docker ? mediaTypes.dockerIndex : mediaTypes.index;
  const list = { schemaVersion: 2, mediaType: indexType, manifests: [
    { mediaType, digest: sha256('another'), size: 7, platform: { os: 'linux', architecture: 'mips64' } },
    { mediaType, digest: manifest, size: data.length, platform: { os: 'linux', architecture: index.architecture } },
  ] };
  return { digest: registry.put(repository, tag, indexType, Buffer.from(JSON.stringify(list))), manifest, layers };
}

/** An image of so many layers, each a file of so many bytes that do not pack. */
export async function bulkyImage(layers: number, bytes: number, architecture = process.arch === 'x64' ? 'amd64' : process.arch): Promise<BuiltImage> {
  const data = await Promise.all(Array.from({ length: layers }, (_, at) => tar([{ name: `file-${at}`, data: randomBytes(bytes) }])));
  const config = { architecture, os: 'linux', config: { Cmd: ['true'] }, rootfs: { type: 'layers', diff_ids: data.map((layer) => sha256(layer)) } };
  return { config: Buffer.from(JSON.stringify(config)), layers: data };
}
