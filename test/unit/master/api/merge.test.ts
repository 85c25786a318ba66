import fc from 'fast-check';
import { expect, it } from 'vitest';
import { systemClock } from '../../../../lib/clock.ts';
import { Merger } from '../../../../master/api/merge.ts';
import type { Out } from '../../../../master/api/stream.ts';
import type { LogLine } from '../../../../model/api.ts';

const line = (pod: string, time: number, text = ''): LogLine => ({ pod, podId: pod, node: 'n', stream: 'stdout', time, line: text });

class Reader implements Out {
  readonly lines: LogLine[] = [];
  readonly #gone = new AbortController();
  readonly #waiting: (() => void)[] = [];
  /** Takes nothing until told. */
  slow = false;

  get gone(): AbortSignal {
    return this.#gone.signal;
  }

  async write(value: unknown): Promise<void> {
    this.lines.push(value as LogLine);
    if (this.slow) await new Promise<void>((resolve) => this.#waiting.push(resolve));
  }

  take(): void {
    this.slow = false;
    for (const resolve of this.#waiting) resolve();
  }

  end(): void {}

  leave(): void {
    this.#gone.abort();
  }
}

/** A source that the test feeds. */
class Source {
  readonly #queue: (LogLine | null)[] = [];
  #wake: (() => void) | undefined;
  returned = false;
  read = 0;

  push(...lines: (LogLine | null)[]): void {
    this.#queue.push(...lines);
    this.#wake?.();
  }

  async *open(): AsyncGenerator<LogLine> {
    try {
      for (;;) {
        const next = this.#queue.shift();
        if (next === null) return;
        if (next === undefined) await new Promise<void>((resolve) => { this.#wake = resolve; });
        else {
          this.read++;
          yield next;
        }
      }
    } finally {
      this.returned = true;
    }
  }
}

async function* fixed(lines: readonly LogLine[]): AsyncGenerator<LogLine> {
  for (const each of lines) {
    await Promise.resolve();
    yield each;
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
  await fc.assert(fc.asyncProperty(fc.array(fc.array(fc.nat(50), { maxLength: 20 }), { maxLength: 6 }), async (sources) => {
    const all = sources.map((times, i) => times.toSorted((a, b) => a - b).map((time, n) => line(`p${i}`, time, `${i}/${n}`)));
    const out = new Reader();
    const merger = new Merger(out, false, systemClock);
    for (const lines of all) merger.add(() => fixed(lines));
    await merger.run();
    expect(out.lines.map(({ time }) => time)).toEqual(all.flat().map(({ time }) => time).toSorted((a, b) => a - b));
    expect(new Set(out.lines.map(({ line: text }) => text))).toEqual(new Set(all.flat().map(({ line: text }) => text)));
    for (const [i, lines] of all.entries()) expect(out.lines.filter(({ pod }) => pod === `p${i}`)).toEqual(lines);
  }), { numRuns: 100 });
});

it('while following, a silent source holds the others back for a moment only', async () => {
  const out = new Reader();
  const [busy, silent] = [new Source(), new Source()];
  const merger = new Merger(out, true, systemClock);
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
  const merger = new Merger(out, true, systemClock);
  const running = merger.run();
  const late = new Source();
  merger.add(() => late.open());
  merger.add(async function* () {
    yield await Promise.resolve(line('broken', 1));
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
  const merger = new Merger(out, true, systemClock);
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
  const merger = new Merger(out, true, systemClock);
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
  await new Merger(new Reader(), false, systemClock).run();
  const out = new Reader();
  const running = new Merger(out, true, systemClock).run();
  out.leave();
  await running;
});
