/**
 * Buffers that were used once. Each is a small object to V8, which lets a hundred megabytes of them lie in every thread before it looks; so it
 * is told to look at its youngest objects, which takes a millisecond. Programs are started with `--expose-gc`; without it nothing is done.
 */
const mostBytes = 8 << 20;

export class Litter {
  #bytes = 0;

  add(bytes: number): void {
    this.#bytes += bytes;
    if (this.#bytes < mostBytes) return;
    this.#bytes = 0;
    globalThis.gc?.({ type: 'minor', execution: 'sync' });
  }
}
