/** A real local cluster of its own: hosts in namespaces, etcd, containerd, kernel. Taken down whatever happens. */
import { mkdir, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { NodeListItem, PodDetail, PodListItem, ServiceListItem } from '../../../model/api.ts';
import { own } from '../../own.ts';
import { directoryOf, remove, removeAbandoned } from './remains.ts';
import { Running } from './running.ts';
import { root, run, until, type Output, type RunOptions } from './tsorch.ts';

export class Cluster {
  readonly name: string;
  readonly dir: string;
  readonly #env: Readonly<Record<string, string>>;

  private constructor(name: string, dir: string) {
    this.name = name;
    this.dir = dir;
    this.#env = { TSORCH_CONFIG: join(dir, 'context.json'), NO_COLOR: '1' };
  }

  /** Brings one of this run's own up, called after `base`; what killed runs left of theirs is removed first. */
  static async own(base: string, flags: readonly string[] = []): Promise<Cluster> {
    await removeAbandoned(base);
    return await Cluster.up(own(base), flags);
  }

  /** Brings one of exactly that name up; an earlier run's remains of it are removed first. */
  static async up(name: string, flags: readonly string[] = []): Promise<Cluster> {
    await remove(name);
    const dir = directoryOf(name);
    await mkdir(dir, { recursive: true });
    const cluster = new Cluster(name, dir);
    await cluster.start(flags);
    return cluster;
  }

  get stateDir(): string {
    return join(this.dir, 'state');
  }

  async start(flags: readonly string[] = []): Promise<void> {
    await this.ok(['up', '--name', this.name, '--state-dir', this.stateDir, ...flags], { timeoutMs: 180_000 });
  }

  async stop(flags: readonly string[] = []): Promise<void> {
    await this.ok(['down', '--name', this.name, '--state-dir', this.stateDir, ...flags], { timeoutMs: 120_000 });
  }

  async destroy(): Promise<void> {
    await this.stop(['--purge']);
    await rm(this.dir, { recursive: true, force: true });
  }

  tsorch(args: readonly string[], options: RunOptions = {}): Promise<Output> {
    return run(join(root, 'bin/tsorch'), args, { ...options, env: { ...this.#env, ...options.env } });
  }

  /** Starts a command that goes on. Whoever starts it ends it. */
  open(args: readonly string[]): Running {
    return new Running(join(root, 'bin/tsorch'), args, this.#env);
  }

  /** Must succeed; its standard output. */
  async ok(args: readonly string[], options: RunOptions = {}): Promise<string> {
    const output = await this.tsorch(args, options);
    if (output.code !== 0) throw new Error(`tsorch ${args.join(' ')} ended with ${output.code}\n${output.stdout}${output.stderr}`);
    return output.stdout;
  }

  async json<T>(args: readonly string[]): Promise<T> {
    return JSON.parse(await this.ok([...args, '--format', 'json'])) as T;
  }

  pods(target?: string): Promise<PodListItem[]> {
    return this.json<PodListItem[]>(['ps', ...(target === undefined ? [] : [target])]);
  }

  nodes(): Promise<NodeListItem[]> {
    return this.json<NodeListItem[]>(['nodes']);
  }

  services(): Promise<ServiceListItem[]> {
    return this.json<ServiceListItem[]>(['services']);
  }

  pod(id: string): Promise<PodDetail> {
    return this.json<PodDetail>(['inspect', `pod/${id}`]);
  }

  /** Address of a host by node name. */
  async address(node: string): Promise<string> {
    const found = (await this.nodes()).find((candidate) => candidate.name === node);
    if (!found) throw new Error(`no node ${node}`);
    return found.address;
  }

  /** Pids of the containers' processes, by pod id. */
  async pids(): Promise<Map<string, number>> {
    const result = new Map<string, number>();
    for (const item of await this.pods()) {
      const pid = (await this.pod(item.id)).status?.containers[0]?.pid;
      if (pid !== undefined) result.set(item.id, pid);
    }
    return result;
  }

  /** Runs a command inside a service's container. */
  exec(target: string, argv: readonly string[], options: RunOptions = {}): Promise<Output> {
    return this.tsorch(['exec', target, '--', ...argv], options);
  }

  /** Waits until every service of the stack has all its pods ready. */
  async ready(stack: string, timeoutMs = 60_000): Promise<void> {
    await until(`${stack} to be ready`, async () => {
      const services = (await this.services()).filter((service) => service.stack === stack);
      return services.length > 0 && services.every((service) => service.ready === service.desired && service.desired > 0);
    }, timeoutMs);
  }

  /** The end of a program's log, for failures. */
  async log(file: string): Promise<string> {
    return (await readFile(join(this.stateDir, 'log', file), 'utf8').catch(() => '')).split('\n').slice(-60).join('\n');
  }
}
