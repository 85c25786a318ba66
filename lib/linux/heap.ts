/** The C library's heap, where everything outside of JavaScript's lives: what parses scripts, TLS, HTTP/2. */
import { declare } from './libc.ts';

const trim = declare<(pad: number) => number>('int malloc_trim(size_t)');

/** Gives the kernel back what is free; by itself the library does so only at the heap's end. */
export function trimHeap(): void {
  trim(0);
}
