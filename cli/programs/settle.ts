/**
 * A program's start, and every burst of work, leave behind as much garbage as is used afterwards, and both heaps, V8's and the C
 * library's, keep it for later: an idle program has no later. So they are told when it has become quiet, and pages of programs' text
 * that only the start ran through are let go of too. V8 needs `--expose-gc` for that.
 */
import type { Clock } from '../../lib/clock.ts';

const periodMs = 10_000;
/** CPU time in a period from which on it was a busy one. */
const busyMs = 500;

/** Whether something is to be given back, now and at the end of the next period, after one that took `usedMs` of CPU time. */
export function afterPeriod(kept: boolean, usedMs: number): { readonly kept: boolean; readonly giveBack: boolean } {
  const busy = usedMs >= busyMs;
  return { kept: busy, giveBack: kept && !busy };
}

/** Resolves when the signal fires. Never rejects. */
export async function settle(clock: Clock, signal: AbortSignal): Promise<void> {
  try {
    await clock.sleep(periodMs, signal);
    // However busy the start was: it is over.
    await giveBack();
    for (let kept = false; ; ) {
      const before = process.cpuUsage();
      await clock.sleep(periodMs, signal);
      const { user, system } = process.cpuUsage(before);
      const next = afterPeriod(kept, (user + system) / 1000);
      if (next.giveBack) await giveBack();
      kept = next.kept;
    }
  } catch {
    // Not the GNU C library, or the program ends: nothing is lost.
  }
}

async function giveBack(): Promise<void> {
  globalThis.gc?.({ type: 'major', execution: 'sync', flavor: 'last-resort' });
  const { dropFilePages, trimHeap } = await import('../../lib/linux/heap.ts');
  trimHeap();
  dropFilePages();
}
