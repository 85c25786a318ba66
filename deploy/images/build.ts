/**
 * Builds the example's images from Debian packages and the repository's own files: no registry, no container engine.
 *
 *     node deploy/images/build.ts --out DIR [--cache DIR] [name…]
 *
 * Writes `<name>.tar` per image, as `docker save` does; what is already there and current is left alone. The last line of its output is
 * JSON: `{ images: [{ reference, id, path, fresh }] }`.
 */
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { describeError, TsorchError } from '../../model/errors.ts';
import { imageConfig, writeArchive } from './archive.ts';
import { images } from './definitions.ts';
import { buildLayers } from './layers.ts';

export interface BuiltImage {
  readonly reference: string;
  /** The configuration's digest. */
  readonly id: string;
  readonly path: string;
  /** Written now, not found. */
  readonly fresh: boolean;
}

export async function buildImages(options: { out: string; cache: string; names: readonly string[]; say: (message: string) => void }): Promise<BuiltImage[]> {
  const unknown = options.names.filter((name) => !images.some((image) => image.name === name));
  if (unknown.length > 0) throw new TsorchError('not-found', `there is no image ${unknown.join(', ')}`, { hint: `known: ${images.map((image) => image.name).join(', ')}` });
  await mkdir(options.out, { recursive: true });
  const root = resolve(import.meta.dirname, '../..');
  const built: BuiltImage[] = [];
  for (const definition of images) {
    if (options.names.length > 0 && !options.names.includes(definition.name)) continue;
    const reference = `${definition.name}:${definition.tag}`;
    const layers = await buildLayers(definition.layers, { cache: options.cache, root, say: options.say });
    const { digest } = imageConfig(definition, layers);
    const path = join(options.out, `${definition.name}.tar`);
    const stamp = `${path}.id`;
    const fresh = (await readFile(stamp, 'utf8').catch(() => '')) !== digest;
    if (fresh) {
      await writeArchive(path, definition, layers);
      await writeFile(stamp, digest);
    }
    const megabytes = Math.round(layers.reduce((sum, layer) => sum + layer.size, 0) / 1e6);
    options.say(`image ${reference}: ${fresh ? 'built' : 'up to date'}, ${megabytes} MB`);
    built.push({ reference, id: digest, path, fresh });
  }
  return built;
}

if (import.meta.main) {
  const { values, positionals } = parseArgs({ options: { out: { type: 'string' }, cache: { type: 'string', default: '/var/cache/tsorch/images' } }, allowPositionals: true });
  if (values.out === undefined) {
    process.stderr.write('usage: node deploy/images/build.ts --out DIR [--cache DIR] [name…]\n');
    process.exit(2);
  }
  try {
    const built = await buildImages({ out: resolve(values.out), cache: resolve(values.cache), names: positionals, say: (message) => process.stderr.write(`${message}\n`) });
    process.stdout.write(`${JSON.stringify({ images: built })}\n`);
  } catch (error) {
    process.stderr.write(`tsorch: ${describeError(error)}\n`);
    process.exit(1);
  }
}
