/** What all scripts of a stack have printed, asked for once for all of its rows. */
import type { LogLine } from '../../../model/api.ts';
import type { Cluster } from '../lib/cluster.ts';
import { until } from '../lib/tsorch.ts';
import { endMark } from './row.ts';

export class Outputs {
  readonly #cluster: Cluster;
  readonly #stack: string;
  #known = new Map<string, string>();
  #asking: Promise<void> | null = null;

  constructor(cluster: Cluster, stack: string) {
    this.#cluster = cluster;
    this.#stack = stack;
  }

  /** Of the service's first pod, up to the end mark, once that is there. */
  async of(service: string): Promise<string> {
    return await until(`the output of ${service}`, async () => {
      const known = this.#ended(service);
      if (known !== null) return { text: known };
      await this.#ask();
      const now = this.#ended(service);
      if (now === null) throw new Error(`so far: ${this.#known.get(service) ?? 'nothing'}`);
      return { text: now };
    }, 60_000, 700).then(({ text }) => text);
  }

  #ended(service: string): string | null {
    const text = this.#known.get(service) ?? '';
    const end = text.indexOf(`${endMark}\n`);
    return end < 0 ? null : text.slice(0, end);
  }

  /** Those who come while a question is out wait for its answer. */
  async #ask(): Promise<void> {
    this.#asking ??= this.#read().finally(() => {
      this.#asking = null;
    });
    await this.#asking;
  }

  async #read(): Promise<void> {
    const text = await this.#cluster.ok(['logs', this.#stack, '--format', 'json']);
    const lines = text.split('\n').filter((line) => line !== '').map((line) => JSON.parse(line) as LogLine);
    const known = new Map<string, string>();
    for (const { pod, container, line, attempt } of lines) {
      // Of what else is in the pod each has its own row.
      const service = `${this.#stack}_${container}`;
      if (attempt === 1 && pod === `${service}.1`) known.set(service, `${known.get(service) ?? ''}${line.replace(/\r$/, '')}\n`);
    }
    this.#known = known;
  }
}
