/**
 * A program's start leaves behind as much garbage as it uses afterwards, and both heaps, V8's and the C library's, keep it for later:
 * an idle program has no later. So they are told once, when the start is over. V8 needs `--expose-gc` for that.
 */
import type { Clock } from '../../lib/clock.ts';

const startMs = 10_000;

/** Resolves afterwards, or when the signal fires. Never rejects. */
export async function settle(clock: Clock, signal: AbortSignal): Promise<void> {
  try {
    await clock.sleep(startMs, signal);
    globalThis.gc?.({ type: 'major', execution: 'sync', flavor: 'last-resort' });
    const { trimHeap } = await import('../../lib/linux/heap.ts');
    trimHeap();
  } catch {
    // Not the GNU C library, or the program ends: nothing is lost.
  }
}
