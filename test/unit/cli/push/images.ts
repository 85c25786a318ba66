/** Images of a few bytes, as archives of every kind. */
import { randomBytes } from 'node:crypto';
import { gzipSync, zstdCompressSync } from 'node:zlib';
import { type BuiltImage, digestOf, dockerArchive, ociArchive, tar } from '../../../contract/agent/runtime/busybox.ts';

export { digestOf, dockerArchive, ociArchive, tar };

/** A layer for each text; of many bytes where it says so. */
export async function tinyImage(...files: readonly (string | Buffer)[]): Promise<BuiltImage> {
  const layers = await Promise.all(files.map((data, at) => tar([{ name: `file-${at}`, data }])));
  const config = { architecture: process.arch === 'x64' ? 'amd64' : process.arch, os: 'linux', config: { Cmd: ['sh'] }, rootfs: { type: 'layers', diff_ids: layers.map((layer) => `sha256:${digestOf(layer)}`) } };
  return { config: Buffer.from(JSON.stringify(config)), layers };
}

/** As Docker writes it since version 25: an OCI layout of layers that are not compressed, with manifest.json beside it. */
export async function dockerLayout(image: BuiltImage, tag: string): Promise<Buffer> {
  const whole = await ociArchive(image, null, { gzip: false });
  const extra = await tar([{ name: 'manifest.json', data: JSON.stringify([{ Config: `blobs/sha256/${digestOf(image.config)}`, RepoTags: [tag], Layers: image.layers.map((layer) => `blobs/sha256/${digestOf(layer)}`) }]) }]);
  // Without the two empty blocks at its end.
  return Buffer.concat([whole.subarray(0, whole.length - 1024), extra]);
}

export const incompressible = (bytes: number) => randomBytes(bytes);

export const archives: readonly (readonly [string, (image: BuiltImage, tag: string) => Promise<Buffer>])[] = [
  ['docker save', (image, tag) => dockerArchive(image, [tag])],
  ['docker save of today', dockerLayout],
  ['an OCI layout', (image, tag) => ociArchive(image, tag)],
  ['an OCI layout of plain layers', (image, tag) => ociArchive(image, tag, { gzip: false })],
  ['docker save | gzip', async (image, tag) => gzipSync(await dockerArchive(image, [tag]))],
  ['docker save | zstd', async (image, tag) => zstdCompressSync(await dockerArchive(image, [tag]))],
];
