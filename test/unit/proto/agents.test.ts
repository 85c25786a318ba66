import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { decodeFrame, encodeFrame } from '../../../proto/agents.ts';
import { DataFrame } from '../../../proto/gen/tsorch/node.ts';

const bytes = fc.uint8Array({ maxLength: 300 }).map((data) => Buffer.from(data));
const chunk = fc.record({
  container: fc.string(), attempt: fc.nat(), stderr: fc.boolean(), time: fc.maxSafeNat(), end: fc.maxSafeNat(), data: bytes, notice: fc.boolean(),
});
const frame: fc.Arbitrary<DataFrame> = fc.oneof(
  fc.record({ $case: fc.constantFrom('stdin' as const, 'stdout' as const, 'stderr' as const), value: bytes }),
  fc.record({ $case: fc.constant('logs' as const), value: fc.record({ chunks: fc.array(chunk, { maxLength: 5 }) }) }),
  fc.record({ $case: fc.constant('message' as const), value: fc.string() }),
  fc.record({ $case: fc.constant('stdinEnd' as const), value: fc.boolean() }),
  fc.record({ $case: fc.constant('taken' as const), value: fc.maxSafeNat() }),
  fc.constant(undefined),
).map((kind) => ({ kind }));

describe('frames of data streams on the wire', () => {
  test('the generated code reads what ours writes, and ours what the generated code writes', () => {
    fc.assert(fc.property(frame, (given) => {
      expect(DataFrame.decode(encodeFrame(given))).toEqual(given);
      expect(decodeFrame(Buffer.from(DataFrame.encode(given).finish()))).toEqual(given);
      expect(decodeFrame(encodeFrame(given))).toEqual(given);
    }));
  });

  test('fields of a later version are passed over, and of two kinds the last counts', () => {
    const log = encodeFrame({ kind: { $case: 'logs', value: { chunks: [{ container: 'web', attempt: 1, stderr: false, time: 5, end: 3, data: Buffer.from('one'), notice: false }] } } });
    // Field 15 of the batch's chunk, and field 7 of the batch.
    const chunkBytes = Buffer.concat([log.subarray(4), Buffer.of(15 << 3, 1)]);
    const batch = Buffer.concat([Buffer.of((1 << 3) | 2, chunkBytes.length), chunkBytes, Buffer.of((7 << 3) | 2, 1, 9)]);
    const later = Buffer.concat([Buffer.of((10 << 3) | 2, batch.length), batch]);
    expect(decodeFrame(later)).toMatchObject({ kind: { $case: 'logs', value: { chunks: [{ container: 'web', end: 3, data: Buffer.from('one') }] } } });
    expect(decodeFrame(Buffer.concat([log, encodeFrame({ kind: { $case: 'done', value: 3 } })]))).toEqual({ kind: { $case: 'done', value: 3 } });
  });

  test('the bytes sent may be written over, those received are not copied', () => {
    const data = Buffer.from('abc');
    const message = encodeFrame({ kind: { $case: 'stdout', value: data } });
    data.fill('x');
    const { kind } = decodeFrame(message);
    expect(kind).toEqual({ $case: 'stdout', value: Buffer.from('abc') });
    expect(kind?.$case === 'stdout' && kind.value.buffer === message.buffer).toBe(true);
  });
});
