/**
 * The agent's own cost, runtime and kernel being fakes: pods from assignment to ready and away again, and reading logs, beside
 * the plainest Node program for the same bytes. `node test/bench/agent.ts`. Two cores that others kept busy gave, in four runs: 4–20 ms
 * per pod to ready with 4–11 ms of CPU (a real container takes 50), 2–7 ms away; logs at 0.95 and 3.8 of a bare split into lines of the
 * whole file; a line is with its follower after 1 ms.
 */
import { execFileSync } from 'node:child_process';
import fs from 'node:fs/promises';
import path from 'node:path';
import { LogStore } from '../../agent/logs/store.ts';
import { systemClock } from '../../lib/clock.ts';
import { silentLog } from '../../lib/log.ts';
import type { LogChunk } from '../../model/log-chunk.ts';
import { TestHost } from '../unit/agent/pods/host.ts';
import { assignment } from '../unit/agent/pods/specs.ts';

const pods = 50;
const rounds = 5;
const megabytes = 64;

const host = await TestHost.make();
try {
  await benchPods();
  await benchLogs();
} finally {
  await host.dispose();
}

async function benchPods(): Promise<void> {
  const agent = await host.start();
  const results: { wall: number; cpu: number; away: number }[] = [];
  for (let round = 0; round <= rounds; round++) {
    const all = Array.from({ length: pods }, (_, i) => assignment(`r${round}p${i}`, { pod: { ip: `10.32.1.${i + 2}`, slot: i + 1 } }));
    const cpu = process.cpuUsage();
    const begun = performance.now();
    agent.assign({ upsert: all, remove: [], full: true });
    await until(() => all.every(({ pod }) => host.statuses.get(pod.id)?.ready === true));
    const wall = performance.now() - begun;
    const used = process.cpuUsage(cpu);
    const leaving = performance.now();
    agent.assign({ upsert: [], remove: [], full: true });
    await until(() => all.every(({ pod }) => host.gone.includes(pod.id)));
    // The first round warms up.
    if (round > 0) results.push({ wall: wall / pods, cpu: (used.user + used.system) / 1000 / pods, away: (performance.now() - leaving) / pods });
  }
  print(`${pods} pods to ready, ms each`, results.map((r) => r.wall));
  print('  CPU ms each', results.map((r) => r.cpu));
  print(`${pods} pods away, ms each`, results.map((r) => r.away));
  print('an fsynced file replaced, ms', await fsyncs());
}

async function fsyncs(): Promise<number[]> {
  const { writeWhole } = await import('../../agent/state.ts');
  const times: number[] = [];
  for (let i = 0; i < 20; i++) {
    const begun = performance.now();
    await writeWhole(path.join(host.directory, 'probe.json'), 'x'.repeat(2000), { sync: true });
    times.push(performance.now() - begun);
  }
  return times;
}

async function benchLogs(): Promise<void> {
  const stop = new AbortController();
  const logs = new LogStore({ directory: path.join(host.directory, 'bench-logs'), clock: systemClock, log: silentLog, signal: stop.signal, limit: 4 * megabytes * 1e6 });
  const { stdout } = await logs.begin({ id: 'p', service: 's', slot: '1', createdAt: 0 }, 'main', 1);
  execFileSync('sh', ['-c', `yes '2026-01-01T00:00:00Z GET /index.html 200 12ms some more text of a usual line' | { head -c ${megabytes}000000; echo; } >> "$1"`, 'sh', stdout]);
  await logs.end('p', 'main', 1);
  const ours: number[] = [];
  const plain: number[] = [];
  let lines = 0;
  for (let i = 0; i < rounds; i++) {
    let begun = performance.now();
    lines = 0;
    for await (const chunks of logs.read('p', { follow: false }, stop.signal)) lines += linesIn(chunks);
    ours.push((megabytes * 1000) / (performance.now() - begun));
    begun = performance.now();
    const split = (await fs.readFile(stdout, 'utf8')).split('\n').length - 1;
    plain.push((megabytes * 1000) / (performance.now() - begun));
    if (split !== lines) throw new Error(`${lines} lines read, ${split} are there`);
  }
  print(`read ${megabytes} MB of logs, MB/s`, ours);
  print('  readFile and split, MB/s', plain);
  console.log(`  ratio ${(median(ours) / median(plain)).toFixed(2)}`);
  const tails: number[] = [];
  for (let i = 0; i < 20; i++) {
    const begun = performance.now();
    let seen = 0;
    for await (const chunks of logs.read('p', { follow: false, tail: 100 }, stop.signal)) seen += linesIn(chunks);
    tails.push(performance.now() - begun);
    if (seen !== 100) throw new Error(`tail gave ${seen} lines`);
  }
  print('tail of 100 lines, ms', tails);
  await benchFollow(logs, stop.signal);
  stop.abort();
}

/** Decoded and split, as the peer does it. */
function linesIn(chunks: readonly LogChunk[]): number {
  return chunks.reduce((sum, { data }) => sum + Buffer.from(data.buffer, data.byteOffset, data.byteLength).toString().split('\n').length - 1, 0);
}

/** From the write to the reader. */
async function benchFollow(logs: LogStore, signal: AbortSignal): Promise<void> {
  const { stdout } = await logs.begin({ id: 'f', service: 's', slot: '2', createdAt: 0 }, 'main', 1);
  const reading = logs.read('f', { follow: true }, signal);
  const times: number[] = [];
  for (let i = 0; i < 50; i++) {
    const next = reading.next();
    await systemClock.sleep(60);
    const begun = performance.now();
    await fs.appendFile(stdout, `line ${i}\n`);
    await next;
    times.push(performance.now() - begun);
  }
  await reading.return(undefined);
  print('a line from the file to a follower, ms', times);
}

/** Seldom enough not to be measured itself. */
async function until(what: () => boolean): Promise<void> {
  while (!what()) await systemClock.sleep(2);
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[values.length >> 1] ?? 0;
}

function print(name: string, values: readonly number[]): void {
  console.log(`${name}: ${median(values).toFixed(2)} (${Math.min(...values).toFixed(2)}–${Math.max(...values).toFixed(2)})`);
}
