/** What programs hold in memory at most while something is done. RSS, MB, looked at every 20 ms. */
import { readFileSync } from 'node:fs';

export interface Held {
  readonly before: number;
  readonly most: number;
}

export class Peak {
  readonly #programs: ReadonlyMap<string, readonly number[]>;
  readonly #held = new Map<string, Held>();

  constructor(programs: ReadonlyMap<string, readonly number[]>) {
    this.#programs = programs;
    this.#look();
  }

  async during<T>(work: () => Promise<T>): Promise<T> {
    const timer = setInterval(() => this.#look(), 20);
    try {
      return await work();
    } finally {
      clearInterval(timer);
    }
  }

  read(): ReadonlyMap<string, Held> {
    return this.#held;
  }

  #look(): void {
    for (const [name, pids] of this.#programs) {
      const rss = pids.reduce((sum, pid) => sum + rssOf(pid), 0);
      const held = this.#held.get(name) ?? { before: rss, most: rss };
      this.#held.set(name, { before: held.before, most: Math.max(held.most, rss) });
    }
  }
}

/** 0 when it has gone. */
function rssOf(pid: number): number {
  try {
    return Number(/^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? 0) / 1024;
  } catch {
    return 0;
  }
}
