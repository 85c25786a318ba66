import { Readable } from 'node:stream';
import { zstdDecompressSync } from 'node:zlib';
import { expect, test } from 'vitest';
import { uploadAll } from '../../../cli/push/upload.ts';
import { FakeClock } from '../../../lib/clock.ts';

test.each([
  [{ compress: true, packed: false }, 'zstd'],
  [{ compress: true, packed: true }, undefined],
  [{ compress: false, packed: false }, undefined],
  [{ compress: false, packed: true }, undefined],
])('%j: %s', async ({ compress, packed }, encoding) => {
  const content = Buffer.alloc(1_000_000, 7);
  const got: { readonly query: unknown; readonly body: Buffer }[] = [];
  const sent = await uploadAll([{ digest: 'sha256:1', size: content.length, offset: 0, packed }], {
    client: {
      async json<T>(_method: string, _path: string, options: { readonly query?: unknown; readonly stream?: AsyncIterable<Buffer> } = {}): Promise<T> {
        const parts: Buffer[] = [];
        for await (const part of options.stream ?? []) parts.push(part);
        got.push({ query: options.query, body: Buffer.concat(parts) });
        return {} as T;
      },
    },
    archive: { read: () => Readable.from([content]) },
    plan: { push: 'p', seed: 'node-1' }, compress, clock: new FakeClock(), signal: new AbortController().signal, progress: () => {}, stateOf: () => Promise.resolve(0),
  });
  expect(got[0]?.query).toMatchObject({ push: 'p', node: 'node-1', size: content.length, offset: 0 });
  expect((got[0]?.query as { readonly encoding?: string } | undefined)?.encoding).toBe(encoding);
  const body = got[0]?.body ?? Buffer.alloc(0);
  expect((encoding === undefined ? body : zstdDecompressSync(body)).equals(content)).toBe(true);
  expect(sent).toEqual({ bytes: content.length, travelled: body.length });
});
