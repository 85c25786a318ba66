/** Image archives as `docker save` writes them: manifest.json, one configuration, the layers as they are. */
import { createHash } from 'node:crypto';
import { createReadStream, createWriteStream } from 'node:fs';
import { rename } from 'node:fs/promises';
import { arch } from 'node:process';
import { pipeline } from 'node:stream/promises';
import { pack } from 'tar-stream';
import type { ImageDefinition } from './definitions.ts';
import type { Layer } from './layers.ts';

const architectures: Readonly<Record<string, string>> = { x64: 'amd64', arm64: 'arm64' };

/** The image's configuration and its digest, which is the image's id. */
export function imageConfig(definition: ImageDefinition, layers: readonly Layer[]): { readonly json: string; readonly digest: string } {
  const json = JSON.stringify({
    architecture: architectures[arch] ?? arch, os: 'linux', created: '1970-01-01T00:00:00Z', config: definition.config,
    rootfs: { type: 'layers', diff_ids: layers.map((layer) => layer.digest) },
    history: layers.map((layer) => ({ created: '1970-01-01T00:00:00Z', created_by: `tsorch layer ${layer.name}` })),
  });
  return { json, digest: `sha256:${createHash('sha256').update(json).digest('hex')}` };
}

export async function writeArchive(path: string, definition: ImageDefinition, layers: readonly Layer[]): Promise<void> {
  const config = imageConfig(definition, layers);
  const configName = `${config.digest.slice(7)}.json`;
  const layerName = (layer: Layer) => `${layer.digest.slice(7)}/layer.tar`;
  const tar = pack();
  const written = pipeline(tar, createWriteStream(`${path}.new`));
  const mtime = new Date(0);
  tar.entry({ name: 'manifest.json', mtime }, JSON.stringify([{ Config: configName, RepoTags: [`${definition.name}:${definition.tag}`], Layers: layers.map(layerName) }]));
  tar.entry({ name: configName, mtime }, config.json);
  for (const layer of layers) {
    const entry = tar.entry({ name: layerName(layer), size: layer.size, mtime });
    await pipeline(createReadStream(layer.path, { highWaterMark: 1 << 20 }), entry);
  }
  tar.finalize();
  await written;
  await rename(`${path}.new`, path);
}
