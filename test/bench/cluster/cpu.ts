/** CPU time of a cluster's programs, with that of the children they have waited for: what other users of the machine do not blur. */
import { readFileSync } from 'node:fs';

/** `getconf CLK_TCK`, the same on every Linux that Node runs on. */
const ticksPerSecond = 100;

/** Milliseconds. */
export function cpuOf(pids: readonly number[]): number {
  return pids.reduce((sum, pid) => sum + ticks(pid), 0) * (1000 / ticksPerSecond);
}

function ticks(pid: number): number {
  try {
    const line = readFileSync(`/proc/${pid}/stat`, 'utf8');
    const fields = line.slice(line.lastIndexOf(')') + 2).split(' ');
    return [11, 12, 13, 14].reduce((sum, i) => sum + Number(fields[i]), 0);
  } catch {
    return 0;
  }
}
