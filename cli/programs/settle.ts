/**
 * A program's start leaves behind as much garbage as it uses afterwards, and V8, which collects when memory is asked for, keeps it:
 * an idle program does not ask. So it is told once, when the start is over. Needs `--expose-gc`; without it nothing happens.
 */
import type { Clock } from '../../lib/clock.ts';

const startMs = 10_000;

/** Resolves afterwards, or when the signal fires. */
export async function settle(clock: Clock, signal: AbortSignal): Promise<void> {
  if (!globalThis.gc) return;
  await clock.sleep(startMs, signal).catch(() => {});
  if (!signal.aborted) globalThis.gc({ type: 'major', execution: 'sync', flavor: 'last-resort' });
}
