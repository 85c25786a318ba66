/** Layers: a directory filled from packages, files and a script, as a tar whose bytes depend on its content alone. */
import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { cp, mkdir, mkdtemp, readFile, rename, rm, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { leftOut, type LayerDefinition } from './definitions.ts';
import { fetchPackages, resolvePackages, unpackPackage, type DebianPackage } from './packages.ts';

const run = promisify(execFile);

export interface Layer {
  readonly name: string;
  /** Path of the tar. */
  readonly path: string;
  /** `sha256:…` of the tar: for an uncompressed layer digest and diff id are the same. */
  readonly digest: string;
  readonly size: number;
}

export interface LayerContext {
  readonly cache: string;
  /** The repository's root. */
  readonly root: string;
  readonly say: (message: string) => void;
}

/** Builds the layers of an image in order. A package is unpacked in the first layer that needs it. */
export async function buildLayers(definitions: readonly LayerDefinition[], context: LayerContext): Promise<Layer[]> {
  const layers: Layer[] = [];
  const below = new Set<string>();
  for (const definition of definitions) {
    const all = definition.packages ? await resolveOnce(definition.packages, context) : [];
    const own = all.filter(({ file }) => !below.has(file));
    for (const { file } of own) below.add(file);
    layers.push(await buildLayer(definition, own, context));
  }
  return layers;
}

/** Images share layers: what one needs is asked of apt once. */
const resolved = new Map<string, Promise<DebianPackage[]>>();

function resolveOnce(names: readonly string[], context: LayerContext): Promise<DebianPackage[]> {
  const key = [context.cache, ...names].join(' ');
  const known = resolved.get(key) ?? resolvePackages(names, leftOut, context.cache);
  resolved.set(key, known);
  return known;
}

async function buildLayer(definition: LayerDefinition, packages: readonly DebianPackage[], context: LayerContext): Promise<Layer> {
  const hash = createHash('sha256').update(JSON.stringify({ format: 3, definition, files: packages.map(({ file }) => file) }));
  for (const source of Object.values(definition.files ?? {})) hash.update(await readFile(join(context.root, source)));
  const path = join(context.cache, 'layers', `${definition.name}-${hash.digest('hex').slice(0, 24)}.tar`);
  if (!(await exists(path))) {
    context.say(`layer ${definition.name}: ${packages.length} packages`);
    await makeTar(definition, packages, path, context);
  }
  return { name: definition.name, path, digest: await digestOf(path), size: (await stat(path)).size };
}

async function makeTar(definition: LayerDefinition, packages: readonly DebianPackage[], path: string, context: LayerContext): Promise<void> {
  await mkdir(dirname(path), { recursive: true });
  const work = await mkdtemp(join(context.cache, 'work-'));
  try {
    const root = join(work, 'root');
    await mkdir(root);
    // One /usr, as Debian has it: packages that still ship /lib land in /usr/lib through these links.
    await run('sh', ['-c', 'mkdir -p usr/bin usr/sbin usr/lib usr/lib64; for d in bin sbin lib lib64; do ln -s usr/$d $d; done'], { cwd: root });
    for (const deb of await fetchPackages(packages, context.cache)) await unpackPackage(deb, root);
    await run('sh', ['-c', 'rm -rf usr/share/doc usr/share/man usr/share/locale usr/share/lintian usr/share/bug usr/share/info'], { cwd: root });
    for (const [target, source] of Object.entries(definition.files ?? {})) {
      await mkdir(dirname(join(root, target)), { recursive: true });
      await cp(join(context.root, source), join(root, target));
    }
    for (const command of definition.script ?? []) await run('sh', ['-euc', command], { cwd: root });
    const tar = join(work, 'layer.tar');
    await run('tar', ['--sort=name', '--mtime=@0', '--numeric-owner', '--format=gnu', '-C', root, '-cf', tar, '.']);
    await rename(tar, path);
  } finally {
    await rm(work, { recursive: true, force: true });
  }
}

async function digestOf(path: string): Promise<string> {
  const hash = createHash('sha256');
  for await (const chunk of createReadStream(path, { highWaterMark: 1 << 20 })) hash.update(chunk as Buffer);
  return `sha256:${hash.digest('hex')}`;
}

async function exists(path: string): Promise<boolean> {
  return stat(path).then(() => true, () => false);
}
