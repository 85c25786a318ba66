/** On real files: what editors and half-done writes leave, and what changes of them come to. */
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { DirectorySource } from '../../../../agent/manifests/directory.ts';
import { FakeClock, systemClock } from '../../../../lib/clock.ts';
import { silentLog } from '../../../../lib/log.ts';

const one = (image: string) => `services: {web: {image: '${image}'}}\n`;
let directory: string;
let over: AbortController;
let source: DirectorySource;
let changes: number;

beforeEach(() => {
  directory = fs.mkdtempSync(path.join(os.tmpdir(), 'tsorch-manifests-'));
  over = new AbortController();
  changes = 0;
});
afterEach(async () => {
  over.abort();
  await source?.done;
  fs.rmSync(directory, { recursive: true, force: true });
});

const file = (name: string) => path.join(directory, name);
/** Settled long ago. */
function put(name: string, content: string, at = Date.now() - 60_000): void {
  fs.writeFileSync(file(name), content);
  fs.utimesSync(file(name), at / 1000, at / 1000);
}

function open(options: { readonly intervalMs?: number; readonly settleMs?: number } = {}): DirectorySource {
  source = new DirectorySource({ directory, intervalMs: options.intervalMs ?? 60_000, settleMs: options.settleMs ?? 30, env: { HOSTNAME: 'edge-1' }, clock: systemClock, log: silentLog, signal: over.signal });
  source.onChange(() => changes++);
  return source;
}

async function until(what: () => boolean): Promise<void> {
  const end = performance.now() + 10_000;
  while (!what()) {
    if (performance.now() > end) throw new Error(`it did not come to be: ${what.toString()}; ${JSON.stringify(source.content)}`);
    await systemClock.sleep(5);
  }
}

/** `web=app:1`, or what is wrong. */
const seen = () => (source.content?.entries ?? []).flatMap((entry) =>
  ('specs' in entry ? entry.specs.map((spec) => `${spec.name}=${spec.services['web']?.template.containers[0]?.image}`) : [entry.problem]));

test('what lies there is loaded: files, directories with their .env, several stacks in one file', async () => {
  put('web.yml', one('app:1'));
  put('two.yml', `name: a\n${one('a:1')}---\nname: b\n${one('b:1')}`);
  put('.env', 'TAG=7\n');
  put('tagged.yml', one('app:${TAG}-${HOSTNAME}'));
  fs.mkdirSync(file('shop'));
  put('shop/compose.yml', one('shop:${SIZE}'));
  put('shop/.env', 'SIZE=big\n');
  open();
  await until(() => source.content !== undefined);
  expect(seen()).toEqual(['shop=shop:big', 'tagged=app:7-edge-1', 'a=a:1', 'b=b:1', 'web=app:1']);
});

test('changes are followed: of a file, of one it names, of one that is put in its place, and its end', async () => {
  put('web.yml', `${one('app:1').trim()}\nconfigs: {c: {file: ./c.txt}}\n`);
  put('c.txt', 'one');
  open();
  await until(() => seen().join() === 'web=app:1');
  fs.writeFileSync(file('web.yml'), `${one('app:2').trim()}\nconfigs: {c: {file: ./c.txt}}\n`);
  await until(() => seen().join() === 'web=app:2');
  const digest = () => source.content?.entries?.flatMap((entry) => ('specs' in entry ? entry.specs : []))[0]?.configs['c']?.digest;
  const before = digest();
  fs.writeFileSync(file('c.txt'), 'two');
  await until(() => digest() !== before);
  fs.writeFileSync(file('.web.yml.new'), one('app:3'));
  fs.renameSync(file('.web.yml.new'), file('web.yml'));
  await until(() => seen().join() === 'web=app:3');
  fs.rmSync(file('web.yml'));
  await until(() => source.content?.entries?.length === 0);
});

test('what does not load is told with its place, and alone', async () => {
  put('bad.yml', 'services:\n  web:\n    imagee: app\n');
  put('good.yml', one('app:1'));
  open();
  await until(() => source.content !== undefined);
  expect(seen()).toEqual([expect.stringMatching(/bad\.yml:3:5: error: services\.web\.imagee: /), 'good=app:1']);
});

