/**
 * Volumes: a fresh one that takes over what its image has at that place, beside `cp -a` of the same tree; and one that moves to another
 * host, beside `tar | tar` from namespace to namespace with what makes it last (`sync -f`). One tree of 400 MB in four files, and one of
 * 10,000 small files. And what the hosts' programs hold in memory meanwhile.
 *
 * As root: `node test/bench/volumes.ts [rounds]`. Needs containerd, busybox, tar. On two cores that had other work as well, a round at a time, it
 * gave: from an image 10,000 files ×1.5 to ×1.8 of `cp -a`, 100 MB ×1.1 to ×1.7; moved 400 MB ×1.5 to ×2.9 of tar, 10,000 files ×3.2 (once);
 * the hosts' programs at 187 MB at most.
 */
import { randomBytes } from 'node:crypto';
import { mkdir, readdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { run } from '../cluster/lib/tsorch.ts';
import { busyboxImage, digestOf, dockerArchive, tar } from '../contract/agent/runtime/busybox.ts';
import { endWithin } from './cluster/deadline.ts';
import { Lab } from './cluster/lab.ts';
import { Peak } from './cluster/peak.ts';
import { programs } from './cluster/programs.ts';
import { median, Report } from './cluster/report.ts';
import { timed } from './cluster/timed.ts';
import { overWire } from './cluster/wire.ts';

const rounds = Number(process.argv[2] ?? 2);
const image = 'bench-volumes:1';
const trees = { large: { files: 4, bytes: 100_000_000 }, many: { files: 10_000, bytes: 4096 } } as const;
type Tree = keyof typeof trees;
const title: Record<Tree, string> = { large: '400 MB in 4 files', many: '10,000 files of 4 KB' };
/** In an image all of it is written twice, so less. */
const inImage = { large: { files: 4, bytes: 25_000_000 }, many: trees.many } as const;
const titleInImage: Record<Tree, string> = { ...title, large: '100 MB in 4 files' };

endWithin(4, 'volumes');

const report = new Report();
const lab = await Lab.open();
try {
  await measureFill();
  await measureMove();
} finally {
  await lab.close();
}
process.stdout.write(report.markdown());
process.exit(0);

/** A hundred to a directory. */
function nameOf(at: number): string {
  return `d${Math.floor(at / 100)}/f${at}`;
}

async function fillDirectory(directory: string, { files, bytes }: { readonly files: number; readonly bytes: number }): Promise<void> {
  for (let at = 0; at < files; at++) {
    if (at % 100 === 0) await mkdir(join(directory, nameOf(at), '..'), { recursive: true });
    await writeFile(join(directory, nameOf(at)), randomBytes(bytes));
  }
}

async function measureFill(): Promise<void> {
  report.section('A fresh volume takes over what the image has', 'One pod at a time; from the call of the API to its stream showing the pod as running. The time that the same pod takes with no volume is taken off.');
  const base = await busyboxImage();
  const data: Buffer[] = [];
  for (const tree of ['large', 'many'] as const) {
    const { files, bytes } = inImage[tree];
    data.push(await tar(Array.from({ length: files }, (_, at) => ({ name: `${tree}/${nameOf(at)}`, data: randomBytes(bytes) }))));
  }
  const layers = [...base.layers, ...data];
  const config = { ...(JSON.parse(base.config.toString()) as object), rootfs: { type: 'layers', diff_ids: layers.map((layer) => `sha256:${digestOf(layer)}`) } };
  const path = await lab.writeFile('volumes.tar', await dockerArchive({ config: Buffer.from(JSON.stringify(config)), layers }, [image]));
  await lab.cluster.ok(['image', 'push', path, '--node', 'node-1'], { timeoutMs: 120_000 });
  const plain: number[] = [];
  const [filled, copied] = [{ large: [] as number[], many: [] as number[] }, { large: [] as number[], many: [] as number[] }];
  await starting('warm');
  for (let round = 0; round < rounds; round++) {
    plain.push(await starting(`plain${round}`));
    for (const tree of ['large', 'many'] as const) {
      const name = `${tree}${round}`;
      filled[tree].push(await starting(name, tree));
      const volume = dataOn('node-1', `${name}_data`);
      const found = (await readdir(volume, { recursive: true, withFileTypes: true })).filter((entry) => entry.isFile()).length;
      if (found !== inImage[tree].files) throw new Error(`${found} files in ${volume}`);
      // The same bytes, as warm, within the same file system.
      copied[tree].push(await timed(() => sh('cp -a "$1" "$2"', volume, join(lab.cluster.stateDir, `copy-${name}`))));
      await rm(join(lab.cluster.stateDir, `copy-${name}`), { recursive: true });
      await lab.cluster.ok(['volume', 'rm', `${name}_data`]);
    }
  }
  for (const tree of ['large', 'many'] as const) {
    const ours = filled[tree].map((ms) => ms - median(plain));
    report.row(`${titleInImage[tree]}, over the pod without`, ours, `×${(median(ours) / median(copied[tree])).toFixed(2)} of \`cp -a\``);
    report.row(`limit: \`cp -a\`, ${titleInImage[tree]}`, copied[tree]);
  }
  report.row('the pod without a volume', plain);
}

function dataOn(node: string, volume: string): string {
  return join(lab.cluster.stateDir, node, 'volumes', volume, '_data');
}

async function starting(name: string, tree?: Tree): Promise<number> {
  const spec = lab.spec(`services:
  app:
    image: ${image}
    command: ["sleep", "1000000"]
    stop_signal: SIGKILL
    ${tree === undefined ? '' : `volumes: ["data:/${tree}"]`}
    deploy: { placement: { constraints: ["node.hostname == node-1"] } }
${tree === undefined ? '' : 'volumes: { data: {} }'}
`, name);
  const { called, running } = await lab.up(spec, 1);
  await lab.down(name);
  return running - called;
}

async function measureMove(): Promise<void> {
  report.section('A volume moves to another host', '`tsorch volume mv`, with the start of the command line: sent, compared with what was read, brought to the disk. To and fro, so that each host sends and takes.');
  const hosts = new Map(Array.from(programs(lab)).filter(([name]) => name === 'host-1' || name === 'host-2'));
  for (const tree of ['large', 'many'] as const) {
    const peak = new Peak(hosts);
    const volume = `bench-${tree}`;
    await lab.cluster.ok(['volume', 'create', volume, '--node', 'node-1']);
    await fillDirectory(await made(volume), trees[tree]);
    const [moved, packed, start]: [number[], number[], number[]] = [[], [], []];
    for (let round = 0; round < rounds; round++) {
      const [from, to] = round % 2 === 0 ? [1, 2] as const : [2, 1] as const;
      packed.push(await tarOver(from, to, dataOn(`node-${from}`, volume)));
      start.push(await timed(() => lab.cluster.ok(['volume', 'ls'])));
      moved.push(await peak.during(() => timed(() => lab.cluster.ok(['volume', 'mv', volume, `node-${to}`]))));
    }
    await lab.cluster.ok(['volume', 'rm', volume]);
    report.row(title[tree], moved, `×${(median(moved) / median(packed)).toFixed(2)} of tar`);
    report.row(`limit: \`tar | tar\` over the wire, ${title[tree]}`, packed, 'nothing compared, not encrypted');
    report.row('of it the command line: `volume ls`', start);
    for (const [name, { before, most }] of peak.read()) report.row(`memory of ${name}, ${title[tree]}, RSS at most`, [most], `${before.toFixed(0)} MB before`, 'MB');
  }
}

/** Its directory, which a first pod would make. */
async function made(volume: string): Promise<string> {
  await lab.up(lab.spec(`services:
  first: { image: ${image}, command: ["sleep", "1000000"], stop_signal: SIGKILL, volumes: ["data:/data"] }
volumes: { data: { name: ${volume}, external: true } }
`, 'first'), 1);
  await lab.down('first');
  return dataOn('node-1', volume);
}

async function tarOver(from: number, to: number, directory: string): Promise<number> {
  const netns = (host: number) => `/run/netns/ts-${lab.cluster.name}-${host}`;
  const target = join(lab.cluster.stateDir, 'tarred');
  await mkdir(target);
  const wire = { from: netns(from), to: netns(to), address: await lab.cluster.address(`node-${to}`), port: 9900 };
  const ms = await timed(() => overWire(wire, ['tar -c -C "$1" .', directory], ['tar -x -C "$1" && sync -f "$1"', target]));
  await rm(target, { recursive: true });
  return ms;
}

async function sh(script: string, ...args: string[]): Promise<void> {
  const { code, stderr } = await run('sh', ['-c', script, 'sh', ...args]);
  if (code !== 0) throw new Error(`${script} ended with ${code}: ${stderr}`);
}
