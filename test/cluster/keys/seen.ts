/** What can be looked at of a row's service. */
import { readFileSync } from 'node:fs';
import { readdir, readFile, readlink } from 'node:fs/promises';
import { join } from 'node:path';
import { expect } from 'vitest';
import type { PodDetail, PodListItem, ServiceDetail, ServiceListItem } from '../../../model/api.ts';
import type { Cluster } from '../lib/cluster.ts';
import { until } from '../lib/tsorch.ts';
import type { Outputs } from './outputs.ts';
import { words, type Expected } from './row.ts';

export interface AppliedStack {
  readonly cluster: Cluster;
  readonly name: string;
  readonly applied: string;
  readonly dir: string;
  readonly outputs: Outputs;
}

export class Seen {
  readonly cluster: Cluster;
  readonly stack: string;
  /** The service's id. */
  readonly id: string;
  /** What `tsorch apply` printed. */
  readonly applied: string;
  /** Where the stack file is. */
  readonly dir: string;
  readonly #outputs: Outputs;

  constructor(stack: AppliedStack, name: string) {
    this.cluster = stack.cluster;
    this.stack = stack.name;
    this.id = `${stack.name}_${name}`;
    this.applied = stack.applied;
    this.dir = stack.dir;
    this.#outputs = stack.outputs;
  }

  /** Another service of the stack. */
  of(name: string): Seen {
    return new Seen({ cluster: this.cluster, name: this.stack, applied: this.applied, dir: this.dir, outputs: this.#outputs }, name);
  }

  /** What the service's script printed, once all of it is there. */
  output(): Promise<string> {
    return this.#outputs.of(this.id);
  }

  /** Waits for something in its output, for what has no end. */
  async printed(pattern: RegExp): Promise<void> {
    await this.until(`output like ${String(pattern)}`, async () => {
      const { stdout, stderr } = await this.cluster.tsorch(['logs', this.id, '--no-prefix']);
      if (!pattern.test(stdout)) throw new Error(`so far: ${stdout}${stderr}`);
      return true;
    });
  }

  /** A file beside the stack file, as a bind mount has left it. */
  file(path: string): string {
    return readFileSync(join(this.dir, path), 'utf8');
  }

  /** This process's namespace, which is the machine's. */
  async own(kind: string): Promise<string> {
    return await readlink(`/proc/self/ns/${kind}`);
  }

  /** A file of the bundle that a host's containerd made for the container: what the OCI runtime was told. */
  async bundle(file: string): Promise<string> {
    const { node, id } = await this.pod();
    const tasks = join('/run/tsorch', this.cluster.name, node ?? '', 'containerd/io.containerd.runtime.v2.task/tsorch');
    const bundle = (await readdir(tasks)).find((name) => name.startsWith(`${id}.`));
    if (bundle === undefined) throw new Error(`no bundle of ${id} below ${tasks}`);
    return await readFile(join(tasks, bundle, file), 'utf8');
  }

  /** Runs a script in the container, or in one of the pod's; what it printed on both outputs. */
  async sh(script: string, flags: readonly string[] = []): Promise<string> {
    const { stdout, stderr } = await this.cluster.tsorch(['exec', ...flags, this.id, '--', 'sh', '-c', `exec 2>&1\n${words}\n${script}`]);
    return stdout + stderr;
  }

  pods(all = false): Promise<PodListItem[]> {
    return this.cluster.json<PodListItem[]>(['ps', this.id, ...(all ? ['-a'] : [])]);
  }

  async pod(): Promise<PodDetail> {
    const [first] = await this.pods();
    if (!first) throw new Error(`${this.id} has no pod`);
    return await this.cluster.pod(first.id);
  }

  /** What the host could not give as it was asked. */
  async warnings(): Promise<string> {
    return ((await this.pod()).status?.containers ?? []).flatMap(({ warnings }) => warnings ?? []).join('\n');
  }

  async listed(): Promise<ServiceListItem> {
    const found = (await this.cluster.services()).find((service) => service.id === this.id);
    if (!found) throw new Error(`there is no service ${this.id}`);
    return found;
  }

  service(): Promise<ServiceDetail> {
    return this.cluster.json<ServiceDetail>(['inspect', `service/${this.id}`]);
  }

  /** What is said of the service's pods: why they wait, what they could not have. */
  async said(pattern: RegExp): Promise<string> {
    return await until(`${this.id} to say ${String(pattern)}`, async () => {
      const messages = (await this.pods(true)).map(({ message, state }) => `${state}: ${message}`);
      const found = messages.find((message) => pattern.test(message));
      if (found === undefined) throw new Error(messages.join('\n'));
      return found;
    }, 80_000, 1000);
  }

  async until<T>(what: string, probe: () => Promise<T | false | undefined | null>): Promise<T> {
    return await until(`${this.id}: ${what}`, probe, 80_000, 1000);
  }
}

export function compare(text: string, expected: Expected): void {
  if (typeof expected === 'string') expect(text.trim()).toBe(expected);
  else if (expected instanceof RegExp) expect(text.trim()).toMatch(expected);
  else for (const pattern of expected) expect(text.trim()).toMatch(pattern);
}
