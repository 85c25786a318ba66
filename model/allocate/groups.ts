/** Numbers of networks: isolation rules carry them instead of names. */
import type { Allocated } from './result.ts';

/** 0 means no network. */
export const maxGroup = 65_535;

/** The smallest number from 1 that is not in use. */
export function allocateGroup(used: Iterable<number>): Allocated<number> {
  const taken = new Set(used);
  for (let group = 1; group <= maxGroup; group++) if (!taken.has(group)) return { ok: group };
  return { exhausted: `all ${maxGroup} network numbers are in use` };
}
