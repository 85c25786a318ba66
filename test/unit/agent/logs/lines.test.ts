import fs from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { cutIndex, decodeRecords, encodeRecords, lowerBound, upperBound } from '../../../../agent/logs/index-file.ts';
import { lastLines, lineStart, longestLine, readLines, split } from '../../../../agent/logs/lines.ts';

describe('split', () => {
  const texts = (block: Buffer, rest: boolean) => split(block, 0, rest).lines.map((l) => l.text);

  test.each([
    ['', false, []],
    ['a\nb\n', false, ['a', 'b']],
    ['a\nb', false, ['a']],
    ['a\nb', true, ['a', 'b']],
    ['\n\n', true, ['', '']],
    ['a\r\nb', true, ['a\r', 'b']],
  ])('%j rest=%s', (text, rest, lines) => expect(texts(Buffer.from(text), rest)).toEqual(lines));

  test('long lines come in pieces that cut no character', () => {
    const text = 'é€😀x'.repeat(10_000);
    const { lines } = split(Buffer.from(`${text}\nnext\n`), 0, false);
    expect(lines.at(-1)).toMatchObject({ text: 'next', partial: false });
    const pieces = lines.slice(0, -1);
    expect(pieces.map((l) => l.text).join('')).toBe(text);
    expect(pieces.map((l) => l.partial)).toEqual([...pieces.slice(1).map(() => true), false]);
    for (const { text: piece } of pieces) expect(Buffer.byteLength(piece)).toBeLessThanOrEqual(longestLine);
  });

  test('bytes that are no text do not stop it', () => {
    const block = Buffer.concat([Buffer.alloc(longestLine * 2, 0x80), Buffer.from('\nend\n')]);
    const { lines, used } = split(block, 0, false);
    expect(used).toBe(block.length);
    expect(lines.at(-1)?.text).toBe('end');
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
          const read: string[] = [];
          let carry = '';
          for await (const batch of readLines(handle, { from: 0, to: bytes.length, rest: true }, () => Promise.resolve(null))) {
            for (const l of batch) {
              carry += l.text;
              if (l.partial) continue;
              read.push(carry);
              carry = '';
            }
          }
          expect(read).toEqual(expected);
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
