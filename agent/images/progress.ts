/** How far a pull is, in one line for people. Pure. */
import type { PullProgress } from '../runtime/port.ts';

const units = [[1e9, 'GB'], [1e6, 'MB'], [1e3, 'kB'], [1, 'B']] as const;

/** `pulling nginx:1.25: 34 of 120 MB`, `unpacking nginx:1.25: 3 of 7 layers`. */
export function describePull(name: string, progress: PullProgress): string {
  if (progress.kind === 'unpacking') return `unpacking ${name}: ${progress.layers} of ${progress.total} layers`;
  const [size, unit] = units.find(([each]) => progress.total >= each) ?? [1, 'B'];
  const digits = size === 1e9 ? 1 : 0;
  // Never all of it while some is missing.
  const floor = (bytes: number) => (Math.floor((bytes / size) * 10 ** digits) / 10 ** digits).toFixed(digits);
  return `pulling ${name}: ${floor(progress.bytes)} of ${(progress.total / size).toFixed(digits)} ${unit}`;
}
