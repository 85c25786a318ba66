/**
 * A host's own manifests: a file of its directory, beside `PUT /v1/stacks` of the same stack at the master; an answer of its URL, on a
 * host without a master; what fifty stacks take of CPU while nothing changes, beside the same host with one; and reading two hundred
 * files, beside the loader alone with the same texts.
 *
 * As root: `node test/bench/sources.ts [rounds]`. Needs containerd, busybox. On two cores that others kept busy two rounds gave: a new file's pod
 * runs after ×1.6 of the time of the API's (100 ms are the file's coming to rest), a changed one's after ×1.1; 200 files read in ×2.0 of the
 * loader's time at the median, ×1.05 at the minimum; fifty stacks take no more CPU than one, 2 to 3 % of a core.
 */
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { DirectorySource } from '../../agent/manifests/directory.ts';
import { systemClock } from '../../lib/clock.ts';
import { silentLog } from '../../lib/log.ts';
import { loadStack } from '../../model/stack/load.ts';
import { LoneHost } from '../cluster/lib/lone-host.ts';
import { until } from '../cluster/lib/tsorch.ts';
import { busyboxImage, dockerArchive } from '../contract/agent/runtime/busybox.ts';
import { cpuOf } from './cluster/cpu.ts';
import { endWithin } from './cluster/deadline.ts';
import { Lab } from './cluster/lab.ts';
import { median, Report } from './cluster/report.ts';
import { tinyImage } from './cluster/stacks.ts';
import { now } from './cluster/trace.ts';

const rounds = Number(process.argv[2] ?? 5);
const files = 200;
const stacks = 50;
const idleMs = 12_000;

endWithin(4, 'sources');

const report = new Report();
const archive = await dockerArchive(await busyboxImage(), [tinyImage]);
await measureReading();
await measureChanges();
await measureAlone();
process.stdout.write(report.markdown());
process.exit(0);

/** Another `version` needs another pod. */
function stack(version: string): string {
  return `services:
  app:
    image: ${tinyImage}
    command: ["sleep", "1000000"]
    environment: { VERSION: "${version}" }
    stop_signal: SIGKILL
    deploy: { placement: { constraints: ["node.hostname == node-1"] } }
`;
}

/** Written beside and put in place. */
function put(directory: string, name: string, content: string | Uint8Array): void {
  writeFileSync(join(directory, `.${name}`), content);
  renameSync(join(directory, `.${name}`), join(directory, name));
}

async function measureReading(): Promise<void> {
  report.section(`${files} stack files`, 'Read by the directory\'s source in this process, files at rest; a file is of two services.');
  const directory = mkdtempSync(join(tmpdir(), 'tsorch-bench-sources-'));
  try {
    const paths = Array.from({ length: files }, (_, at) => join(directory, `stack-${at}.yml`));
    for (const [at, path] of paths.entries()) {
      writeFileSync(path, `${stack(String(at))}    ports: ["${10_000 + at}:80"]\n  db: { image: "postgres:16", environment: { A: b, C: d }, volumes: ["data:/var/lib/data"] }\nvolumes: { data: {} }\n`);
      utimesSync(path, 1e9, 1e9);
    }
    const [first, one, loader]: [number[], number[], number[]] = [[], [], []];
    for (let round = 0; round <= rounds; round++) {
      const over = new AbortController();
      const begun = now();
      const source = new DirectorySource({ directory, intervalMs: 60_000, env: {}, clock: systemClock, log: silentLog, signal: over.signal });
      await changeOf(source);
      const read = now() - begun;
      if (source.content?.entries?.filter((entry) => 'specs' in entry).length !== files) throw new Error(`not all of ${files} files were read`);
      const path = paths[round] ?? '';
      const changing = now();
      put(directory, `stack-${round}.yml`, readFileSync(path, 'utf8').replace('A: b', `A: b${round}`));
      await changeOf(source);
      const changed = now() - changing;
      over.abort();
      await source.done;
      const loading = now();
      for (const each of paths) {
        if (!loadStack({ files: [{ path: each, content: readFileSync(each, 'utf8') }], env: {}, workingDir: directory, defaultName: 'x', readFile: () => null }).ok) throw new Error(`${each} does not load`);
      }
      const loaded = now() - loading;
      utimesSync(path, 1e9, 1e9);
      // The first round warms up.
      if (round === 0) continue;
      first.push(read);
      one.push(changed);
      loader.push(loaded);
    }
    report.row('all read', first, `×${(median(first) / median(loader)).toFixed(2)} of the loader`);
    report.row('one of them changed → seen', one, '100 ms of it: a file is left to come to rest');
    report.row('limit: the loader alone', loader);
  } finally {
    rmSync(directory, { recursive: true });
  }
}

async function changeOf(source: DirectorySource): Promise<void> {
  await new Promise<void>((resolve) => source.onChange(resolve));
}

