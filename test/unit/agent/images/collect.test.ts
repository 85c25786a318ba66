import fs from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { type CollectPolicy, type DiskSpace, imagesToCollect, isDangling, isShort, reserveOf } from '../../../../agent/images/collect.ts';
import { ImageCollector, type UsedImage } from '../../../../agent/images/collector.ts';
import type { ImageRecord } from '../../../../agent/runtime/port.ts';
import { FakeClock } from '../../../../lib/clock.ts';
import { silentLog } from '../../../../lib/log.ts';

const day = 86_400_000;
const policy: CollectPolicy = { high: 0.85, low: 0.8, minAgeMs: 120_000, maxAgeMs: 30 * day };
const digest = (letter: string) => `sha256:${letter.repeat(64)}`;
const image = (letter: string, size: number, more: Partial<ImageRecord> = {}): ImageRecord => ({ references: [`r.test/${letter}:1`, `r.test/${letter}@${digest(letter)}`], digest: digest(letter), size, from: 'registry', since: 0, ...more });

describe('what goes', () => {
  const now = 100 * day;
  const names = (images: readonly ImageRecord[], used: string, ages: Readonly<Record<string, number>>, disk: DiskSpace, need = 0) =>
    imagesToCollect({ images, isUsed: (each) => used.includes(each.digest.slice(7, 8)), lastUsed: (each) => now - (ages[each.digest.slice(7, 8)] ?? 0), now, disk, need, policy }).map((each) => each.digest.slice(7, 8)).join('');
  const all = [image('a', 10), image('b', 10), image('c', 10), image('d', 10, { from: 'archive' })];
  const old = { a: 3 * day, b: 2 * day, c: day, d: 3 * day };
  const { from: _unknown, ...anyhow } = image('e', 10);
  test.each<[string, string, readonly ImageRecord[], string, Readonly<Record<string, number>>, DiskSpace, number]>([
    ['nothing while there is room', '', all, '', old, { capacity: 1000, available: 160 }, 0],
    ['nothing up to the high mark', '', all, '', old, { capacity: 1000, available: 150 }, 0],
    ['the longest unused first, until the low mark', 'a', all, '', old, { capacity: 100, available: 14 }, 0],
    ['more when that is not enough', 'abc', all, '', old, { capacity: 1000, available: 100 }, 0],
    ['nothing in use', 'b', all, 'a', old, { capacity: 100, available: 14 }, 0],
    ['nothing just used', 'c', all, '', { a: 1000, b: 119_999, c: 120_000, d: 3 * day }, { capacity: 1000, available: 0 }, 0],
    ['nothing that was loaded or is of unknown origin', '', [all[3] as ImageRecord, anyhow], '', { d: 90 * day, e: 90 * day }, { capacity: 1000, available: 0 }, 0],
    ['what is unused for a month, however much room there is', 'a', all, '', { ...old, a: 30 * day }, { capacity: 1000, available: 900 }, 0],
    ['for what is to come', 'ab', all, '', old, { capacity: 100, available: 20 }, 15],
  ])('%s', (_, expected, images, used, ages, disk, need) => expect(names(images, used, ages, disk, need)).toBe(expected));

  test('never what is used, young or not from a registry; and no more than it takes', () => {
    const one = fc.record({ letter: fc.constantFrom('a', 'b', 'c', 'd', 'e', 'f', 'g', 'h'), size: fc.integer({ min: 1, max: 50 }), age: fc.integer({ min: 0, max: 60 * day }), used: fc.boolean(), from: fc.constantFrom('registry' as const, 'archive' as const) });
    fc.assert(fc.property(fc.uniqueArray(one, { selector: ({ letter }) => letter }), fc.integer({ min: 0, max: 1000 }), (found, available) => {
      const of = new Map(found.map((each) => [digest(each.letter), each]));
      const disk = { capacity: 1000, available };
      const going = imagesToCollect({ images: found.map(({ letter, size, from }) => image(letter, size, { from })), isUsed: (each) => of.get(each.digest)?.used === true, lastUsed: (each) => now - (of.get(each.digest)?.age ?? 0), now, disk, policy });
      const free = going.slice(0, -1).reduce((sum, { size }) => sum + size, available);
      return going.every(({ digest: each, from }) => {
        const { used = true, age = 0 } = of.get(each) ?? {};
        return !used && age >= policy.minAgeMs && from === 'registry';
      }) && (going.every((each) => (of.get(each.digest)?.age ?? 0) >= policy.maxAgeMs) || free < 200);
    }));
  });

  test('names', () => {
    expect([['r/a@sha256:1'], ['sha256:1'], ['r/a:1', 'r/a@sha256:1'], []].map((references) => isDangling({ references, digest: 'd', size: 1 }))).toEqual([true, true, false, true]);
  });
  test('short of disk, and well again', () => {
    const gb = 2 ** 30;
    expect([isShort({ capacity: 100 * gb, available: 8 * gb }, false), isShort({ capacity: 100 * gb, available: 8 * gb - 1 }, false), isShort({ capacity: 100 * gb, available: 9 * gb }, true), isShort({ capacity: 100 * gb, available: 10 * gb }, true)]).toEqual([false, true, true, false]);
    expect(isShort({ capacity: 1000, available: 99 }, false)).toBe(true);
    expect([reserveOf({ capacity: 1000, available: 0 }), reserveOf({ capacity: 1000 * gb, available: 0 })]).toEqual([50, 4 * gb]);
  });
});

