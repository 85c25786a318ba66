import { describe, expect, test } from 'vitest';
import { FakeClock } from '../../../lib/clock.ts';
import { silentLog } from '../../../lib/log.ts';
import { Loop, type LoopOptions } from '../../../lib/loop.ts';

async function settle(): Promise<void> {
  for (let i = 0; i < 50; i++) await Promise.resolve();
}

function start(run: LoopOptions['run'], more: Partial<LoopOptions> = {}): { loop: Loop; clock: FakeClock; stop: AbortController } {
  const clock = new FakeClock();
  const stop = new AbortController();
  return { clock, stop, loop: new Loop({ name: 'test', clock, log: silentLog, signal: stop.signal, run, ...more }) };
}

describe('loop', () => {
  test('one pass serves any number of marks, and none are lost during a pass', async () => {
    let passes = 0;
    let release: () => void = () => {};
    const { loop, stop } = start(async () => {
      passes++;
      await new Promise<void>((resolve) => { release = resolve; });
    });
    loop.mark();
    loop.mark();
    await settle();
    expect(passes).toBe(1);
    loop.mark();
    loop.mark();
    release();
    await settle();
    expect(passes).toBe(2);
    release();
    await settle();
    expect(passes).toBe(2);
    stop.abort();
    await loop.done;
  });

  test('a pass asks for the next one after a time', async () => {
    let passes = 0;
    const { loop, clock, stop } = start(async () => (passes++ === 0 ? 100 : undefined));
    loop.mark();
    await settle();
    await clock.advance(99);
    expect(passes).toBe(1);
    await clock.advance(1);
    await settle();
    expect(passes).toBe(2);
    stop.abort();
    await loop.done;
  });

  test('a failed pass is tried again, at growing gaps, until one succeeds', async () => {
    let passes = 0;
    const { loop, clock, stop } = start(async () => {
      passes++;
      if (passes < 4) throw new Error('not yet');
    }, { backoffMs: 10, maxBackoffMs: 20 });
    loop.mark();
    await settle();
    const seen: number[] = [passes];
    for (const ms of [9, 1, 19, 1, 19, 1, 1000]) {
      await clock.advance(ms);
      await settle();
      seen.push(passes);
    }
    expect(seen).toEqual([1, 1, 2, 2, 3, 3, 4, 4]);
    stop.abort();
    await loop.done;
  });

  test('with a share, a burst is served by few passes, and the first mark after a silence at once', async () => {
    const begun: number[] = [];
    const { loop, clock, stop } = start(async () => {
      begun.push(clock.now());
      await clock.sleep(4);
    }, { share: 0.25 });
    const origin = clock.now();
    loop.mark();
    await settle();
    for (let i = 0; i < 40; i++) {
      loop.mark();
      await clock.advance(1);
      await settle();
    }
    // Four milliseconds of work, twelve of rest.
    expect(begun.map((at) => at - origin)).toEqual([0, 16, 32]);
    await clock.advance(1000);
    await settle();
    const later = clock.now();
    loop.mark();
    await settle();
    expect(begun.at(-1)).toBe(later);
    stop.abort();
    await clock.advance(100);
    await loop.done;
  });

  test('however long a pass took, the rest is bounded', async () => {
    let passes = 0;
    const { loop, clock, stop } = start(async () => {
      passes++;
      await clock.sleep(5000);
    }, { share: 0.1 });
    loop.mark();
    await settle();
    loop.mark();
    await clock.advance(5000);
    await settle();
    expect(passes).toBe(1);
    await clock.advance(50);
    await settle();
    expect(passes).toBe(2);
    stop.abort();
    await clock.advance(5000);
    await loop.done;
  });

  test('a rest has the bounds it is given', async () => {
    const begun: number[] = [];
    let takes = 0;
    const { loop, clock, stop } = start(async () => {
      begun.push(clock.now());
      await clock.sleep(takes);
    }, { share: 0.5, pauseMs: { least: 20, most: 200 } });
    for (let i = 0; i < 400; i++) {
      // The second pass takes long, those after it do not.
      takes = begun.length === 1 ? 300 : 0;
      loop.mark();
      await clock.advance(2);
      await settle();
    }
    expect(begun.slice(0, 4).map((at) => at - (begun[0] ?? 0))).toEqual([0, 20, 520, 540]);
    stop.abort();
    await clock.advance(1000);
    await loop.done;
  });
});
