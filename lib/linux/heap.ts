/** The memory of this process outside of V8's hands: the C library's heap, and what is mapped of files. */
import { readFileSync } from 'node:fs';
import { declare } from './libc.ts';

const trim = declare<(pad: number) => number>('int malloc_trim(size_t)');
const madvise = declare<(address: number, length: number, advice: number) => number>('int madvise(uintptr_t, size_t, int)');
const dontNeed = 4;

/** Gives the kernel back what is free; by itself the library does so only at the heap's end. It is where everything outside of JavaScript's lives: what parses scripts, TLS, HTTP/2. */
export function trimHeap(): void {
  trim(0);
}

export interface Mapping {
  readonly start: number;
  readonly end: number;
}

/** Of the text of `/proc/<pid>/smaps`: mappings of files that cannot be written to and of which no page was ever changed, so that each can be had from its file again. */
export function cleanFileMappings(smaps: string): readonly Mapping[] {
  const found: Mapping[] = [];
  let candidate: Mapping | null = null;
  for (const line of smaps.split('\n')) {
    const head = /^([\da-f]+)-([\da-f]+) r-[x-]p \S+ \S+ ([1-9]\d*) +\/(?!.* \(deleted\)$)/.exec(line);
    if (head) candidate = { start: parseInt(head[1] ?? '', 16), end: parseInt(head[2] ?? '', 16) };
    else if (/^[\da-f]+-[\da-f]+ /.test(line)) candidate = null;
    else if (candidate && line.startsWith('Anonymous:')) {
      if (/^Anonymous: +0 kB$/.test(line)) found.push(candidate);
      candidate = null;
    }
  }
  return found;
}

/** Lets go of programs' text and constants that only the start had use for. What is touched again comes from the page cache. */
export function dropFilePages(): void {
  for (const { start, end } of cleanFileMappings(readFileSync('/proc/self/smaps', 'utf8'))) madvise(start, end - start, dontNeed);
}
