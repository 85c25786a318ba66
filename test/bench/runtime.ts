/**
 * Containers: created to running, 20 at once, removed, execs, beside the bare `crun run` of the same command in the same run. As
 * root: `node test/bench/runtime.ts [crun|runc]`. The gap to the floor is containerd, its shim, the image's layers and the default
 * seccomp profile, which the bare one has not; `floor + profile` has it.
 */
import { execFileSync } from 'node:child_process';
import { cp, mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { layerDirectories } from '../../agent/runtime/image-files.ts';
import { noEdits } from '../../agent/runtime/cdi/types.ts';
import { buildSpec } from '../../agent/runtime/spec/build.ts';
import { specJson } from '../../agent/runtime/spec/oci.ts';
import { SnapshotsService } from '../../proto/gen/containerd/snapshots.ts';
import { asStream, busyboxImage, dockerArchive } from '../contract/agent/runtime/busybox.ts';
import { request, startHost } from '../contract/agent/runtime/containerd-host.ts';
import { findProcesses } from '../../agent/runtime/proc.ts';

const rounds = 40;
const together = 20;
const oci = process.argv[2] ?? 'crun';
const netns = 't-rt-bench';
const forever = new AbortController().signal;

const times = new Map<string, number[]>();
async function time<T>(name: string, run: () => Promise<T> | T): Promise<T> {
  const begun = performance.now();
  const result = await run();
  const list = times.get(name) ?? [];
  list.push(performance.now() - begun);
  times.set(name, list);
  return result;
}

try {
  execFileSync('ip', ['netns', 'del', netns], { stdio: 'ignore' });
} catch {
  // There was none.
}
execFileSync('ip', ['netns', 'add', netns]);
const host = await startHost('bench', { runtime: oci });
try {
  const { runtime, images } = host;
  const archive = await dockerArchive(await busyboxImage(), ['tsorch-test:busybox']);
  await time('load an image of 2 MB', () => images.load(asStream(archive, 1 << 20)));
  await time('load it again', () => images.load(asStream(archive, 1 << 20)));
  const image = await images.get('tsorch-test:busybox');
  const make = async (id: string, command: readonly string[] = ['sleep', '1000']) => {
    const asked = request(id, image, host.logDir, { command }, { netns: `/var/run/netns/${netns}` });
    await Promise.all([writeFile(asked.stdout, ''), writeFile(asked.stderr, '')]);
    return asked;
  };
  const run = async (id: string) => {
    const asked = await make(id);
    await runtime.create(asked);
    await runtime.start(asked.id);
    return asked;
  };
  await run('warm.c.0');
  await runtime.remove('warm.c.0');
  const bundles = await floorBundles(await make('floor.c.1', ['true']));

  for (let round = 0; round < rounds; round++) {
    const asked = await make(`p${round}.c.1`);
    await time('create → running', async () => {
      await time('  create', () => runtime.create(asked));
      await time('  start', () => runtime.start(asked.id));
    });
    const second = await make(`p${round}.d.1`);
    await time("create → running, the pod's second", async () => {
      await runtime.create(second);
      await runtime.start(second.id);
    });
    await time('exec true', async () => {
      const process = await runtime.exec(asked.id, { argv: ['true'], env: {}, tty: false, stdin: false });
      process.stdout.resume();
      process.stderr?.resume();
      await process.exit;
    });
    await time('update', () => runtime.update(asked.id, { cpus: 1 }));
    await time('kill → known', async () => {
      const exit = runtime.wait(asked.id, forever);
      await runtime.kill(asked.id, 9);
      await exit;
    });
    await time('remove, stopped', () => runtime.remove(asked.id));
    await time('remove, running', () => runtime.remove(second.id));
    await time(`floor: ${oci} run`, () => execFileSync(oci, ['run', '--bundle', bundles.bare, `floor-${round}`]));
    await time(`floor + profile: ${oci} run`, () => execFileSync(oci, ['run', '--bundle', bundles.whole, `floor-${round}`]));
  }

  for (let round = 0; round < 5; round++) {
    const ids = Array.from({ length: together }, (_, index) => `q${round}x${index}.c.1`);
    await time(`${together} at once → running`, () => Promise.all(ids.map(run)));
    if (round === 0) await memory();
    await time(`list ${together}`, () => runtime.list());
    await time(`${together} at once removed`, () => Promise.all(ids.map((id) => runtime.remove(id))));
  }
} finally {
  await host.close();
  execFileSync('ip', ['netns', 'del', netns]);
}
report();

/** Bundles of the same layers and the same spec, one without the seccomp profile. */
async function floorBundles(asked: ReturnType<typeof request>): Promise<{ readonly bare: string; readonly whole: string }> {
  const { mounts } = await host.client.call(SnapshotsService.view, { snapshotter: 'overlayfs', key: 'floor', parent: asked.image.chainId, labels: { 'containerd.io/gc.root': 'yes' } });
  const account = { uid: 0, gid: 0, additionalGids: [0], home: '/root' };
  const { spec } = buildSpec({ request: asked, host: host.runtime.context.host, account, devices: [], seccompProfile: null, cgroupsPath: `/${host.cgroupPrefix}/floor`, peers: {}, sharedShm: null, users: null, cdi: noEdits });
  const { seccomp: _, ...linux } = spec.linux;
  const make = async (name: string, content: typeof spec) => {
    const directory = join(host.logDir, name);
    await mkdir(join(directory, 'rootfs'), { recursive: true });
    for (const layer of layerDirectories(mounts).toReversed()) await cp(layer, join(directory, 'rootfs'), { recursive: true, verbatimSymlinks: true });
    await writeFile(join(directory, 'config.json'), specJson(content));
    return directory;
  };
  return { bare: await make('bare', { ...spec, linux }), whole: await make('whole', spec) };
}

/** Private memory of daemon and shims while the containers of one round run. */
async function memory(): Promise<void> {
  const shims = await findProcesses((argv) => /containerd-shim/.test(argv[0] ?? '') && argv.includes(host.daemon.socket));
  const pss = await Promise.all(shims.map(kilobytes));
  const daemon = host.daemon.process();
  console.log(`memory, PSS MB: containerd ${((await kilobytes(daemon?.pid ?? 0)) / 1024).toFixed(1)}, ${shims.length} shims ${(pss.reduce((sum, kb) => sum + kb, 0) / shims.length / 1024).toFixed(2)} each`);
}

async function kilobytes(pid: number): Promise<number> {
  const text = await readFile(`/proc/${pid}/smaps_rollup`, 'utf8').catch(() => '');
  return Number(/^Pss:\s+(\d+)/m.exec(text)?.[1] ?? 0);
}

function report(): void {
  const floor = median(times.get(`floor: ${oci} run`) ?? [0]);
  console.log(`${oci}, ms: name, minimum, p50, p99, times the floor`);
  for (const [name, list] of times) {
    const sorted = list.toSorted((a, b) => a - b);
    const at = (part: number) => (sorted[Math.min(sorted.length - 1, Math.floor(part * sorted.length))] ?? 0).toFixed(1).padStart(8);
    console.log(`${name.padEnd(36)}${at(0)}${at(0.5)}${at(0.99)}${(median(list) / floor).toFixed(1).padStart(8)}`);
  }
}

function median(list: readonly number[]): number {
  return list.toSorted((a, b) => a - b)[Math.floor(list.length / 2)] ?? 0;
}
