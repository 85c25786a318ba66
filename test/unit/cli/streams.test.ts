import fc from 'fast-check';
import { expect, test } from 'vitest';
import { jsonLines, lines, serverSentEvents } from '../../../cli/client/streams.ts';

/** Cuts bytes at arbitrary places, inside characters too. */
async function* cut(text: string, at: readonly number[]): AsyncGenerator<Uint8Array> {
  const bytes = Buffer.from(text);
  let from = 0;
  for (const to of [...at.map((place) => place % (bytes.length + 1)), bytes.length].toSorted((a, b) => a - b)) {
    yield bytes.subarray(from, to);
    from = to;
  }
}

async function all<T>(values: AsyncIterable<T>): Promise<T[]> {
  const result: T[] = [];
  for await (const value of values) result.push(value);
  return result;
}

test('JSON lines come out whole however they are cut', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(fc.record({ line: fc.string({ unit: 'binary' }) })), fc.array(fc.nat()), async (values, at) => {
      const text = values.map((value) => `${JSON.stringify(value)}\n`).join('');
      expect(await all(jsonLines(cut(text, at)))).toEqual(values);
    }),
  );
});

test('events come out whole however they are cut, with comments and CRLF between them', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(fc.record({ id: fc.string({ unit: 'binary' }) })), fc.array(fc.nat()), fc.constantFrom('\n', '\r\n'), async (values, at, end) => {
      const text = values.map((value) => `: keep alive${end}event: put${end}data: ${JSON.stringify(value)}${end}${end}`).join('');
      expect(await all(serverSentEvents(cut(text, at)))).toEqual(values);
    }),
  );
});

test('a last line without an end counts, an event without an end does not', async () => {
  expect(await all(lines(cut('a\nb', [])))).toEqual(['a', 'b']);
  expect(await all(serverSentEvents(cut('data: 1\n\ndata: 2', [])))).toEqual([1]);
});

test('what is no JSON, or has no end, is an error and not a crash', async () => {
  await expect(all(jsonLines(cut('{"a":\n', [])))).rejects.toThrow('not JSON');
  await expect(all(lines(cut('x'.repeat(100), [10, 20]), 50))).rejects.toThrow('without an end');
});
