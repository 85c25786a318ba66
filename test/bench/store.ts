/**
 * The store beside etcd3's own client on the same etcd: commits one after another, many at once and in batches; how long a
 * change takes to reach an informer; listing ten thousand keys.
 *
 * Run: `node test/bench/store.ts`. Needs etcd. Ratios are against the library in the same run; on two busy cores they were:
 * one after another 0.7–0.8, 64 at once 0.45–0.6 (a commit is a transaction that can be settled when its reply is lost, the
 * library's a bare put), batches 1.06, list 1.25, commit to informer 1.3–1.6.
 */
import { spawn } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Etcd3 } from 'etcd3';
import { EtcdStore } from '../../master/store/etcd.ts';
import { commitAll } from '../../master/store/commit.ts';
import type { Op } from '../../master/store/port.ts';

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

const dir = await mkdtemp(join(tmpdir(), 'tsorch-bench-store-'));
const endpoint = `http://127.0.0.1:${await freePort()}`;
const peer = `http://127.0.0.1:${await freePort()}`;
// The shell ends etcd when its input closes, also when this process is killed.
const etcd = spawn('sh', ['-c', '"$@" >/dev/null 2>&1 & pid=$!; read _; kill -9 $pid', 'sh',
  'etcd', '--data-dir', join(dir, 'data'), '--listen-client-urls', endpoint, '--advertise-client-urls', endpoint, '--listen-peer-urls', peer], { stdio: ['pipe', 'ignore', 'ignore'] });

const value = (i: number) => ({ id: `e${i}`, at: i, subject: 'pod/x7k2m9qd0c', message: 'x'.repeat(300) });
const put = (i: number): Op => ({ op: 'put', kind: 'events', id: `e${i}`, value: value(i) });

async function timed(count: number, run: () => Promise<unknown>): Promise<number> {
  const start = performance.now();
  await run();
  return count / ((performance.now() - start) / 1000);
}

async function inParallel(count: number, width: number, run: (i: number) => Promise<unknown>): Promise<void> {
  let next = 0;
  await Promise.all(Array.from({ length: width }, async () => {
    while (next < count) await run(next++);
  }));
}

function percentile(values: readonly number[], part: number): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length * part)] ?? Number.NaN;
}

const rows: { readonly what: string; readonly tsorch: string; readonly etcd3: string; readonly ratio: string }[] = [];
function row(what: string, ours: number, theirs: number, unit: string): void {
  rows.push({ what, tsorch: `${ours.toFixed(ours < 10 ? 2 : 0)} ${unit}`, etcd3: `${theirs.toFixed(theirs < 10 ? 2 : 0)} ${unit}`, ratio: (ours / theirs).toFixed(2) });
}

const store = new EtcdStore({ endpoints: [endpoint] });
const library = new Etcd3({ hosts: endpoint });
const controller = new AbortController();
try {
  for (;;) {
    if (await store.commit([put(0)]).then(() => true, () => false)) break;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  const raw = (i: number) => library.put(`raw/e${i}`).value(JSON.stringify(value(i))).exec();
  await inParallel(500, 16, (i) => store.commit([put(i)]));
  await inParallel(500, 16, raw);

  row('one after another', await timed(1000, () => inParallel(1000, 1, (i) => store.commit([put(i)]))), await timed(1000, () => inParallel(1000, 1, raw)), 'commits/s');
  row('64 at once', await timed(8000, () => inParallel(8000, 64, (i) => store.commit([put(i)]))), await timed(8000, () => inParallel(8000, 64, raw)), 'commits/s');
  const plan = Array.from({ length: 10_000 }, (_, i) => put(i));
  const rawBatches = () => inParallel(100, 1, (i) => {
    const ops = plan.slice(i * 100, i * 100 + 100).map((op, k) => library.put(`raw/${op.id}`).value(JSON.stringify(value(i * 100 + k))));
    return library.if('raw/none', 'Create', '==', 0).then(...ops).commit();
  });
  row('batches of 100', await timed(10_000, () => commitAll(store, plan)), await timed(10_000, rawBatches), 'ops/s');

  const lists = 10;
  row('list of 10 000', 1000 / await timed(lists, () => inParallel(lists, 1, () => store.list('events'))), 1000 / await timed(lists, () => inParallel(lists, 1, async () => {
    const all = await library.getAll().prefix('raw/').strings();
    return Object.values(all).map((text) => JSON.parse(text) as unknown);
  })), 'ms');

  // From the call of commit to the informer's and the library watcher's word of it.
  const told = new Map<string, () => void>();
  await new Promise<void>((resolve) => store.watch(['events'], { changes: (changes) => {
    for (const { id } of changes) told.get(id)?.();
    resolve();
  } }, controller.signal));
  const watcher = await library.watch().prefix('raw/').create();
  watcher.on('put', (kv) => told.get(kv.key.toString())?.());
  const latency = async (id: (i: number) => string, write: (i: number) => Promise<unknown>) => {
    const times: number[] = [];
    for (let i = 0; i < 500; i++) {
      const start = performance.now();
      await Promise.all([new Promise<void>((resolve) => told.set(id(i), resolve)), write(i)]);
      times.push(performance.now() - start);
      told.delete(id(i));
    }
    return times;
  };
  const ours = await latency((i) => `e${i}`, (i) => store.commit([put(i)]));
  const theirs = await latency((i) => `raw/e${i}`, raw);
  row('commit to informer, p50', percentile(ours, 0.5), percentile(theirs, 0.5), 'ms');
  row('commit to informer, p99', percentile(ours, 0.99), percentile(theirs, 0.99), 'ms');
  await watcher.cancel();
  console.table(rows);
} finally {
  controller.abort();
  await store.close();
  library.close();
  etcd.stdin.destroy();
  await new Promise((resolve) => etcd.once('exit', resolve));
  await rm(dir, { recursive: true, force: true });
}
