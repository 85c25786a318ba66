/** Stack files written by tests: shell scripts as commands, a directory that test and containers share, applied under a name. */
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { ContainerStatus, PodStatus } from '../../../model/pod.ts';
import type { Cluster } from './cluster.ts';
import { until } from './tsorch.ts';

/** A command for YAML, with what Compose would fill in left to the shell. */
export function sh(script: string): string {
  return JSON.stringify(['sh', '-c', script]).replaceAll('$', () => '$$');
}

/** Stays until told to end, and says when it begins and ends. */
export function stays(name: string, first = ''): string {
  return `trap 'echo ${name} ends >> /out/log; exit 0' TERM; ${first} echo ${name} begins >> /out/log; sleep 1000 & wait`;
}

/** The directory that containers have as /out, wherever they run: all hosts of a local cluster are one machine. */
export class Shared {
  readonly directory: string;

  constructor(cluster: Cluster) {
    this.directory = join(cluster.dir, 'out');
    mkdirSync(this.directory, { recursive: true, mode: 0o777 });
  }

  path(name: string): string {
    return join(this.directory, name);
  }

  put(name: string, text = '', mode = 0o666): void {
    mkdirSync(join(this.path(name), '..'), { recursive: true });
    writeFileSync(this.path(name), text, { mode });
  }

  remove(name: string): void {
    rmSync(this.path(name), { force: true });
  }

  lines(name = 'log'): readonly string[] {
    return existsSync(this.path(name)) ? readFileSync(this.path(name), 'utf8').split('\n').filter(Boolean) : [];
  }
}

export async function apply(cluster: Cluster, name: string, text: string, flags: readonly string[] = []): Promise<void> {
  const file = join(cluster.dir, `${name}.yml`);
  writeFileSync(file, text);
  await cluster.ok(['apply', '-f', file, '-p', name, ...flags], { timeoutMs: 90_000 });
}

export async function statusOf(cluster: Cluster, pod: string): Promise<PodStatus | undefined> {
  const [found] = await cluster.pods(pod);
  return found && ((await cluster.pod(found.id)).status ?? undefined);
}

/** Waits until a container of the service's one pod is so. */
export async function container(cluster: Cluster, service: string, name: string, is: (container: ContainerStatus) => boolean, timeoutMs = 30_000): Promise<ContainerStatus> {
  return until(`container ${name} of ${service}`, async () => {
    const seen = (await statusOf(cluster, service))?.containers.find((one) => one.name === name);
    return seen && is(seen) ? seen : Promise.reject(new Error(JSON.stringify(seen)));
  }, timeoutMs, 200);
}

/** Waits until `ps` says so of the service's one pod. */
export async function says(cluster: Cluster, service: string, message: RegExp): Promise<void> {
  await until(`${service} to say ${String(message)}`, async () => {
    const pods = await cluster.pods(service);
    return pods.some((pod) => message.test(pod.message)) || Promise.reject(new Error(JSON.stringify(pods)));
  }, 30_000, 200);
}
