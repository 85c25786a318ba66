/** The processes of a local cluster, found by what they are (namespace, cgroup, command line), never guessed by name alone. */
import { readdirSync, readFileSync, readlinkSync, statSync } from 'node:fs';
import type { Cluster } from './cluster.ts';

interface Seen {
  readonly pid: number;
  readonly comm: string;
  readonly args: readonly string[];
  readonly cgroups: string;
  readonly netns: string;
}

function* everyProcess(): Generator<Seen> {
  for (const entry of readdirSync('/proc')) {
    if (!/^\d+$/.test(entry) || Number(entry) === process.pid) continue;
    try {
      // A zombie has no namespace any more and does not count.
      yield {
        pid: Number(entry), comm: readFileSync(`/proc/${entry}/comm`, 'utf8').trim(), args: readFileSync(`/proc/${entry}/cmdline`, 'utf8').split('\0').filter(Boolean),
        cgroups: readFileSync(`/proc/${entry}/cgroup`, 'utf8'), netns: readlinkSync(`/proc/${entry}/ns/net`),
      };
    } catch {
      // It ended while we looked.
    }
  }
}

/**
 * Pids of `master`, `etcd`, `supervisor`, `agent-N`, `proxy-N` (or `program-N`, both in one), `containerd-N`; of everything on a host (`host-N`); of its
 * containers' first processes (`pods-N`); of the whole cluster (`all`).
 */
export function processesOf(cluster: Cluster, what: string): number[] {
  const [kind = '', index = ''] = /^(.*?)(?:-(\d+))?$/.exec(what)?.slice(1) ?? [];
  return Array.from(everyProcess()).filter((seen) => matches(cluster, seen, kind, index)).map((seen) => seen.pid);
}

function matches(cluster: Cluster, seen: Seen, kind: string, index: string): boolean {
  const of = (program: string) => seen.args.includes(program) && seen.args.some((arg) => /\/cli\/main\.[jt]s$/.test(arg)) && seen.args.includes(`/run/tsorch/${cluster.name}/${index === '' ? 'master' : `node-${index}`}`);
  switch (kind) {
    case 'master':
      return of('master');
    case 'agent':
    case 'proxy':
      return of(kind);
    case 'program':
      return of('host');
    case 'supervisor':
      return seen.args.some((arg) => arg.includes('supervisor')) && seen.args.some((arg) => arg.includes(`/run/tsorch/${cluster.name}`));
    case 'etcd':
      return seen.comm === 'etcd' && seen.args.some((arg) => arg.includes(cluster.stateDir));
    case 'containerd':
      return seen.comm === 'containerd' && seen.args.some((arg) => arg.includes(`/tsorch/${cluster.name}/node-${index}/`) || arg.includes(`${cluster.stateDir}/node-${index}/`));
    case 'host':
      return inHost(cluster, seen, index);
    case 'pods':
      return inPods(cluster, seen, index) && parentOf(seen.pid) !== undefined && isShim(parentOf(seen.pid) as number);
    case 'all':
      return seen.args.some((arg) => arg.includes(cluster.stateDir) || arg.includes(`/run/tsorch/${cluster.name}/`)) && !seen.args.some((arg) => arg === 'down' || arg.includes('vitest'));
    default:
      throw new Error(`no such kind of process: ${kind}`);
  }
}

function inHost(cluster: Cluster, seen: Seen, index: string): boolean {
  return seen.netns === hostNamespace(cluster, index) || inPods(cluster, seen, index);
}

function inPods(cluster: Cluster, seen: Seen, index: string): boolean {
  return seen.cgroups.includes(`/tsorch/${cluster.name}/node-${index}/`);
}

function hostNamespace(cluster: Cluster, index: string): string {
  try {
    return `net:[${statSync(`/run/netns/ts-${cluster.name}-${index}`).ino}]`;
  } catch {
    return 'none';
  }
}

function parentOf(pid: number): number | undefined {
  try {
    return Number(/^PPid:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]);
  } catch {
    return undefined;
  }
}

function isShim(pid: number): boolean {
  try {
    return readFileSync(`/proc/${pid}/comm`, 'utf8').startsWith('containerd-shim');
  } catch {
    return false;
  }
}

/** SIGKILL; a process that has just ended is no failure. */
export function killProcess(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}
