/** Log files with a bound: over it, the file's content becomes `.1` and the file begins anew under the same descriptor. */
import { copyFileSync, statSync, truncateSync } from 'node:fs';

/**
 * Writers append through descriptors of their own and are never told. What they write between copy and truncation is lost;
 * that is a moment in every 8 MiB, of files for people.
 */
export function boundLog(path: string, maxBytes = 8 << 20): void {
  const size = statSync(path, { throwIfNoEntry: false })?.size ?? 0;
  if (size <= maxBytes) return;
  copyFileSync(path, `${path}.1`);
  truncateSync(path);
}