/** A source whose time stands still until it is turned, and how often it has looked. */
function still(): { readonly clock: FakeClock; readonly looks: () => number; readonly write: (name: string, content: string) => Promise<void>; readonly look: (work: () => void) => Promise<void> } {
  const clock = new FakeClock();
  let looks = 0;
  source = new DirectorySource({ directory, intervalMs: 60_000, settleMs: 100, env: {}, clock, log: silentLog, signal: over.signal });
  source.onChange(() => changes++);
  source.onArchives(() => looks++);
  const look = async (work: () => void) => {
    const before = looks;
    work();
    // The kernel tells of it, and it sleeps again.
    await until(() => looks > before && clock.sleeping > 0);
  };
  return { clock, looks: () => looks, look, write: (name, content) => look(() => put(name, content, clock.now())) };
}

test('a file that is being written is left alone until it has come to rest', async () => {
  const clockNow = new FakeClock().now();
  put('web.yml', one('app:1'), clockNow - 60_000);
  const { clock, write } = still();
  await until(() => seen().join() === 'web=app:1');
  // Each piece is a stack of its own that loads, and none of them is meant.
  for (const content of ['services:\n', 'services:\n  web: {image: half}\n', 'services:\n  web: {image: half}\n  db: {image: db}\n']) {
    await write('web.yml', content);
    await clock.advance(60);
    expect(seen()).toEqual(['web=app:1']);
  }
  await clock.advance(60);
  await until(() => seen().join() === 'web=half');
  expect(changes).toBe(2);
});

test('a file that is renamed away for a moment is not gone', async () => {
  put('web.yml', one('app:1'), new FakeClock().now() - 60_000);
  const { clock, look } = still();
  await until(() => seen().join() === 'web=app:1');
  await look(() => fs.renameSync(file('web.yml'), file('web.yml~')));
  await clock.advance(60);
  await look(() => fs.renameSync(file('web.yml~'), file('web.yml')));
  await clock.advance(500);
  expect(seen()).toEqual(['web=app:1']);
  await look(() => fs.rmSync(file('web.yml')));
  expect(seen()).toEqual(['web=app:1']);
  await clock.advance(100);
  await until(() => source.content?.entries?.length === 0);
});

test('what is not changed is not loaded again', async () => {
  for (let i = 0; i < 20; i++) put(`s${i}.yml`, one(`app:${i}`));
  open({ intervalMs: 20 });
  await until(() => source.content !== undefined);
  const entries = new Map(source.content?.entries?.map((entry) => [entry.origin, entry]));
  put('s3.yml', one('other'));
  await until(() => seen().includes('s3=other'));
  for (const entry of source.content?.entries ?? []) if (!entry.origin.endsWith('s3.yml')) expect(entries.get(entry.origin)).toBe(entry);
});

test('a directory that is not there keeps everything, and is found when it comes', async () => {
  fs.rmdirSync(directory);
  open({ intervalMs: 30 });
  await until(() => source.content !== undefined);
  expect(source.content).toEqual({ source: 'directory', entries: null, problem: `${directory}: there is no such directory` });
  fs.mkdirSync(directory);
  put('web.yml', one('app:1'));
  await until(() => seen().join() === 'web=app:1');
  fs.renameSync(directory, `${directory}-away`);
  await until(() => source.content?.entries === null);
  fs.renameSync(`${directory}-away`, directory);
  await until(() => seen().join() === 'web=app:1');
});

test('links are followed, also when they are pointed elsewhere', async () => {
  fs.mkdirSync(file('.v1'));
  fs.mkdirSync(file('.v2'));
  put('.v1/web.yml', one('app:1'));
  put('.v2/web.yml', one('app:2'));
  fs.symlinkSync('.v1', file('.data'));
  fs.symlinkSync('.data/web.yml', file('web.yml'));
  open();
  await until(() => seen().join() === 'web=app:1');
  fs.symlinkSync('.v2', file('.next'));
  fs.renameSync(file('.next'), file('.data'));
  await until(() => seen().join() === 'web=app:2');
});

test('image archives are told of once they are whole', async () => {
  const archives: string[] = [];
  put('a.tar', 'whole', new FakeClock().now() - 60_000);
  const { clock, write } = still();
  source.onArchives((files) => archives.splice(0, archives.length, ...files.map((name) => path.basename(name))));
  await until(() => archives.join() === 'a.tar');
  await write('b.tar', 'being copied');
  expect(archives).toEqual(['a.tar']);
  await clock.advance(100);
  await until(() => archives.join() === 'a.tar,b.tar');
});
