/** The cluster under measurement, a client of its API, and what can be seen of it from outside. Gone at the end, also after a kill. */
import { readFile, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ApiClient, segment } from '../../../cli/client.ts';
import type { ContextFile } from '../../../cli/context/file.ts';
import type { PodListItem, ServiceListItem } from '../../../model/api.ts';
import { loadStack } from '../../../model/stack/load.ts';
import type { StackSpec } from '../../../model/spec.ts';
import { Cluster } from '../../cluster/lib/cluster.ts';
import { directoryOf } from '../../cluster/lib/remains.ts';
import { root, until } from '../../cluster/lib/tsorch.ts';
import { Guard } from './guard.ts';
import { everythingLeft } from './leftovers.ts';
import { now, StoreTrace } from './trace.ts';

export const clusterName = 't-bench';

type WatchEvent = { readonly kind: string; readonly type?: 'put' | 'delete'; readonly id: string; readonly value?: unknown };

export class Lab {
  readonly cluster: Cluster;
  readonly api: ApiClient;
  readonly trace: StoreTrace;
  readonly pods = new Map<string, PodListItem>();
  readonly services = new Map<string, ServiceListItem>();
  readonly #guard: Guard;
  readonly #over: AbortController;
  readonly #waiting = new Set<() => void>();

  private constructor(cluster: Cluster, guard: Guard, api: ApiClient, trace: StoreTrace, over: AbortController) {
    this.cluster = cluster;
    this.#guard = guard;
    this.api = api;
    this.trace = trace;
    this.#over = over;
  }

  /** `flags`: of `tsorch up`. */
  static async open(flags: readonly string[] = []): Promise<Lab> {
    const guarded = join(tmpdir(), `tsorch-${clusterName}-guard`);
    const guard = new Guard('for i in 1 2 3; do "$1/bin/tsorch" down --name "$2" --purge && break; sleep 1; done; rm -rf "$3" "$4"', [root, clusterName, directoryOf(clusterName), guarded], { TSORCH_CONFIG: join(guarded, 'context.json') });
    const over = new AbortController();
    try {
      const cluster = await Cluster.up(clusterName, flags);
      const { contexts, current } = JSON.parse(await readFile(join(cluster.dir, 'context.json'), 'utf8')) as ContextFile;
      const context = contexts[current ?? ''];
      if (!context) throw new Error('`tsorch up` left no context');
      const lab = new Lab(cluster, guard, new ApiClient(context, over.signal), await StoreTrace.open(cluster.stateDir, over.signal), over);
      await lab.#watch();
      return lab;
    } catch (error) {
      over.abort();
      await guard.release();
      throw error;
    }
  }

  async close(): Promise<void> {
    this.#over.abort();
    this.api.close();
    await this.trace.store.close();
    await this.#guard.release();
  }

  /** Socket of a host's containerd. */
  containerd(index: number): string {
    return `/run/tsorch/${clusterName}/node-${index}/containerd.sock`;
  }

  spec(yaml: string, name: string): StackSpec {
    const result = loadStack({ files: [{ path: `${name}.yml`, content: `name: ${name}\n${yaml}` }], env: {}, workingDir: '/', readFile: () => null });
    if (!result.ok) throw new Error(result.errors.map((error) => error.message).join('\n'));
    return result.stack;
  }

  /** Times of the call and of its answer. */
  async apply(spec: StackSpec): Promise<{ readonly called: number; readonly answered: number }> {
    const called = now();
    await this.api.json('PUT', `/v1/stacks/${segment(spec.name)}`, { body: spec });
    return { called, answered: now() };
  }

  remove(stack: string): Promise<unknown> {
    return this.api.json('DELETE', `/v1/stacks/${segment(stack)}`);
  }

  of(stack: string): PodListItem[] {
    return Array.from(this.pods.values()).filter((pod) => pod.stack === stack);
  }

  /** Wanted, running and ready. */
  running(stack: string): PodListItem[] {
    return this.of(stack).filter((pod) => pod.desired === 'running' && pod.state === 'running' && pod.ready);
  }

  /** Time at which the API's stream of changes first showed it. */
  async seen(what: string, holds: () => boolean, timeoutMs = 60_000): Promise<number> {
    if (holds()) return now();
    let check: (() => void) | undefined;
    let timer: NodeJS.Timeout | undefined;
    try {
      return await new Promise<number>((resolve, reject) => {
        timer = setTimeout(() => reject(new Error(`not within ${timeoutMs} ms: ${what}; pods: ${Array.from(this.pods.values(), (pod) => `${pod.name} ${pod.state} ${pod.message}`).join(', ')}`)), timeoutMs);
        check = () => {
          if (holds()) resolve(now());
        };
        this.#waiting.add(check);
      });
    } finally {
      clearTimeout(timer);
      if (check) this.#waiting.delete(check);
    }
  }

  /** Applies, waits until all run, and returns the three times. */
  async up(spec: StackSpec, count: number): Promise<{ readonly called: number; readonly answered: number; readonly running: number }> {
    const times = await this.apply(spec);
    return { ...times, running: await this.seen(`${count} pods of ${spec.name}`, () => this.running(spec.name).length === count) };
  }

  /** Removes and waits until nothing is left: pods and records, containers, namespaces, cgroups. Milliseconds. */
  async down(stack: string): Promise<number> {
    const begun = now();
    await this.remove(stack);
    await this.seen(`${stack} to go`, () => this.of(stack).length === 0 && !Array.from(this.services.values()).some((service) => service.stack === stack));
    await until(`all of ${stack} to be gone`, async () => everythingLeft(clusterName).length === 0 && (await this.api.get<PodListItem[]>('/v1/pods', { stack, all: true })).length === 0, 60_000, 4);
    return now() - begun;
  }

  async loadImage(path: string): Promise<void> {
    await this.cluster.ok(['image', 'load', path], { timeoutMs: 120_000 });
  }

  async writeFile(name: string, content: Uint8Array): Promise<string> {
    const path = join(this.cluster.dir, name);
    await writeFile(path, content);
    return path;
  }

  async #watch(): Promise<void> {
    await new Promise<void>((resolve) => void this.#follow(resolve));
  }

  /** Everything anew when the stream ends, as it does when a master is started again. */
  async #follow(synced: () => void): Promise<void> {
    const { signal } = this.#over;
    while (!signal.aborted) {
      try {
        this.pods.clear();
        this.services.clear();
        for await (const event of this.api.events<WatchEvent>('/v1/watch')) {
          const map = event.kind === 'pod' ? this.pods : event.kind === 'service' ? this.services : undefined;
          if (event.type === 'put') map?.set(event.id, event.value as PodListItem & ServiceListItem);
          else if (event.type === 'delete') map?.delete(event.id);
          else if (event.kind === 'synced') synced();
          for (const check of this.#waiting) check();
        }
      } catch (error) {
        if (!signal.aborted) process.stderr.write(`watching again: ${String(error)}\n`);
      }
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }
}
