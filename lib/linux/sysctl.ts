/**
 * Kernel settings under /proc/sys, named by path because device names may hold dots: `net/ipv4/conf/eth0/rp_filter`. Those of
 * `net/` are the calling thread's network namespace's.
 */
import fs from 'node:fs';

export function readSysctl(name: string): string {
  return fs.readFileSync(`/proc/sys/${name}`, 'utf8').trim();
}

/** Sets it when it differs. Returns whether it did. */
export function writeSysctl(name: string, value: string | number): boolean {
  if (readSysctl(name) === String(value)) return false;
  fs.writeFileSync(`/proc/sys/${name}`, `${value}`);
  return true;
}
