/**
 * An image of this machine on three hosts without a registry: `tsorch image push` of an archive, of the same one again, with one layer
 * changed, and the way from one host to the two others. Beside it, in the same run and of the same size: `ctr images import` on the three
 * hosts at once (the archive is there already), Debian's registry (`ctr images push`, then `ctr images pull` by three at once), and
 * plain TCP from one host's namespace to the two others.
 *
 * As root: `node test/bench/push.ts [rounds]`. Needs containerd, docker-registry, busybox. On two cores that others kept busy one round gave:
 * ×2.9 of `ctr images import` on all three, ×2.0 of the way through a registry; from one host to the two others ×1.5 of the import. The
 * master held 185 MB at most, 147 MB before.
 */
import { randomBytes } from 'node:crypto';
import { statSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { run } from '../cluster/lib/tsorch.ts';
import { type BuiltImage, digestOf, dockerArchive, tar } from '../contract/agent/runtime/busybox.ts';
import { startDebianRegistry } from '../contract/lib/oci/debian-registry.ts';
import { endWithin } from './cluster/deadline.ts';
import { Lab } from './cluster/lab.ts';
import { Peak } from './cluster/peak.ts';
import { programs } from './cluster/programs.ts';
import { median, Report } from './cluster/report.ts';
import { timed } from './cluster/timed.ts';
import { overWire } from './cluster/wire.ts';

const rounds = Number(process.argv[2] ?? 2);
const [layers, megabytes] = [4, 24];
const hosts = [1, 2, 3];
const all = ['--node', 'all'];

endWithin(4, 'push');

/** Packs to about half. */
async function layer(): Promise<Buffer> {
  return await tar(Array.from({ length: megabytes }, (_, part) => ({ name: `part-${part}`, data: Buffer.concat([randomBytes(1 << 19), Buffer.alloc(1 << 19, 'words ')]) })));
}

function imageOf(data: readonly Buffer[]): BuiltImage {
  const config = { architecture: process.arch === 'x64' ? 'amd64' : process.arch, os: 'linux', config: { Cmd: ['true'] }, rootfs: { type: 'layers', diff_ids: data.map((each) => `sha256:${digestOf(each)}`) } };
  return { config: Buffer.from(JSON.stringify(config)), layers: data };
}

const report = new Report();
const lab = await Lab.open();
const addresses = await Promise.all(hosts.map((host) => lab.cluster.address(`node-${host}`)));
const registry = await startDebianRegistry('bench-push');
try {
  report.section('Deploy without a registry', `An archive of ${layers} layers of ${megabytes} MB, as \`docker save\` writes it, to three hosts; with the start of the command line.`);
  await measure();
} finally {
  await registry.close();
  await lab.close();
}
process.stdout.write(report.markdown());
process.exit(0);

async function measure(): Promise<void> {
  const took = { first: [] as number[], again: [] as number[], changed: [] as number[], seed: [] as number[], spread: [] as number[] };
  const peer = { start: [] as number[], imported: [] as number[], registry: [] as number[], wire: [] as number[] };
  const peak = new Peak(new Map(Array.from(programs(lab)).filter(([name]) => name === 'master' || name.startsWith('host-'))));
  for (let round = 0; round < rounds; round++) {
    const data = await Promise.all(Array.from({ length: layers }, layer));
    const path = await save('first.tar', data, `first:${round}`);
    peer.start.push(await timed(async () => await Promise.all([push('ls'), ok('sha256sum', [path])])));
    took.first.push(await peak.during(() => timed(() => push('push', path, ...all))));
    took.again.push(await timed(() => push('push', path, ...all)));
    const changed = await save('changed.tar', [...data.slice(0, -1), await tar([{ name: 'app', data: randomBytes(1 << 20) }])], `changed:${round}`);
    took.changed.push(await timed(() => push('push', changed, ...all)));
    const spread = await save('spread.tar', await Promise.all(Array.from({ length: layers }, layer)), `spread:${round}`);
    took.seed.push(await timed(() => push('push', spread, '--node', 'node-1')));
    took.spread.push(await timed(() => push('push', spread, ...all)));
    // Other bytes for each, so that nothing is there already.
    const imported = await save('imported.tar', await Promise.all(Array.from({ length: layers }, layer)), `imported:${round}`);
    peer.imported.push(await timed(() => Promise.all(hosts.map((host) => ctr(host, 'images', 'import', imported)))));
    peer.registry.push(await throughRegistry(round));
    peer.wire.push(await timed(() => Promise.all([wire(2, imported), wire(3, imported)])));
  }
  const against = (ours: readonly number[], theirs: readonly number[], name: string) => `×${(median(ours) / median(theirs)).toFixed(2)} of ${name}`;
  report.row('push, nothing there', took.first, `${against(took.first, peer.imported, 'import')}, ${against(took.first, peer.registry, 'registry')}`);
  report.row('push of the same again', took.again, against(took.again, peer.start, 'the limit'));
  report.row('push, one layer of 1 MB changed', took.changed);
  report.row('push to one host, nothing there', took.seed);
  report.row('from that one to the two others', took.spread, `${against(took.spread, peer.imported, 'import')}, ${against(took.spread, peer.wire, 'TCP')}`);
  report.row('peer: `ctr images import` on three at once', peer.imported);
  report.row('peer: import, push to a registry, three pulls at once, by `ctr`', peer.registry);
  report.row('limit: plain TCP to two namespaces at once', peer.wire);
  report.row('limit: `tsorch image ls` beside `sha256sum` of the archive', peer.start);
  for (const [name, { before, most }] of peak.read()) report.row(`memory of ${name} during a push, RSS at most`, [most], `${before.toFixed(0)} MB before`, 'MB');
}

async function save(name: string, data: readonly Buffer[], tag: string): Promise<string> {
  const path = join(lab.cluster.dir, name);
  await writeFile(path, await dockerArchive(imageOf(data), [`bench-push/${tag}`]));
  return path;
}

function push(...args: string[]): Promise<string> {
  return lab.cluster.ok(['image', ...args]);
}

/** In a containerd namespace of its own: the agents do not see it. */
async function ctr(host: number, ...args: string[]): Promise<void> {
  await ok('ctr', ['-a', lab.containerd(host), '-n', 'bench', ...args]);
}

async function ok(command: string, args: readonly string[]): Promise<void> {
  const { code, stderr } = await run(command, args);
  if (code !== 0) throw new Error(`${command} ${args.join(' ')} ended with ${code}: ${stderr}`);
}

/** The archive into one host, from there to the registry, from there to two others; removed from nowhere. */
async function throughRegistry(round: number): Promise<number> {
  const path = await save('registry.tar', await Promise.all(Array.from({ length: layers }, layer)), `registry:${round}`);
  const local = `docker.io/bench-push/registry:${round}`;
  const remote = `${registry.host}/bench-push/registry:${round}`;
  return await timed(async () => {
    await ctr(1, 'images', 'import', '--no-unpack', path);
    await ctr(1, 'images', 'push', '--plain-http', remote, local);
    await Promise.all(hosts.map((host) => ctr(host, 'images', 'pull', '--plain-http', remote)));
  });
}

/** From the first host's namespace into a file of another one's. */
async function wire(to: number, path: string): Promise<void> {
  const netns = (host: number) => `/run/netns/ts-${lab.cluster.name}-${host}`;
  await overWire({ from: netns(1), to: netns(to), address: addresses[to - 1] ?? '', port: 9900 + to }, ['cat "$1"', path], [`cat > "$1" && [ $(stat -c %s "$1") = ${statSync(path).size} ]`, join(lab.cluster.dir, `wire-${to}`)]);
}
