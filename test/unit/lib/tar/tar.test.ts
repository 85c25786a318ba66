import { execFileSync } from 'node:child_process';
import fs from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import fc from 'fast-check';
import { pack } from 'tar-stream';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { extractTree } from '../../../../lib/tar/extract.ts';
import { packTree } from '../../../../lib/tar/pack.ts';
import { namesOf, pathTree } from '../../../../lib/tar/tree.ts';

let directory: string;
const signal = new AbortController().signal;
beforeEach(async () => {
  directory = await fs.mkdtemp(path.join(os.tmpdir(), 'tsorch-tar-'));
  for (const name of ['from', 'to', 'outside']) await fs.mkdir(path.join(directory, name));
});
afterEach(() => fs.rm(directory, { recursive: true, force: true }));

const at = (...names: string[]) => path.join(directory, ...names);
const packed = (name: string, as = name) => packTree({ tree: pathTree(at('from')), directory: [], name, as, signal });
const extracted = (archive: AsyncIterable<Uint8Array>, to = 'to') => extractTree(archive, { tree: pathTree(at(to)), owner: () => null });

/** An archive of whatever entries, as somebody might make one on purpose. */
function archiveOf(...entries: (Parameters<ReturnType<typeof pack>['entry']>[0] & { readonly data?: string })[]): AsyncIterable<Uint8Array> {
  const stream = pack();
  for (const { data, ...header } of entries) stream.entry(header, data ?? '');
  stream.finalize();
  return stream as unknown as AsyncIterable<Uint8Array>;
}

describe('there and back', () => {
  test('files, directories, links of both kinds, modes, times, names of any length; tar reads it too', async () => {
    const long = 'x'.repeat(120);
    await fs.mkdir(at('from', 'd', 'deep', long), { recursive: true });
    await fs.writeFile(at('from', 'd', 'a'), 'one');
    await fs.chmod(at('from', 'd', 'a'), 0o4751);
    await fs.link(at('from', 'd', 'a'), at('from', 'd', 'b'));
    await fs.symlink('../nowhere', at('from', 'd', 'link'));
    await fs.writeFile(at('from', 'd', 'deep', long, 'é€😀'), Buffer.alloc(200_000, 7));
    await fs.writeFile(at('from', 'd', 'empty'), '');
    await fs.utimes(at('from', 'd', 'a'), 1_000_000, 1_000_000);
    await fs.utimes(at('from', 'd'), 2_000_000, 2_000_000);
    const result = await extracted(packed('d', 'renamed'));
    expect(result).toEqual({ entries: 8, bytes: 200_003, skipped: [] });
    expect(execFileSync('diff', ['-r', '--no-dereference', at('from', 'd'), at('to', 'renamed')]).toString()).toBe('');
    const [a, b] = await Promise.all(['a', 'b'].map((name) => fs.stat(at('to', 'renamed', name))));
    expect([a!.mode & 0o7777, a!.mtimeMs, a!.ino === b!.ino]).toEqual([0o4751, 1_000_000_000, true]);
    expect((await fs.stat(at('to', 'renamed'))).mtimeMs).toBe(2_000_000_000);
    const parts: Buffer[] = [];
    for await (const part of packed('d')) parts.push(part);
    expect(execFileSync('tar', ['t'], { input: Buffer.concat(parts) }).toString().trimEnd().split('\n')).toHaveLength(8);
  });

  test('a file alone; a directory\'s content alone; over what is there', async () => {
    await fs.writeFile(at('from', 'f'), 'new');
    await fs.writeFile(at('to', 'g'), 'old and longer');
    await extracted(packed('f', 'g'));
    expect(await fs.readFile(at('to', 'g'), 'utf8')).toBe('new');
    await extracted(packTree({ tree: pathTree(at('from')), directory: [], name: '', as: '.', signal }));
    expect((await fs.readdir(at('to'))).sort()).toEqual(['f', 'g']);
  });

  test('any bytes', async () => {
    await fc.assert(fc.asyncProperty(fc.uint8Array({ maxLength: 2000 }), async (data) => {
      await fs.writeFile(at('from', 'f'), data);
      await extracted(packed('f'));
      expect(Buffer.from(data).equals(await fs.readFile(at('to', 'f')))).toBe(true);
    }), { numRuns: 20 });
  });
});

