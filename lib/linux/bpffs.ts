/** The file system that pins live in. */
import { mkdirSync, statfsSync } from 'node:fs';
import { dirname } from 'node:path';
import { check, hasErrno, libc } from './libc.ts';

const bpfFsMagic = 0xcafe4a11;
const usualPlace = '/sys/fs/bpf';

/**
 * Makes `directory` and sees to it that it is on a bpf file system, mounting one at /sys/fs/bpf when that is where it
 * belongs and none is there. Returns where one was mounted, undefined when there was one.
 */
export function ensureBpfFs(directory: string): string | undefined {
  let mounted: string | undefined;
  if ((directory === usualPlace || directory.startsWith(`${usualPlace}/`)) && !isBpfFs(usualPlace)) {
    check(libc.mount('bpf', usualPlace, 'bpf', 0, 'mode=0700'), `mount ${usualPlace}`);
    mounted = usualPlace;
  }
  mkdirSync(directory, { recursive: true, mode: 0o700 });
  if (!isBpfFs(directory)) throw new Error(`${directory} is not on a bpf file system: use a directory below ${usualPlace}, or mount one with mount -t bpf`);
  return mounted;
}

export function isBpfFs(path: string): boolean {
  for (let at = path; ; at = dirname(at)) {
    try {
      return Number(statfsSync(at, { bigint: true }).type & 0xffffffffn) === bpfFsMagic;
    } catch (error) {
      if (!hasErrno(error, 'ENOENT') || at === dirname(at)) throw error;
    }
  }
}
