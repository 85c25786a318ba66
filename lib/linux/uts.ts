/** Host and domain names belong to a UTS namespace. */
import fs from 'node:fs';
import { check, declare, libc } from './libc.ts';

const cloneNewUts = 0x04000000;
const setdomainname = declare<(name: string, length: number) => number>('int setdomainname(const char *, size_t)');

/** Sets the (NIS) domain name in the namespace of another process. Ends this one when the way back is barred. */
export function setDomainnameOf(pid: number, name: string): void {
  const home = fs.openSync('/proc/thread-self/ns/uts', 'r');
  const there = fs.openSync(`/proc/${pid}/ns/uts`, 'r');
  try {
    check(libc.setns(there, cloneNewUts), `setns of process ${pid}`);
    try {
      check(setdomainname(name, Buffer.byteLength(name)), 'setdomainname');
    } finally {
      if (libc.setns(home, cloneNewUts) < 0) {
        fs.writeSync(2, 'cannot return to the UTS namespace of the process: giving up\n');
        process.abort();
      }
    }
  } finally {
    fs.closeSync(there);
    fs.closeSync(home);
  }
}