describe('a host that collects', () => {
  let directory: string;
  let over: AbortController;
  let clock: FakeClock;
  let here: ImageRecord[];
  let used: UsedImage[];
  let disk: DiskSpace;
  let changes: number;
  const removed: string[] = [];
  beforeEach(async () => {
    directory = await fs.mkdtemp(path.join(os.tmpdir(), 'tsorch-collect-'));
    over = new AbortController();
    clock = new FakeClock();
    [here, used, changes] = [[], [], 0];
    disk = { capacity: 1000, available: 500 };
    removed.length = 0;
  });
  afterEach(async () => {
    over.abort();
    await fs.rm(directory, { recursive: true, force: true });
  });
  const start = () => new ImageCollector({
    images: {
      list: async () => here,
      async remove(reference) {
        removed.push(reference.slice(7, 8));
        const gone = here.find((each) => each.digest === reference);
        here = here.filter((each) => each !== gone);
        disk = { ...disk, available: disk.available + (gone?.size ?? 0) };
      },
    },
    used: () => used, stateDir: directory, disk: async () => disk, policy, clock, log: silentLog, signal: over.signal, changed: () => void changes++,
  });
  const until = async (what: () => boolean | Promise<boolean>) => {
    while (!(await what())) await new Promise(setImmediate);
  };
  const settled = () => until(() => clock.sleeping > 0);

  test('pods\' images stay, by whatever name and digest; times of use outlast the agent', async () => {
    here = ['a', 'b', 'c', 'd', 'e'].map((letter) => image(letter, 100, { since: clock.now() }));
    used = [{ image: 'r.test/a:1' }, { image: 'r.test/x:9', imageDigest: digest('b') }, { image: `r.test/c@${digest('c')}` }, { image: 'no such name!' }];
    start();
    await settled();
    await until(() => fs.access(path.join(directory, 'images.json')).then(() => true, () => false));
    over.abort();
    over = new AbortController();
    await clock.advance(31 * day);
    start();
    await until(() => removed.length === 2);
    await settled();
    expect(removed.toSorted()).toEqual(['d', 'e']);
  });

  test('room is made for what comes, and refused when there is none', async () => {
    here = [image('a', 100, { since: clock.now() - day }), image('b', 100, { since: clock.now() - day }), image('c', 100, { from: 'archive', since: 1 })];
    used = [{ image: 'r.test/b:1' }];
    disk = { capacity: 1000, available: 200 };
    const collector = start();
    await settled();
    await collector.admit(150);
    expect(removed).toEqual([]);
    await collector.admit(200);
    expect(removed).toEqual(['a']);
    await expect(collector.admit(300)).rejects.toMatchObject({ code: 'exhausted', message: expect.stringContaining('about 1 MB are needed') as string, hint: expect.stringContaining('tsorch image prune') as string });
    expect(removed).toEqual(['a']);
  });

  test('says when the disk is short all the same, and when it is well again', async () => {
    disk = { capacity: 1000, available: 50 };
    const collector = start();
    await until(() => changes === 1);
    expect(collector.isShort).toBe(true);
    disk = { capacity: 1000, available: 400 };
    await settled();
    await clock.advance(60_000);
    await until(() => changes === 2);
    expect(collector.isShort).toBe(false);
  });

  test('pruning: what has lost its tag, or all that nothing uses', async () => {
    here = [image('a', 100), image('b', 50, { references: [`r.test/b@${digest('b')}`] }), image('c', 20, { from: 'archive' }), image('d', 10)];
    used = [{ image: 'r.test/d:1' }];
    const collector = start();
    await settled();
    expect((await collector.prune(false)).map(({ size }) => size)).toEqual([50]);
    expect((await collector.prune(true)).map(({ size }) => size)).toEqual([100, 20]);
    expect(await collector.prune(true)).toEqual([]);
    expect(here.map((each) => each.digest)).toEqual([digest('d')]);
  });
});
