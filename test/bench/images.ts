/**
 * Pulling from Debian's registry on loopback into a private containerd, beside `ctr images pull` into the same one and a floor: curl of
 * the same blobs at once, each through sha256sum and tar. And what the process that pulls takes in memory, also for one large layer.
 *
 * Run: `node test/bench/images.ts [rounds [large [megabytes]]]`, `large` for the second image alone, of 300 MB unless told. Needs
 * containerd, docker-registry, curl. Ratios are of the same run; on two cores with a load of 15 beside it they were: 8 layers of 20 MB
 * ×1.55 of ctr and ×4.8 of the floor (which unpacks all layers at once, in no order), one of 300 MB ×1.2 to ×1.75 and ×1.8 to ×2.8;
 * memory of the process from 99 MB (from the sources) to 180 MB.
 */
import { execFile, execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdir, readFile, rm } from 'node:fs/promises';
import { promisify } from 'node:util';
import { ContainerdImages } from '../../agent/images/containerd.ts';
import { RegistrySources } from '../../agent/images/registry-source.ts';
import { ContainerdClient } from '../../agent/runtime/client.ts';
import { startContainerd } from '../../agent/runtime/daemon.ts';
import { stopContainerd } from '../../agent/runtime/teardown.ts';
import { nodeEnv, nodeFlags } from '../../deploy/compiled/program.ts';
import { systemClock } from '../../lib/clock.ts';
import { silentLog } from '../../lib/log.ts';
import { parseManifest, sha256 } from '../../lib/oci/manifest.ts';
import { openEndpoints } from '../../lib/oci/open.ts';
import { noSettings, type Registries } from '../../lib/oci/registries.ts';
import { pushImage } from '../contract/agent/images/push.ts';
import { tar, type BuiltImage } from '../contract/agent/runtime/busybox.ts';
import { startDebianRegistry } from '../contract/lib/oci/debian-registry.ts';
import { timed } from './cluster/timed.ts';

const run = promisify(execFile);
const base = '/var/tmp/tsorch-bench-images';
const [stateDir, runDir] = [`${base}/state`, '/run/tsorch-bench-images'];
const never = new AbortController().signal;
const registriesOf = (host: string): Registries => new Map([[host, { ...noSettings, plainHttp: true }]]);

/** As the agent pulls; its own process, so that its memory is its own. */
async function pullHere(socket: string, reference: string): Promise<void> {
  const client = new ContainerdClient({ socket });
  const sources = [new RegistrySources({ registries: async () => registriesOf(reference.split('/')[0] ?? ''), env: {}, clock: systemClock, random: Math.random })];
  const images = new ContainerdImages({ client, clock: systemClock, log: silentLog, sources });
  const before = await memoryMb('VmRSS');
  const start = performance.now();
  await images.pull(reference, { credentials: null, signal: never });
  const ms = performance.now() - start;
  process.stdout.write(`${JSON.stringify({ ms, before, peak: await memoryMb('VmHWM'), cpu: process.cpuUsage() })}\n`);
  client.close();
}

/** Not what getrusage says: that begins with what the parent had when it forked. */
async function memoryMb(field: 'VmRSS' | 'VmHWM'): Promise<number> {
  return Number(new RegExp(`${field}:\\s+(\\d+)`).exec(await readFile('/proc/self/status', 'utf8'))?.[1] ?? 0) / 1024;
}

interface Measured {
  readonly ms: number;
  readonly before: number;
  readonly peak: number;
  readonly cpu: { readonly user: number; readonly system: number };
}

async function pull(socket: string, reference: string): Promise<Measured> {
  const { stdout } = await run(process.execPath, [...nodeFlags('host'), import.meta.filename, '--pull', socket, reference], { maxBuffer: 1 << 20, env: { ...process.env, ...nodeEnv } });
  return JSON.parse(stdout) as Measured;
}

/** Packs to about half. */
async function image(layers: number, megabytes: number): Promise<BuiltImage> {
  const data = await Promise.all(Array.from({ length: layers }, (_, at) =>
    tar(Array.from({ length: megabytes }, (_each, part) => ({ name: `layer-${at}/file-${part}`, data: Buffer.concat([randomBytes(1 << 19), Buffer.alloc(1 << 19, 'words ')]) })))));
  const config = { architecture: 'amd64', os: 'linux', config: { Cmd: ['true'] }, rootfs: { type: 'layers', diff_ids: data.map((layer) => sha256(layer)) } };
  return { config: Buffer.from(JSON.stringify(config)), layers: data };
}

