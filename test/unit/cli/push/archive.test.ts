import { mkdtemp, open, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type LocalArchive, openArchive } from '../../../../cli/push/archive.ts';
import { platformOf } from '../../../../lib/oci/platform.ts';
import { archives, digestOf, dockerArchive, incompressible, ociArchive, tar, tinyImage } from './images.ts';

let directory: string;
let temporary: string;
const opened: LocalArchive[] = [];
const { signal } = new AbortController();
const platform = platformOf(process.arch);

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'ts-archive-'));
  temporary = await mkdtemp(join(tmpdir(), 'ts-spool-'));
});
afterEach(async () => {
  for (const archive of opened.splice(0)) await archive.close();
  for (const each of [directory, temporary]) await rm(each, { recursive: true, force: true });
});

async function fromFile(data: Uint8Array): Promise<LocalArchive> {
  const path = join(directory, 'image.tar');
  await writeFile(path, data);
  const file = await open(path);
  return keep(await openArchive({ data: file.createReadStream({ autoClose: false, start: 0 }), file, platform, temporary, signal }));
}

async function fromPipe(data: Uint8Array, options: { readonly signal?: AbortSignal; readonly progress?: (bytes: number) => void } = {}): Promise<LocalArchive> {
  const pieces = async function* () {
    for (let at = 0; at < data.length; at += 10_007) yield data.subarray(at, at + 10_007);
  };
  return keep(await openArchive({ data: pieces(), file: null, platform, temporary, signal, ...options }));
}

function keep(archive: LocalArchive): LocalArchive {
  opened.push(archive);
  return archive;
}

async function read(archive: LocalArchive, digest: string, offset = 0): Promise<Buffer> {
  const parts: Uint8Array[] = [];
  for await (const part of archive.read(digest, offset)) parts.push(part);
  return Buffer.concat(parts);
}

describe.each(archives)('%s', (_kind, make) => {
  it.each([['a file', fromFile], ['a pipe', fromPipe]] as const)('from %s', async (_from, from) => {
    const image = await tinyImage('one', incompressible(2_500_000), 'three');
    const archive = await from(await make(image, 'vote:1'));
    const [found] = archive.images;
    expect(archive.images).toHaveLength(1);
    expect(found?.references).toEqual(['docker.io/library/vote:1']);
    expect(found?.diffIds).toEqual(image.layers.map((layer) => `sha256:${digestOf(layer)}`));
    expect(found?.configText).toBe(image.config.toString());
    for (const [at, { digest, size, mediaType }] of (found?.manifest.layers ?? []).entries()) {
      const blob = await read(archive, digest);
      expect(blob.length).toBe(size);
      expect(`sha256:${digestOf(blob)}`).toBe(digest);
      expect((mediaType.endsWith('+gzip') ? gunzipSync(blob) : blob).equals(image.layers[at] as Buffer)).toBe(true);
      expect((await read(archive, digest, 100)).equals(blob.subarray(100))).toBe(true);
      expect((await read(archive, digest, size)).length).toBe(0);
    }
    // Whatever lies there for the time being has no name, so nothing can stay behind.
    expect(await readdir(temporary)).toEqual([]);
  });
});

it('says what it is made of, and whether its manifest is one of its own', async () => {
  const image = await tinyImage('one');
  expect((await fromFile(await dockerArchive(image, ['a:1', 'b:2']))).images[0]).toMatchObject({ references: ['docker.io/library/a:1', 'docker.io/library/b:2'], made: true });
  expect((await fromFile(await ociArchive(image, 'a:1'))).images[0]).toMatchObject({ references: ['docker.io/library/a:1'], made: false });
  expect((await fromFile(await dockerArchive(image, null))).images[0]?.references[0]).toMatch(/^sha256:/);
});

it('tells how far it has read', async () => {
  const seen: number[] = [];
  const data = await dockerArchive(await tinyImage(incompressible(100_000)), ['a:1']);
  await fromPipe(data, { progress: (bytes) => seen.push(bytes) });
  expect(seen).toEqual(seen.toSorted((a, b) => a - b));
  expect(seen.at(-1)).toBe(data.length);
});

it.each<[string, () => Promise<Uint8Array>, string]>([
  ['no archive', async () => Buffer.alloc(5000, 7), 'cannot be read'],
  ['nothing', async () => Buffer.alloc(0), 'holds no image'],
  ['an archive of something else', () => tar([{ name: 'readme.txt', data: 'hello' }]), 'holds no image'],
  ['one that is cut off', async () => (await dockerArchive(await tinyImage(incompressible(50_000)), ['a:1'])).subarray(0, 30_000), 'cannot be read'],
  ['one with a damaged layer', async () => ociArchive(await tinyImage('one', 'two'), 'a:1', { corrupt: true }), 'is corrupt'],
])('refuses %s', async (_what, make, message) => {
  const data = await make();
  for (const from of [fromFile, fromPipe]) await expect(from(data)).rejects.toMatchObject({ code: 'invalid', message: expect.stringContaining(message) });
  expect(await readdir(temporary)).toEqual([]);
});

it('says what to do when there is nowhere to keep a pipe', async () => {
  await rm(temporary, { recursive: true });
  await expect(fromPipe(await dockerArchive(await tinyImage('x'), ['a:1']))).rejects.toMatchObject({ code: 'unavailable', hint: expect.stringContaining('TMPDIR') });
});

it('ends when it is told to', async () => {
  const over = new AbortController();
  over.abort();
  await expect(fromPipe(await dockerArchive(await tinyImage('x'), ['a:1']), { signal: over.signal })).rejects.toMatchObject({ code: 'aborted' });
});
