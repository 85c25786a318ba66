import { createHash } from 'node:crypto';
import { isIP } from 'node:net';
import { posix } from 'node:path';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { isAddress } from '../../../../model/stack/values/address.ts';
import { base64 } from '../../../../model/base64.ts';
import { parseBytes } from '../../../../model/stack/values/bytes.ts';
import { formatDuration, parseDuration } from '../../../../model/stack/values/duration.ts';
import { dirname, normalise, resolvePath } from '../../../../model/stack/values/paths.ts';
import { sha256 } from '../../../../model/stack/values/sha256.ts';
import { splitWords } from '../../../../model/stack/values/words.ts';
import { didYouMean } from '../../../../model/stack/suggest.ts';

describe('durations', () => {
  test.each([
    ['0', 0], ['0s', 0], ['10s', 10_000], ['1m30s', 90_000], ['1h', 3_600_000], ['1.5s', 1500], ['500ms', 500], ['100us', 1], ['1ns', 1], ['.5m', 30_000],
    ['2.1ms', 3], ['1h1m1s1ms', 3_661_001],
  ])('%s', (text, ms) => expect(parseDuration(text)).toBe(ms));
  test.each(['', '10', 's', '1x', '1 s', '-1s', '1s ', '1m30', '999999999999999h'])('%j is none', (text) => expect(parseDuration(text)).toBeNull());
  test('what is printed reads back', () => {
    fc.assert(fc.property(fc.nat(10_000_000_000), (ms) => {
      expect(parseDuration(formatDuration(ms))).toBe(ms);
    }));
  });
});

describe('sizes', () => {
  test.each([['0', 0], ['1024', 1024], ['1k', 1024], ['1kb', 1024], ['1KiB', 1024], ['512m', 512 * 1024 ** 2], ['1.5g', 1.5 * 1024 ** 3], ['2 GB', 2 * 1024 ** 3], ['1b', 1]])('%s', (text, bytes) =>
    expect(parseBytes(text)).toBe(bytes));
  test.each(['', 'm', '1x', '-1', '1e3', '1mm', '9999999p', '1.m'])('%j is none', (text) => expect(parseBytes(text)).toBeNull());
});

describe('words', () => {
  test.each<[string, readonly string[]]>([
    ['', []], ['  ', []], ['a b', ['a', 'b']], ['a  "b c" d', ['a', 'b c', 'd']], ["'it''s'", ['its']], ['a\\ b', ['a b']], ['""', ['']], ["a''", ['a']],
    ['"a\\"b"', ['a"b']], ["'a\\b'", ['a\\b']], ['"\\n"', ['\\n']], ['a\\\nb', ['ab']], ['sh -c "echo $$HOME"', ['sh', '-c', 'echo $$HOME']],
  ])('%j', (text, words) => expect(splitWords(text)).toEqual({ words }));
  test.each([["a 'b", 2], ['a "b', 2], ['a\\', 1]])('%j is not closed', (text, offset) => expect(splitWords(text)).toMatchObject({ offset }));
});

describe('against Node', () => {
  test('sha256 and base64', () => {
    fc.assert(fc.property(fc.uint8Array({ maxLength: 300 }), (data) => {
      expect(sha256(data)).toBe(createHash('sha256').update(data).digest('hex'));
      expect(base64(data)).toBe(Buffer.from(data).toString('base64'));
    }));
    const large = new Uint8Array(100_000).map((_, index) => index * 7);
    expect(sha256(large)).toBe(createHash('sha256').update(large).digest('hex'));
    expect(base64(large)).toBe(Buffer.from(large).toString('base64'));
  });

  test('addresses', () => {
    const piece = fc.constantFrom('1', '0', '255', '256', 'ff', 'fe80', '12345', ':', '::', '.', '10.0.0.1', 'g', '');
    fc.assert(fc.property(fc.oneof(fc.ipV4(), fc.ipV6(), fc.array(piece, { maxLength: 12 }).map((parts) => parts.join('')), fc.array(piece, { maxLength: 9 }).map((parts) => parts.join(':'))), (text) => {
      expect([text, isAddress(text)]).toEqual([text, isIP(text) !== 0]);
    }), { numRuns: 2000 });
  });

  test('paths', () => {
    const path = fc.array(fc.constantFrom('a', 'b.c', '..', '.', '', '~'), { maxLength: 8 }).map((parts) => parts.join('/'));
    fc.assert(fc.property(path, (text) => {
      expect(normalise(`/${text}`)).toBe(posix.resolve('/', `/${text}`));
      expect(resolvePath('/base/dir', text)).toBe(posix.resolve('/base/dir', text));
      expect(dirname(`/${text}/x`)).toBe(posix.dirname(posix.resolve(`/${text}/x`)));
    }));
  });
});

test.each([
  ['prots', 'ports'], ['enviroment', 'environment'], ['dependsOn', 'depends_on'], ['depends-on', 'depends_on'], ['heathcheck', 'healthcheck'], ['comand', 'command'], ['volume', 'volumes'],
])('%s → %s', (typed, meant) => {
  expect(didYouMean(typed, ['image', 'ports', 'environment', 'depends_on', 'healthcheck', 'command', 'volumes', 'deploy'])).toBe(`did you mean ${meant}?`);
});

test('nothing near is not guessed', () => {
  expect(didYouMean('qqq', ['image', 'ports'])).toBeUndefined();
  expect(didYouMean('x'.repeat(10_000), ['image', 'ports'])).toBeUndefined();
});