const median = (values: readonly number[]) => values.toSorted((a, b) => a - b)[values.length >> 1] ?? Number.NaN;

async function floor(host: string, repository: string, tag: string): Promise<number> {
  const [endpoint] = openEndpoints(host, { registries: registriesOf(host), credentials: null, env: {}, clock: systemClock, random: Math.random });
  const manifest = parseManifest((await endpoint?.manifest(repository, tag, never))?.data ?? Buffer.alloc(0), tag);
  endpoint?.close();
  const out = `${base}/floor`;
  await rm(out, { recursive: true, force: true });
  await mkdir(out, { recursive: true });
  const ms = await timed(async () => {
    await Promise.all(manifest.layers.map(({ digest }, at) => run('bash', ['-o', 'pipefail', '-c', 'curl -sf "$1" | tee >(sha256sum >/dev/null) "$2.blob" | tar -xz -C "$3"', 'floor', `http://${host}/v2/${repository}/blobs/${digest}`, `${out}/${at}`, out])));
  });
  await rm(out, { recursive: true, force: true });
  return ms;
}

async function main(rounds: number, onlyLarge: boolean, large: number): Promise<void> {
  const quiet = { clock: systemClock, log: silentLog };
  const clean = async () => {
    await stopContainerd({ stateDir, runDir, cgroupPrefix: 'tsorch-bench-images', ...quiet });
    for (const path of [base, runDir]) await rm(path, { recursive: true, force: true });
  };
  await clean();
  await mkdir(stateDir, { recursive: true });
  await mkdir(runDir, { recursive: true });
  const over = new AbortController();
  const daemon = await startContainerd({ stateDir, runDir, ...quiet, signal: over.signal });
  const registry = await startDebianRegistry('bench');
  const { host } = registry;
  const ctr = (...args: string[]) => run('ctr', ['-a', daemon.socket, '-n', 'bench', ...args], { maxBuffer: 1 << 24 });
  try {
    for (const [tag, layers, megabytes] of ([['many', 8, 20], ['large', 1, large]] as const).slice(onlyLarge ? 1 : 0)) {
      await pushImage({ host, registries: registriesOf(host), credentials: null, repository: 'bench', tag, image: await image(layers, megabytes) });
      const reference = `${host}/bench:${tag}`;
      const ours: Measured[] = [];
      const theirs: number[] = [];
      const floors: number[] = [];
      for (let round = 0; round < rounds; round++) {
        floors.push(await floor(host, 'bench', tag));
        ours.push(await pull(daemon.socket, reference));
        await remove(daemon.socket, reference);
        theirs.push(await timed(() => ctr('images', 'pull', '--plain-http', reference)));
        await ctr('images', 'rm', '--sync', reference);
      }
      const ms = median(ours.map((each) => each.ms));
      const cpu = median(ours.map((each) => (each.cpu.user + each.cpu.system) / 1000));
      process.stdout.write([
        `${layers} layer${layers === 1 ? '' : 's'} of ${megabytes} MB:`,
        `  pull ${ms.toFixed(0)} ms; ctr ${median(theirs).toFixed(0)} ms (×${(ms / median(theirs)).toFixed(2)}); floor ${median(floors).toFixed(0)} ms (×${(ms / median(floors)).toFixed(2)})`,
        `  memory at most ${median(ours.map((each) => each.peak)).toFixed(0)} MB, before ${median(ours.map((each) => each.before)).toFixed(0)} MB; CPU of our process ${cpu.toFixed(0)} ms`,
        '',
      ].join('\n'));
    }
  } finally {
    await registry.close();
    over.abort();
    await daemon.done;
    await clean();
  }
}

async function remove(socket: string, reference: string): Promise<void> {
  const client = new ContainerdClient({ socket });
  const images = new ContainerdImages({ client, clock: systemClock, log: silentLog });
  await images.remove((await images.get(reference)).digest);
  client.close();
}

if (process.argv[2] === '--pull') await pullHere(process.argv[3] ?? '', process.argv[4] ?? '');
else {
  execFileSync('curl', ['--version'], { stdio: 'ignore' });
  await main(Number(process.argv[2] ?? 3), process.argv[3] === 'large', Number(process.argv[4] ?? 300));
}
