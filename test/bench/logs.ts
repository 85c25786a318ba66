/**
 * Output of containers: written through the shim to our files, beside `dd | cat` into the same file system; read back by `tsorch logs`,
 * beside `cat` of the same file; what the host's program takes in memory meanwhile, followed and not; and exec by the API, beside
 * `crun exec` of the same container. On a local cluster of one host.
 *
 * Run as root: `node test/bench/logs.ts [rounds [megabytes]]`. Ratios are of the same run. On two cores with a load of 8 to 10 beside it they
 * were, with `3 200`, in two runs: written ×0.56 and ×0.60 of the floor (1165 and 839 MB/s), memory at most 8 MB more than before, followed
 * or not; exec ×1.31 and ×1.10 of crun's at p50 (56 and 104 ms). Read back by hand on the same machine, alone on it, 180 MB of one replica into a
 * file, the second of two runs: 30 MB/s with the command's start; of CPU, agent, master and command line took 14, 14 and 9 ms per MB.
 */
import { execFileSync, spawn } from 'node:child_process';
import { openSync, closeSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { once } from 'node:events';
import { join } from 'node:path';
import { Channel } from '../../cli/client/channel.ts';
import { resolveMaster } from '../../cli/context/resolve.ts';
import { Cluster } from '../cluster/lib/cluster.ts';
import { processesOf } from '../cluster/lib/processes.ts';
import { root } from '../cluster/lib/tsorch.ts';
import { busyboxImage, dockerArchive } from '../contract/agent/runtime/busybox.ts';

const rounds = Number(process.argv[2] ?? 5);
const megabytes = Number(process.argv[3] ?? 300);
const execs = 60;

const stack = `
name: bench
services:
  writer: { image: "bench-logs:1", command: ["sleep", "100000"], stop_grace_period: 0s }
  lines:
    image: bench-logs:1
    command: ["sleep", "100000"]
    stop_grace_period: 0s
    logging: { options: { max-size: "400m", max-file: "1" } }
`;

const median = (values: readonly number[]) => at(values, 0.5);
const at = (values: readonly number[], part: number) => values.toSorted((a, b) => a - b)[Math.min(values.length - 1, Math.floor(part * values.length))] ?? Number.NaN;
const say = (text: string) => process.stdout.write(`${text}\n`);
/** busybox says how long it took, as its last word. */
const speedOf = (text: string) => (megabytes * 16 * 65_536) / 1e6 / Number(text.trim().split('\n').at(-1));

const cluster = await Cluster.up('b-logs', ['--nodes', '1']);
try {
  const archive = join(cluster.dir, 'busybox.tar');
  writeFileSync(archive, await dockerArchive(await busyboxImage(), ['bench-logs:1']));
  writeFileSync(join(cluster.dir, 'stack.yml'), stack);
  await cluster.ok(['image', 'load', archive]);
  await cluster.ok(['apply', '-f', join(cluster.dir, 'stack.yml'), '--wait']);
  const program = processesOf(cluster, 'program-1')[0] as number;
  const rss = () => Number(/^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/${program}/status`, 'utf8'))?.[1]) / 1024;

  await writing(rss);
  await reading();
  await execing();
} finally {
  await cluster.destroy();
}

async function writing(rss: () => number): Promise<void> {
  const [ours, followed, floors]: [number[], number[], number[]] = [[], [], []];
  // The output of the container's own process, as it has it itself.
  const write = async () => speedOf((await cluster.exec('bench_writer', ['busybox', 'time', '-f', '%e', 'dd', 'if=/dev/zero', 'of=/proc/1/fd/1', 'bs=64k', `count=${megabytes * 16}`])).stderr);
  const before = rss();
  let [most, mostFollowed] = [0, 0];
  const sampled = async (work: () => Promise<number>, tell: (mb: number) => void) => {
    const timer = setInterval(() => tell(rss()), 20);
    try {
      return await work();
    } finally {
      clearInterval(timer);
    }
  };
  for (let round = 0; round < rounds; round++) {
    const file = join(cluster.stateDir, 'floor');
    floors.push(floor(file));
    ours.push(await sampled(write, (mb) => (most = Math.max(most, mb))));
    const follower = spawn(join(root, 'bin/tsorch'), ['logs', '-f', '--tail', '0', 'bench_writer'], { env: { ...process.env, TSORCH_CONFIG: join(cluster.dir, 'context.json') }, stdio: 'ignore' });
    followed.push(await sampled(write, (mb) => (mostFollowed = Math.max(mostFollowed, mb))));
    follower.kill('SIGINT');
    await once(follower, 'exit');
  }
  say(`written through the shim: ${median(ours).toFixed(0)} MB/s, while followed ${median(followed).toFixed(0)} MB/s; dd | cat into the same file system ${median(floors).toFixed(0)} MB/s (×${(median(ours) / median(floors)).toFixed(2)})`);
  say(`memory of the host's program: ${before.toFixed(0)} MB before, at most ${most.toFixed(0)} MB while ${megabytes} MB were written, ${mostFollowed.toFixed(0)} MB while they were followed too`);
}

/** One pipe and one process that copies, as the shim is. */
function floor(file: string): number {
  const text = execFileSync('sh', ['-c', `{ busybox time -f %e dd if=/dev/zero bs=64k count=${megabytes * 16} 2>&3 | cat > "$1"; } 3>&1`, 'sh', file]).toString();
  rmSync(file, { force: true });
  return speedOf(text);
}

async function reading(): Promise<void> {
  await cluster.exec('bench_lines', ['sh', '-c', 'busybox seq 10000000 30000000 | head -c 200000000 > /proc/1/fd/1']);
  const podId = (await cluster.pods('bench_lines'))[0]?.id ?? '';
  const file = join(cluster.stateDir, 'node-1/logs', podId, 'lines.1/stdout');
  const bytes = readFileSync(file).length;
  const [logs, cats]: [number[], number[]] = [[], []];
  for (let round = 0; round < rounds; round++) {
    const sink = openSync('/dev/null', 'w');
    cats.push(await timed(async () => void (await once(spawn('cat', [file], { stdio: ['ignore', sink, 'inherit'] }), 'exit'))));
    logs.push(await timed(async () => {
      const reader = spawn(join(root, 'bin/tsorch'), ['logs', '--no-prefix', 'bench_lines'], { env: { ...process.env, TSORCH_CONFIG: join(cluster.dir, 'context.json') }, stdio: ['ignore', sink, 'inherit'] });
      await once(reader, 'exit');
    }));
    closeSync(sink);
  }
  const speed = (ms: readonly number[]) => bytes / 1e3 / median(ms);
  say(`read back, ${(bytes / 1e6).toFixed(0)} MB of lines through agent, master and command line: ${speed(logs).toFixed(0)} MB/s with its start; cat ${speed(cats).toFixed(0)} MB/s (×${(speed(logs) / speed(cats)).toFixed(3)})`);
}

async function execing(): Promise<void> {
  const context = await resolveMaster({}, { TSORCH_CONFIG: join(cluster.dir, 'context.json') });
  const pod = (await cluster.pods('bench_writer'))[0];
  const pid = (await cluster.pod(pod?.id ?? '')).status?.containers[0]?.pid;
  const runs = '/run/containerd/runc/tsorch';
  const list = JSON.parse(execFileSync('crun', ['--root', runs, 'list', '--format', 'json']).toString()) as { id: string; pid: number }[];
  const id = list.find((each) => each.pid === pid)?.id;
  if (id === undefined) throw new Error(`crun knows no container of process ${pid}`);
  const [ours, floors]: [number[], number[]] = [[], []];
  for (let round = 0; round < execs; round++) {
    floors.push(await timed(async () => void (await once(spawn('crun', ['--root', runs, 'exec', id, 'true'], { stdio: 'ignore' }), 'exit'))));
    ours.push(await timed(async () => {
      const channel = new Channel(context, '/v1/exec', { target: 'bench_writer.1', argv: ['true'], env: {}, tty: false, stdin: false }, { output: () => {} });
      await channel.exit;
    }));
  }
  const line = (name: string, ms: readonly number[]) => `${name} p50 ${median(ms).toFixed(1)} ms, p99 ${at(ms, 0.99).toFixed(1)} ms`;
  say(`exec of true: ${line('by the API, a connection each', ours)}; ${line('crun exec', floors)} (×${(median(ours) / median(floors)).toFixed(2)} at p50)`);
}

async function timed(work: () => Promise<unknown>): Promise<number> {
  const start = performance.now();
  await work();
  return performance.now() - start;
}
