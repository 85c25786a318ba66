import fc from 'fast-check';
import { expect, it } from 'vitest';
import { systemClock } from '../../../../lib/clock.ts';
import { type Batches, Merger } from '../../../../master/api/merge.ts';
import type { PodLogChunk } from '../../../../model/log-chunk.ts';

const line = (pod: string, time: number, text = 'x'): PodLogChunk => ({ pod, podId: pod, node: 'n', container: 'web', attempt: 1, stream: 'stdout', time, end: 0, data: Buffer.from(`${text}\n`) });
const textOf = ({ data }: PodLogChunk) => Buffer.from(data).toString().trimEnd();

class Reader {
  readonly lines: PodLogChunk[] = [];
  readonly #gone = new AbortController();
  readonly #waiting: (() => void)[] = [];
  /** Takes nothing until told. */
  slow = false;
  over = false;

  merger(follow: boolean): Merger {
    return new Merger({ write: (chunks) => this.#write(chunks), gone: this.#gone.signal, follow, isOver: () => this.over, clock: systemClock });
  }

  async #write(chunks: readonly PodLogChunk[]): Promise<void> {
    this.lines.push(...chunks);
    if (this.slow) await new Promise<void>((resolve) => this.#waiting.push(resolve));
  }

  take(): void {
    this.slow = false;
    for (const resolve of this.#waiting) resolve();
  }

  leave(): void {
    this.#gone.abort();
  }
}

/** A source that the test feeds. */
class Source {
  readonly #queue: (PodLogChunk | null)[] = [];
  #wake: (() => void) | undefined;
  returned = false;
  read = 0;

  push(...lines: (PodLogChunk | null)[]): void {
    this.#queue.push(...lines);
    this.#wake?.();
  }

  async *open(): Batches {
    try {
      for (;;) {
        const next = this.#queue.shift();
        if (next === null) return;
        if (next === undefined) await new Promise<void>((resolve) => { this.#wake = resolve; });
        else {
          this.read++;
          yield [next];
        }
      }
    } finally {
      this.returned = true;
    }
  }
}

/** In batches of `size`, some of them empty. */
async function* fixed(lines: readonly PodLogChunk[], size: number): Batches {
  for (let at = 0; at < lines.length; at += size) {
    await Promise.resolve();
    if (at % 3 === 0) yield [];
    yield lines.slice(at, at + size);
  }
}

const until = async (condition: () => boolean) => {
  const end = performance.now() + 5000;
  while (!condition()) {
    if (performance.now() > end) throw new Error('in vain');
    await systemClock.sleep(2);
  }
};

it('lines of sources that are each in order come out in order, none lost, none doubled', async () => {
  await fc.assert(fc.asyncProperty(fc.array(fc.array(fc.nat(50), { maxLength: 20 }), { maxLength: 6 }), fc.integer({ min: 1, max: 7 }), fc.boolean(), async (sources, size, follow) => {
    const all = sources.map((times, i) => times.toSorted((a, b) => a - b).map((time, n) => line(`p${i}`, time, `${i}/${n}`)));
    const out = new Reader();
    out.over = true;
    const merger = out.merger(follow);
    for (const lines of all) merger.add(() => fixed(lines, size));
    await merger.run();
    // What is long past is not waited for by a follower.
    if (!follow) expect(out.lines.map(({ time }) => time)).toEqual(all.flat().map(({ time }) => time).toSorted((a, b) => a - b));
    expect(out.lines.map(textOf).toSorted()).toEqual(all.flat().map(textOf).toSorted());
    for (const [i, lines] of all.entries()) expect(out.lines.filter(({ pod }) => pod === `p${i}`)).toEqual(lines);
  }), { numRuns: 100 });
});

it('while following, a silent source holds the others back for a moment only', async () => {
  const out = new Reader();
  const [busy, silent] = [new Source(), new Source()];
  const merger = out.merger(true);
  merger.add(() => busy.open());
  merger.add(() => silent.open());
  const running = merger.run();
  busy.push(line('busy', systemClock.now()));
  await until(() => out.lines.length === 1);
  // Both within the moment: in order, although the later one was read first.
  const now = systemClock.now();
  busy.push(line('busy', now + 5));
  silent.push(line('silent', now));
  await until(() => out.lines.length === 3);
  expect(out.lines.slice(1).map(({ pod }) => pod)).toEqual(['silent', 'busy']);
  out.leave();
  await running;
});

it('sources that come later are read, those that end or fail are not waited for', async () => {
  const out = new Reader();
  const merger = out.merger(true);
  const running = merger.run();
  const late = new Source();
  merger.add(() => late.open());
  merger.add(async function* () {
    yield [await Promise.resolve(line('broken', 1))];
    throw new Error('the node went away');
  });
  late.push(line('late', 2), null);
  await until(() => out.lines.length === 2);
  const another = new Source();
  merger.add(() => another.open());
  another.push(line('another', 3));
  await until(() => out.lines.length === 3);
  out.leave();
  await running;
});

it('a reader that leaves ends every source, also those that wait', async () => {
  const out = new Reader();
  const sources = [new Source(), new Source()];
  const merger = out.merger(true);
  for (const source of sources) merger.add(() => source.open());
  const running = merger.run();
  sources[0]!.push(line('a', 1));
  await until(() => out.lines.length === 1);
  out.leave();
  await running;
  for (const source of sources) source.push(line('b', 2));
  await until(() => sources.every(({ returned }) => returned));
});

it('a reader that does not read stops the reading', async () => {
  const out = new Reader();
  out.slow = true;
  const source = new Source();
  const merger = out.merger(true);
  merger.add(() => source.open());
  const running = merger.run();
  source.push(...Array.from({ length: 100 }, (_, i) => line('a', i)));
  await until(() => out.lines.length === 1);
  await systemClock.sleep(30);
  expect(out.lines).toHaveLength(1);
  expect(source.read).toBeLessThanOrEqual(2);
  out.take();
  await until(() => out.lines.length === 100);
  out.leave();
  await running;
});

it('nothing to read is the end at once, unless somebody follows', async () => {
  await new Reader().merger(false).run();
  const out = new Reader();
  const running = out.merger(true).run();
  out.leave();
  await running;
});

it('a follow is over when nothing is open and nothing can come', async () => {
  const out = new Reader();
  const source = new Source();
  const merger = out.merger(true);
  merger.add(() => source.open());
  let ended = false;
  const running = merger.run().then(() => { ended = true; });
  source.push(line('a', 1), null);
  await until(() => source.returned);
  await systemClock.sleep(10);
  expect(ended).toBe(false);
  out.over = true;
  merger.poke();
  await running;
  expect(out.lines).toHaveLength(1);
});
