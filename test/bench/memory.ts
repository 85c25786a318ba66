/**
 * What an idle host costs in memory, and how long its programs are away when they are killed. As root:
 *
 *     npm run bench memory [-- seconds to wait until idle, default 60]
 *
 * A cluster of three hosts of its own; beside it, in the same run, what Node takes for doing nothing and for loading TLS and HTTP/2,
 * and, when it is installed, a Docker daemon as a swarm's only node.
 */
import { spawn } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Cluster } from '../cluster/lib/cluster.ts';
import { killProcess, processesOf } from '../cluster/lib/processes.ts';
import { root, until } from '../cluster/lib/tsorch.ts';
import { startDocker } from './cluster/docker.ts';
import { Guard } from './cluster/guard.ts';
import { median } from './cluster/report.ts';

const name = 't-mem-bench';
const hosts = [1, 2, 3];
const kills = 5;
/** The master replaces a host's pods when it is away for longer. */
const graceMs = 2500;

/** MB. */
interface Memory {
  readonly rss: number;
  readonly pss: number;
  /** Its own, which cannot be read from a file again. */
  readonly anonymous: number;
  /** Of that, the C library's heap. */
  readonly heap: number;
}

function memoryOf(pid: number): Memory {
  const total = readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8');
  const heap = /^\S+ \S+ \S+ \S+ \S+ +\[heap\]\n(?:.*\n)*?Rss: +(\d+)/m.exec(readFileSync(`/proc/${pid}/smaps`, 'utf8'))?.[1] ?? 0;
  const value = (key: string) => Number(new RegExp(`^${key}: +(\\d+)`, 'm').exec(total)?.[1] ?? 0) / 1024;
  return { rss: value('Rss'), pss: value('Pss'), anonymous: value('Anonymous'), heap: Number(heap) / 1024 };
}

function sum(all: readonly Memory[]): Memory {
  const of = (key: keyof Memory) => all.reduce((total, each) => total + each[key], 0);
  return { rss: of('rss'), pss: of('pss'), anonymous: of('anonymous'), heap: of('heap') };
}

function row(what: string, { rss, pss, anonymous, heap }: Memory): void {
  process.stdout.write(`| ${[what, ...[rss, pss, anonymous, heap].map((value) => value.toFixed(1))].join(' | ')} |\n`);
}

function commandOf(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ');
  } catch {
    return '';
  }
}

/** The one process of a host's agent and proxy. */
function hostProgram(cluster: Cluster, index: number): number {
  const pid = processesOf(cluster, `host-${index}`).find((each) => /\/cli\/main\.[jt]s host /.test(commandOf(each)));
  if (pid === undefined) throw new Error(`node-${index} has no host program`);
  return pid;
}

/** Memory of a Node that does nothing but what `script` says. */
async function nodeFloor(script: string): Promise<Memory> {
  const child = spawn(process.execPath, ['-e', `${script}; setInterval(() => {}, 1e9); console.log()`], { stdio: ['ignore', 'pipe', 'inherit'] });
  try {
    await new Promise((resolve, reject) => {
      child.stdout.once('data', resolve);
      child.once('exit', () => reject(new Error('node ended')));
    });
    await sleep(1000);
    return memoryOf(child.pid as number);
  } finally {
    child.kill('SIGKILL');
  }
}

async function dockerFloor(idleMs: number): Promise<void> {
  const docker = await startDocker().catch((error: Error) => {
    process.stdout.write(`\nno Docker daemon to compare with: ${error.message.split('\n')[0]}\n`);
    return null;
  });
  if (!docker) return;
  try {
    await sleep(idleMs);
    const pids = readdirSync('/proc').filter((entry) => /^\d+$/.test(entry)).map(Number).filter((pid) => commandOf(pid).includes('tsorch-bench-docker-'));
    const of = (program: string) => pids.filter((pid) => readFileSync(`/proc/${pid}/comm`, 'utf8').trim() === program).map(memoryOf);
    row(`dockerd ${docker.version}, swarm manager`, sum(of('dockerd')));
    row('its containerd', sum(of('containerd')));
    row('**Docker, one host**', sum([...of('dockerd'), ...of('containerd')]));
  } finally {
    await docker.close();
  }
}

/** From SIGKILL to the master's word that the node is back, by its log. Milliseconds. */
async function timeAway(cluster: Cluster, index: number): Promise<number> {
  const killed = Date.now();
  killProcess(hostProgram(cluster, index));
  return until(`node-${index} to be back`, async () => {
    const seen = Array.from((await cluster.log('master.log')).matchAll(/^(\S+) .*node connected node=(\S+) /gm)).filter(([, , node]) => node === `node-${index}`).map(([, at]) => Date.parse(at ?? ''));
    const back = seen.findLast((at) => at >= killed);
    return back === undefined ? false : { back };
  }, 30_000, 20).then(({ back }) => back - killed);
}

async function startUps(cluster: Cluster, what: string): Promise<void> {
  const times: number[] = [];
  for (let count = 0; count < kills; count++) {
    times.push(await timeAway(cluster, (count % hosts.length) + 1));
    // Its processes are the supervisor's fresh ones again, and its next end is a first one.
    await sleep(10_500 / hosts.length);
  }
  const text = times.map((each) => `${each}`).join(', ');
  process.stdout.write(`| ${what} | ${median(times)} ms | ${text} | ${times.every((each) => each < graceMs) ? 'within' : 'beyond'} the grace of ${graceMs} ms |\n`);
}

async function withBusyCores<T>(run: () => Promise<T>): Promise<T> {
  const busy = [0, 1].map(() => spawn(process.execPath, ['-e', 'const end = Date.now() + 120000; while (Date.now() < end);'], { stdio: 'ignore' }));
  try {
    return await run();
  } finally {
    for (const each of busy) each.kill('SIGKILL');
  }
}

const idleMs = Number(process.argv[2] ?? 60) * 1000;
const guard = new Guard('for i in 1 2 3; do "$1/bin/tsorch" down --name "$2" --purge && break; sleep 1; done; rm -rf "$3"/tsorch-"$2"-*', [root, name, tmpdir()], { TSORCH_CONFIG: join(tmpdir(), `tsorch-${name}-guard`, 'context.json') });
try {
  const cluster = await Cluster.up(name);
  await sleep(idleMs);
  process.stdout.write(`Idle for ${idleMs / 1000} s; MB. RSS counts what processes share in full for each, PSS by share.\n\n| what | RSS | PSS | anonymous | C heap |\n|---|---|---|---|---|\n`);
  row('Node, doing nothing', await nodeFloor(''));
  row('Node, TLS and HTTP/2 loaded', await nodeFloor('require("node:http2")'));
  for (const program of ['supervisor', 'master', 'etcd']) row(program, sum(processesOf(cluster, program).map(memoryOf)));
  for (const index of hosts) {
    const own = memoryOf(hostProgram(cluster, index));
    const containerd = sum(processesOf(cluster, `containerd-${index}`).map(memoryOf));
    row(`node-${index}: agent and proxy`, own);
    row(`node-${index}: containerd`, containerd);
    row(`**node-${index}**`, sum([own, containerd]));
  }
  await dockerFloor(Math.min(idleMs, 20_000));
  process.stdout.write('\n| SIGKILL of agent and proxy to session again | median | all, ms | |\n|---|---|---|---|\n');
  await startUps(cluster, 'machine idle');
  await withBusyCores(() => startUps(cluster, 'both cores busy'));
  await cluster.destroy();
} finally {
  await guard.release();
}
process.exit(0);