describe('archives that want to lead out', () => {
  test.each<[string, Parameters<typeof archiveOf>]>([
    ['upwards', [{ name: '../outside/x', data: 'x' }]],
    ['upwards from below', [{ name: 'a/../../outside/x', data: 'x' }]],
    ['by a link of their own', [{ name: 'l', type: 'symlink', linkname: '../outside' }, { name: 'l/x', data: 'x' }]],
    ['by an absolute link', [{ name: 'l', type: 'symlink', linkname: '/' }, { name: 'l/tmp/tsorch-escaped', data: 'x' }]],
    ['by a link further down', [{ name: 'd/l', type: 'symlink', linkname: '../../outside' }, { name: 'd/l/x/y', data: 'x' }]],
    ['by a hard link through one', [{ name: 'l', type: 'symlink', linkname: '../outside' }, { name: 'h', type: 'link', linkname: 'l/secret' }]],
    ['by a hard link upwards', [{ name: 'h', type: 'link', linkname: '../outside/secret' }]],
    ['a directory over a link', [{ name: 'l', type: 'symlink', linkname: '../outside' }, { name: 'l', type: 'directory' }, { name: 'l/x', data: 'x' }]],
  ])('%s', async (_, entries) => {
    await fs.writeFile(at('outside', 'secret'), 'secret');
    await expect(extracted(archiveOf(...entries))).rejects.toMatchObject({ code: expect.stringMatching(/^(EINVAL|ELOOP|ENOTDIR|EEXIST)$/) });
    expect(await fs.readdir(at('outside'))).toEqual(['secret']);
    expect(await fs.stat('/tmp/tsorch-escaped').catch(() => null)).toBeNull();
  });

  test('a file over a link replaces the link and not what it leads to', async () => {
    await fs.writeFile(at('outside', 'kept'), 'kept');
    await extracted(archiveOf({ name: 'l', type: 'symlink', linkname: '../outside/kept' }, { name: 'l', data: 'mine' }));
    expect([await fs.readFile(at('outside', 'kept'), 'utf8'), await fs.readFile(at('to', 'l'), 'utf8')]).toEqual(['kept', 'mine']);
  });

  test('absolute names are below the directory', async () => {
    await extracted(archiveOf({ name: '/etc/x', data: 'x' }));
    expect(await fs.readFile(at('to', 'etc', 'x'), 'utf8')).toBe('x');
  });

  test.each(['a\0b', '..', 'a/..'])('the name %j is none', (name) => expect(() => namesOf(name)).toThrow());
});

test('directories and others do not replace one another; what is no archive says so; devices are left out', async () => {
  await fs.mkdir(at('to', 'd'));
  await fs.writeFile(at('to', 'f'), '');
  await expect(extracted(archiveOf({ name: 'd', data: 'x' }))).rejects.toMatchObject({ code: 'EEXIST' });
  await expect(extracted(archiveOf({ name: 'f', type: 'directory' }))).rejects.toMatchObject({ code: 'EEXIST' });
  await expect(extracted((async function* () { yield await Promise.resolve(Buffer.alloc(2000, 'no archive ')); })())).rejects.toMatchObject({ code: 'EINVAL' });
  const whole: Uint8Array[] = [];
  for await (const part of archiveOf({ name: 'x', data: 'y'.repeat(5000) })) whole.push(part);
  await expect(extracted((async function* () { yield await Promise.resolve(Buffer.concat(whole).subarray(0, 2000)); })())).rejects.toMatchObject({ code: 'EINVAL' });
  expect(await extracted(archiveOf({ name: 'null', type: 'character-device', devmajor: 1, devminor: 3 }))).toMatchObject({ entries: 0, skipped: ['null'] });
});
