/**
 * A program's start leaves behind as much garbage as it uses afterwards, and both heaps, V8's and the C library's, keep it for later:
 * an idle program has no later. So they are told once, when the start is over, and pages of programs' text that only the start ran
 * through are let go of too. V8 needs `--expose-gc` for that.
 */
import type { Clock } from '../../lib/clock.ts';

const startMs = 10_000;

/** Resolves afterwards, or when the signal fires. Never rejects. */
export async function settle(clock: Clock, signal: AbortSignal): Promise<void> {
  try {
    await clock.sleep(startMs, signal);
    globalThis.gc?.({ type: 'major', execution: 'sync', flavor: 'last-resort' });
    const { dropFilePages, trimHeap } = await import('../../lib/linux/heap.ts');
    trimHeap();
    dropFilePages();
  } catch {
    // Not the GNU C library, or the program ends: nothing is lost.
  }
}