async function measureChanges(): Promise<void> {
  report.section('A stack file → pod running', 'On a cluster of three hosts, one pod on the first, image present; from the rename into the directory, or the call of the API, to the API\'s stream showing the pod as running.');
  const dir = mkdtempSync(join(tmpdir(), 'tsorch-bench-manifests-'));
  const manifests = join(dir, 'node-1');
  mkdirSync(manifests);
  put(manifests, 'image.tar', archive);
  writeFileSync(join(dir, 'cluster.yml'), 'hosts:\n  node-1: { manifests: ./node-1 }\n  node-2: {}\n  node-3: {}\n');
  const lab = await Lab.open(['-f', join(dir, 'cluster.yml')]);
  try {
    await lab.loadImage(await lab.writeFile('tiny.tar', archive));
    const took = { file: [] as number[], changed: [] as number[], applied: [] as number[], reapplied: [] as number[] };
    for (let round = 0; round <= rounds; round++) {
      const ways = [
        { name: 'file', first: took.file, second: took.changed, give: async (version: string) => put(manifests, 'file.yml', stack(version)) },
        { name: 'api', first: took.applied, second: took.reapplied, give: async (version: string) => void (await lab.apply(lab.spec(stack(version), 'api'))) },
      ];
      for (const { name, first, second, give } of ways) {
        const pods = new Set<string>();
        const times: number[] = [];
        for (const version of ['one', 'two']) {
          const begun = now();
          await give(version);
          times.push(await lab.seen(`a pod of ${version}`, () => lab.running(name).some(({ id }) => !pods.has(id))) - begun);
          for (const { id } of lab.of(name)) pods.add(id);
        }
        if (name === 'api') await lab.down('api');
        else {
          rmSync(join(manifests, 'file.yml'));
          await lab.seen('the pod of the file to go', () => lab.of('file').length === 0);
        }
        if (round === 0) continue;
        first.push(times[0] ?? Number.NaN);
        second.push(times[1] ?? Number.NaN);
      }
    }
    const against = (ours: readonly number[], theirs: readonly number[]) => `×${(median(ours) / median(theirs)).toFixed(2)} of the API`;
    report.row('a new file', took.file, against(took.file, took.applied));
    report.row('a changed file: one pod goes, one comes', took.changed, against(took.changed, took.reapplied));
    report.row('peer: a new stack at the API', took.applied);
    report.row('peer: a changed stack at the API', took.reapplied);
  } finally {
    await lab.close();
    rmSync(dir, { recursive: true });
  }
}

async function measureAlone(): Promise<void> {
  report.section('A host without a master', 'Running is what the host\'s own record of the pod says. CPU is of the host\'s program, agent and proxy; of its containerd and shims nothing is counted.');
  const host = await LoneHost.make('b-lone');
  let answer = 'services: {}\n';
  const server = createServer((_request, response) => response.end(answer));
  try {
    server.listen(0, host.address.replace(/\d+$/, '1'));
    await once(server, 'listening');
    const { port } = server.address() as { port: number };
    put(host.manifests, 'image.tar', archive);
    put(host.manifests, 'stack-0.yml', alone('zero'));
    await host.start(['--manifests', host.manifests, '--manifest-interval', '250ms', '--manifest-url', `http://${host.address.replace(/\d+$/, '1')}:${port}/far.yml`]);
    await host.running(['stack-0_app']);
    const seen = new Set<string>();
    /** A pod of it that has not been seen before. */
    const running = async (service: string) => await until(`${service} to run`, async () => {
      const fresh = (await host.pods()).find((pod) => pod.service === service && pod.ready && !seen.has(pod.id));
      return fresh && seen.add(fresh.id);
    }, 30_000, 5);
    const [file, url]: [number[], number[]] = [[], []];
    for (let round = 0; round <= rounds; round++) {
      let begun = now();
      put(host.manifests, 'near.yml', alone(`near ${round}`));
      await running('near_app');
      const near = now() - begun;
      begun = now();
      answer = alone(`far ${round}`);
      await running('far_app');
      if (round === 0) continue;
      file.push(near);
      url.push(now() - begun);
    }
    report.row('a changed file → its pod running', file);
    report.row('a changed answer → its pod running', url, `×${(median(url) / median(file)).toFixed(2)} of the file; asked every 250 ms`);
    answer = '';
    await host.kill();
    rmSync(join(host.manifests, 'near.yml'));
    // As a host is by itself: no interval told.
    await host.start(['--manifests', host.manifests]);
    await host.running(['stack-0_app']);
    const one = await idle(host);
    for (let at = 1; at < stacks; at++) put(host.manifests, `stack-${at}.yml`, alone(String(at)));
    await host.running(Array.from({ length: stacks }, (_, at) => `stack-${at}_app`), 60_000);
    const many = await idle(host);
    report.row('CPU of the host\'s program, 1 stack', [one], `${idleMs / 1000} s watched`, 'ms/s');
    report.row(`CPU of the host's program, ${stacks} stacks of a pod each`, [many], '', 'ms/s');
  } finally {
    server.closeAllConnections();
    server.close();
    await host.destroy();
  }
}

/** No node is named: the host is `lone`. */
function alone(version: string): string {
  return stack(version).replace(/ {4}deploy:.*\n/, '');
}

/** Milliseconds of CPU per second, once it has come to rest. */
async function idle(host: LoneHost): Promise<number> {
  await sleep(3000);
  const before = cpuOf([host.pid]);
  await sleep(idleMs);
  return (cpuOf([host.pid]) - before) / (idleMs / 1000);
}
