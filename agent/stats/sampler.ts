/**
 * Reads what containers use while somebody watches, and at no other time. Watchers share what is read: one that was read
 * for another a moment ago is not read again.
 */
import { readFile } from 'node:fs/promises';
import type { Clock } from '../../lib/clock.ts';
import { type AgentStats, statsEvery } from '../../model/stats.ts';
import type { PodNetwork } from '../network/port.ts';
import type { PodWorker } from '../pods/worker.ts';
import type { Runtime } from '../runtime/port.ts';
import { hostReading, type HostReading } from './parse.ts';
import { type ContainerReading, type PodReading, type Reading, statsBetween } from './rates.ts';

export interface SamplerOptions {
  readonly pods: { workers(): Iterable<Pick<PodWorker, 'id' | 'allRunning'>> };
  readonly runtime: Pick<Runtime, 'usage'>;
  readonly network: Pick<PodNetwork, 'traffic'>;
  readonly clock: Clock;
  /** Of /proc, unless told. */
  readonly host?: () => Promise<HostReading>;
}

/** Between the two readings of a first answer: a CPU's use is counted finely, but what it does changes. */
const firstMs = 500;
/** Pods read at a time. */
const width = 8;

interface Kept<T> {
  readonly at: number;
  readonly reading: Promise<T>;
}

export class Sampler {
  readonly #options: SamplerOptions;
  readonly #pods = new Map<string, Kept<PodReading>>();
  #host: Kept<HostReading> | null = null;
  #watchers = 0;

  constructor(options: SamplerOptions) {
    this.#options = options;
  }

  /** Once, or every `everyMs` until the signal fires; of the pods with these ids, or all with null. */
  async *watch(wanted: ReadonlySet<string> | null, everyMs: number | null, signal: AbortSignal): AsyncGenerator<AgentStats> {
    const { clock } = this.#options;
    this.#watchers++;
    try {
      let before = await this.#read(wanted, firstMs);
      let pause = firstMs;
      while (!signal.aborted) {
        await clock.sleep(pause, signal);
        // Less than the pause, so that it is never what was read the time before.
        const after = await this.#read(wanted, pause / 2);
        yield statsBetween(before, after);
        if (everyMs === null) return;
        before = after;
        pause = Math.max(statsEvery.leastMs, everyMs);
      }
    } finally {
      if (--this.#watchers === 0) {
        this.#pods.clear();
        this.#host = null;
      }
    }
  }

  async #read(wanted: ReadonlySet<string> | null, maxAgeMs: number): Promise<Reading> {
    const workers = [...this.#options.pods.workers()];
    const here = new Set(workers.map(({ id }) => id));
    for (const id of this.#pods.keys()) if (!here.has(id)) this.#pods.delete(id);
    const oldest = this.#options.clock.monotonic() - maxAgeMs;
    if (!this.#host || this.#host.at < oldest) this.#host = this.#keep((this.#options.host ?? readHost)());
    const host = this.#host.reading;
    const rest = workers.filter(({ id }) => wanted === null || wanted.has(id));
    const pods: PodReading[] = [];
    for (let at = 0; at < rest.length; at += width) {
      pods.push(...(await Promise.all(rest.slice(at, at + width).map((worker) => {
        const kept = this.#pods.get(worker.id);
        if (kept && kept.at >= oldest) return kept.reading;
        const fresh = this.#keep(this.#readPod(worker));
        this.#pods.set(worker.id, fresh);
        return fresh.reading;
      }))));
    }
    return { host: await host, pods };
  }

  #keep<T>(reading: Promise<T>): Kept<T> {
    // Whoever waits for it hears of its failure.
    reading.catch(() => {});
    return { at: this.#options.clock.monotonic(), reading };
  }

  async #readPod(worker: Pick<PodWorker, 'id' | 'allRunning'>): Promise<PodReading> {
    const { runtime, network, clock } = this.#options;
    const running = worker.allRunning();
    const [traffic, ...containers] = await Promise.all([
      running.length > 0 ? network.traffic(worker.id).catch(() => null) : null,
      ...running.map(async ({ container, attempt, id }): Promise<ContainerReading | null> => {
        const at = clock.monotonic();
        const usage = await runtime.usage(id);
        return usage && { podId: worker.id, container, attempt, at, usage };
      }),
    ]);
    return { containers: containers.filter((reading) => reading !== null), network: traffic };
  }
}

async function readHost(): Promise<HostReading> {
  const [stat, meminfo] = await Promise.all([readFile('/proc/stat', 'utf8'), readFile('/proc/meminfo', 'utf8')]);
  return hostReading(stat, meminfo);
}
