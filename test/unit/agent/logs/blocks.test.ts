import fs from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { cutIndex, decodeRecords, encodeRecords, lowerBound, upperBound } from '../../../../agent/logs/index-file.ts';
import { lastLines, lineStart, pieceBytes, readBlocks, wholeLines } from '../../../../agent/logs/blocks.ts';

describe('what of a block goes out', () => {
  const taken = (block: Buffer, rest: boolean) => block.toString('utf8', 0, wholeLines(block, rest));

  test.each([
    ['', false, ''],
    ['a\nb\n', false, 'a\nb\n'],
    ['a\nb', false, 'a\n'],
    ['a\nb', true, 'a\n'],
    ['b', false, ''],
    ['b', true, 'b'],
    ['\n\n', true, '\n\n'],
    ['a\r\nb', false, 'a\r\n'],
  ])('%j rest=%s', (text, rest, out) => expect(taken(Buffer.from(text), rest)).toBe(out));

  test.each(['é', '€', '😀', 'xé', 'ab😀'])('a long line is cut where no character is: %s', (character) => {
    const whole = Buffer.from(character.repeat(pieceBytes));
    for (let length = pieceBytes; length < pieceBytes + 12; length++) {
      const cut = wholeLines(whole.subarray(0, length), false);
      expect(length - cut).toBeLessThan(4);
      expect(Buffer.from(whole.toString('utf8', 0, cut)).equals(whole.subarray(0, cut))).toBe(true);
    }
  });

  test('bytes that are no text are cut anywhere', () => {
    expect(wholeLines(Buffer.alloc(pieceBytes, 0x80), false)).toBe(pieceBytes);
    expect(wholeLines(Buffer.alloc(pieceBytes, 0xff), false)).toBeGreaterThan(pieceBytes - 4);
  });
});

describe('index', () => {
  test('a torn record ends it', () => {
    const whole = encodeRecords([0, 10, 20], [1, 2, 3]);
    expect(decodeRecords(whole.subarray(0, 40)).offsets).toEqual([0, 10]);
    expect(decodeRecords(encodeRecords([0, 10, 5, 30], [1, 2, 3, 4])).offsets).toEqual([0, 10]);
  });

  test('cut: what remains has the times it had', () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 1, max: 50 }), { minLength: 1, maxLength: 200 }), fc.nat(), fc.integer({ min: 8, max: 100 }), (steps, at, most) => {
        const offsets = [0];
        for (const s of steps) offsets.push((offsets.at(-1) ?? 0) + s);
        const index = { head: 0, offsets, times: offsets.map((_, i) => i) };
        const head = at % ((offsets.at(-1) ?? 0) + 1);
        const cut = cutIndex(index, head, most);
        expect(cut.offsets.length).toBeLessThanOrEqual(most);
        expect(cut.offsets[0]).toBe(head);
        expect(cut.offsets).toEqual(cut.offsets.toSorted((a, b) => a - b));
        const timeOf = (i: typeof cut, end: number) => i.times[lowerBound(i.offsets, end)];
        if (offsets.length <= most) for (let end = head + 1; end <= (offsets.at(-1) ?? 0); end++) expect(timeOf(cut, end)).toBe(timeOf(index, end));
        // Thinned out, the newest quarter at least is exact.
        else expect(cut.offsets.at(-1)).toBe(offsets.at(-1));
      }),
    );
  });

  test('bounds', () => {
    expect([lowerBound([1, 3, 3, 5], 3), upperBound([1, 3, 3, 5], 3), lowerBound([], 1), upperBound([1], 9)]).toEqual([1, 3, 0, 1]);
  });
});

describe('in a file', () => {
  let directory: string;
  beforeEach(async () => {
    directory = await fs.mkdtemp(path.join(os.tmpdir(), 'tsorch-lines-'));
  });
  afterEach(() => fs.rm(directory, { recursive: true, force: true }));

  test('reading, last lines and line starts agree with the plain text', async () => {
    const file = path.join(directory, 'log');
    const line = fc.oneof({ weight: 10, arbitrary: fc.string({ maxLength: 30 }) }, { weight: 1, arbitrary: fc.integer({ min: 16_000, max: 70_000 }).map((n) => 'y'.repeat(n)) });
    await fc.assert(
      fc.asyncProperty(fc.array(line.map((l) => l.replaceAll('\n', ' ')), { maxLength: 12 }), fc.boolean(), fc.nat({ max: 8 }), async (all, unfinished, count) => {
        const text = all.join('\n') + (unfinished || all.length === 0 ? '' : '\n');
        const bytes = Buffer.from(text);
        await fs.writeFile(file, bytes);
        const handle = await fs.open(file, 'r');
        try {
          const expected = text === '' ? [] : (unfinished ? text : text.slice(0, -1)).split('\n');
          if (unfinished && expected.at(-1) === '') expected.pop();
          const read: Buffer[] = [];
          for await (const { start, data } of readBlocks(handle, { from: 0, to: bytes.length, rest: true }, () => Promise.resolve(null))) {
            expect(start).toBe(Buffer.concat(read).length);
            read.push(Buffer.from(data));
          }
          expect(Buffer.concat(read).equals(bytes)).toBe(true);
          // Without the rest, all but an unfinished last line, or its pieces.
          let whole = '';
          for await (const { data } of readBlocks(handle, { from: 0, to: bytes.length, rest: false }, () => Promise.resolve(null))) whole += data.toString();
          expect(text.startsWith(whole)).toBe(true);
          expect(whole.length).toBeGreaterThanOrEqual(text.lastIndexOf('\n') + 1);
          const starts = await lastLines(handle, 0, bytes.length, count);
          const tail = starts.map((s, i) => bytes.toString('utf8', s, starts[i + 1] ?? bytes.length).replace(/\n$/, ''));
          expect(tail).toEqual(count === 0 ? [] : expected.slice(-count));
          for (const at of starts) expect(await lineStart(handle, at, 0, 1 << 20)).toBe(at);
        } finally {
          await handle.close();
        }
      }),
      { numRuns: 150 },
    );
  });
});
