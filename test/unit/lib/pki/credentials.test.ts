import { mkdir, mkdtemp, readdir, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { readCredentials, writeCredentials, writeSecret } from '../../../../lib/pki/credentials.ts';

let base: string;
let dir: string;
beforeEach(async () => {
  base = await mkdtemp(join(tmpdir(), 'tsorch-credentials-'));
  dir = join(base, 'deep/dir');
});
afterEach(() => rm(base, { recursive: true, force: true }));

const set = (n: number) => ({ ca: `ca ${n}`, cert: `cert ${n}`, key: `key ${n}` });

it('reads what was written, for its owner alone, and leaves nothing else', async () => {
  expect(await readCredentials(dir)).toBeNull();
  await writeCredentials(dir, set(1));
  await writeCredentials(dir, set(2));
  expect(await readCredentials(dir)).toEqual(set(2));
  expect((await readdir(dir)).toSorted()).toEqual(['ca.pem', 'cert.pem', 'key.pem']);
  for (const file of await readdir(dir)) expect((await stat(join(dir, file))).mode & 0o777).toBe(0o600);
  expect((await stat(dir)).mode & 0o777).toBe(0o700);
});

it('is null when one is missing', async () => {
  await writeCredentials(dir, set(1));
  await rm(join(dir, 'cert.pem'));
  expect(await readCredentials(dir)).toBeNull();
});

it.each([
  ['before anything was moved', []],
  ['after the key was moved', ['key.pem']],
  ['after key and certificate were moved', ['key.pem', 'cert.pem']],
])('a replacement cut short %s is finished by the reader', async (_when, moved) => {
  await writeCredentials(dir, set(1));
  await mkdir(join(dir, '.next'));
  for (const [file, text] of [['key.pem', 'key 2'], ['cert.pem', 'cert 2'], ['ca.pem', 'ca 2']] as const) {
    await writeFile(join(dir, moved.includes(file) ? file : `.next/${file}`), text);
  }
  expect(await readCredentials(dir)).toEqual(set(2));
  expect((await readdir(dir)).toSorted()).toEqual(['ca.pem', 'cert.pem', 'key.pem']);
});

it('a draft cut short does not count and is removed by the next writer', async () => {
  await writeCredentials(dir, set(1));
  await mkdir(join(dir, '.draft-1234'));
  await writeFile(join(dir, '.draft-1234/key.pem'), 'key 2');
  expect(await readCredentials(dir)).toEqual(set(1));
  await writeCredentials(dir, set(3));
  expect(await readdir(dir)).not.toContain('.draft-1234');
  expect(await readCredentials(dir)).toEqual(set(3));
});

it('writeSecret replaces a file and survives what an earlier one has left', async () => {
  const file = join(base, 'secret');
  await writeFile(`${file}.new`, 'half', { mode: 0o644 });
  await writeSecret(file, 'one');
  await writeSecret(file, 'two');
  expect((await stat(file)).mode & 0o777).toBe(0o600);
  expect(await readdir(base)).toEqual(['secret']);
});
