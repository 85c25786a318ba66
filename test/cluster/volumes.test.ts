/** Volumes on real hosts: one per slot, moved with its data, a plugin's, pruned. In order: later tests use what earlier ones made. */
import { createHash, randomBytes } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { VolumeDetail, VolumeListItem } from '../../model/api.ts';
import { busyboxImage, dockerArchive } from '../contract/agent/runtime/busybox.ts';
import { PluginProcess } from '../contract/agent/volumes/plugin/run.ts';
import { abandoned, own } from '../own.ts';
import { Cluster } from './lib/cluster.ts';
import { killProcess, processesOf } from './lib/processes.ts';
import { until } from './lib/tsorch.ts';

const plugins = '/run/docker/plugins';
const driver = own('tsorch-t-volumes');
let cluster: Cluster;
let plugin: PluginProcess;

beforeAll(async () => {
  cluster = await Cluster.own('t-volumes', ['--nodes', '2', '--split']);
  mkdirSync(plugins, { recursive: true });
  for (const left of abandoned(plugins, 'tsorch-t-volumes', '', '.sock')) rmSync(`${plugins}/${left}.sock`);
  plugin = new PluginProcess(`${plugins}/${driver}.sock`, join(cluster.dir, 'boxes'), 'global');
  const archive = join(cluster.dir, 'busybox.tar');
  writeFileSync(archive, await dockerArchive(await busyboxImage(), ['t-volumes:1']));
  await cluster.ok(['image', 'load', archive]);
}, 200_000);
afterAll(async () => {
  await cluster?.destroy();
  await plugin?.dispose();
}, 120_000);

const stackFile = (name: string, text: string): string => {
  const file = join(cluster.dir, `${name}.yml`);
  writeFileSync(file, text);
  return file;
};
const apply = (name: string, text: string) => cluster.ok(['apply', '-f', stackFile(name, text), '--wait', '--timeout', '60s']);
const volumes = () => cluster.json<VolumeListItem[]>(['volume', 'ls']);
const inspect = (name: string) => cluster.json<VolumeDetail>(['volume', 'inspect', name]);
const sh = async (target: string, script: string): Promise<string> => {
  const { code, stdout, stderr } = await cluster.exec(target, ['sh', '-c', script]);
  if (code !== 0) throw new Error(`${script} in ${target}: ${code} ${stderr}`);
  return stdout.trim();
};
const dataOn = (node: string, name: string) => join(cluster.stateDir, node, 'volumes', name, '_data');
const nodeOf = async (pod: string) => (await cluster.pods('shop')).find(({ name }) => name === pod)?.node;

const shop = (replicas: number) => `
name: shop
services:
  db:
    image: t-volumes:1
    command: sleep 100000
    stop_grace_period: 0s
    deploy: { replicas: ${replicas} }
    volumes: [{ type: volume, source: data, target: /data, x-per-replica: true }]
volumes: { data: { labels: { tier: gold } } }
`;

describe('a volume per slot', () => {
  test('each slot has its own, keeps it through scaling down and up, and is pinned to its node', async () => {
    await apply('shop', shop(2));
    for (const slot of [1, 2]) await sh(`shop_db.${slot}`, `echo mine-${slot} > /data/who`);
    const made = (await volumes()).filter(({ slotOf }) => slotOf);
    expect(made.map(({ name, stack, labels, usedBy }) => [name, stack, labels, usedBy])).toEqual([
      ['shop_data.1', 'shop', { tier: 'gold' }, ['shop_db']], ['shop_data.2', 'shop', { tier: 'gold' }, ['shop_db']],
    ]);
    const home = await nodeOf('shop_db.2');
    await cluster.ok(['scale', 'shop_db=1', '--wait']);
    await until('the second slot to be gone', async () => (await cluster.pods('shop')).length === 1);
    await cluster.ok(['scale', 'shop_db=2', '--wait']);
    expect([await sh('shop_db.2', 'cat /data/who'), await sh('shop_db.1', 'cat /data/who'), await nodeOf('shop_db.2')]).toEqual(['mine-2', 'mine-1', home]);
  }, 60_000);
});

describe('moving', () => {
  test('the data goes along as it was, its pod starts there, the old copy goes', async () => {
    const from = (await nodeOf('shop_db.1')) ?? '';
    const to = from === 'node-1' ? 'node-2' : 'node-1';
    const blob = randomBytes(3 << 20);
    writeFileSync(join(dataOn(from, 'shop_data.1'), 'blob'), blob);
    await sh('shop_db.1', 'mkdir -p /data/d && touch /data/d/x && chown 1234:2345 /data/d/x && chmod 4750 /data/d/x && ln /data/who /data/again && ln -s /etc/passwd /data/link');
    const said = await cluster.ok(['volume', 'mv', 'shop_data.1', to]);
    expect(said).toMatch(/shop_data\.1 stopping[\s\S]*shop_data\.1 moved: is on node-\d/);
    await cluster.ready('shop');
    expect(await nodeOf('shop_db.1')).toBe(to);
    expect(await sh('shop_db.1', 'cat /data/who; stat -c "%u:%g %a" /data/d/x; readlink /data/link; stat -c %h /data/who')).toBe('mine-1\n1234:2345 4750\n/etc/passwd\n2');
    expect(createHash('sha256').update(readFileSync(join(dataOn(to, 'shop_data.1'), 'blob'))).digest('hex')).toBe(createHash('sha256').update(blob).digest('hex'));
    await until('the old copy to be gone', () => !existsSync(dataOn(from, 'shop_data.1')));
    expect(await inspect('shop_data.1')).toMatchObject({ node: to, state: 'ready', move: null, mounts: [{ pod: 'shop_db.1', target: '/data' }] });
  }, 60_000);

  test('the agents killed and the master killed midway: it goes on, and the data is whole', async () => {
    const from = (await inspect('shop_data.1')).node ?? '';
    const to = from === 'node-1' ? 'node-2' : 'node-1';
    for (let i = 0; i < 12; i++) writeFileSync(join(dataOn(from, 'shop_data.1'), `part-${i}`), randomBytes(4 << 20));
    const digests = () => readdirSync(dataOn(to, 'shop_data.1')).filter((name) => name.startsWith('part-')).sort().map((name) => createHash('sha256').update(readFileSync(join(dataOn(to, 'shop_data.1'), name))).digest('hex'));
    const before = readdirSync(dataOn(from, 'shop_data.1')).filter((name) => name.startsWith('part-')).sort().map((name) => createHash('sha256').update(readFileSync(join(dataOn(from, 'shop_data.1'), name))).digest('hex'));
    const moving = cluster.tsorch(['volume', 'mv', 'shop_data.1', to]);
    await until('the copy to be under way', async () => existsSync(join(cluster.stateDir, to, 'volumes/shop_data.1')) && readdirSync(join(cluster.stateDir, to, 'volumes/shop_data.1')).some((name) => name.startsWith('incoming-')), 20_000, 2);
    for (const pid of processesOf(cluster, `agent-${to.slice(-1)}`)) killProcess(pid);
    await until('the agent to be back', async () => (await cluster.nodes()).every(({ state }) => state === 'ready'), 20_000);
    for (const pid of processesOf(cluster, 'master')) killProcess(pid);
    await moving;
    await until('the move to be over', async () => (await inspect('shop_data.1')).state === 'ready', 40_000);
    expect((await inspect('shop_data.1')).node).toBe(to);
    expect(digests()).toEqual(before);
    await cluster.ready('shop');
    expect(await sh('shop_db.1', 'cat /data/who')).toBe('mine-1');
  }, 90_000);

  test('what cannot be moved is refused, and why', async () => {
    const refuse = async (...args: string[]) => (await cluster.tsorch(['volume', 'mv', ...args])).stderr;
    await cluster.ok(['volume', 'create', 'srv', '-o', 'type=none', '-o', 'o=bind', '-o', 'device=/srv', '--node', 'node-1']);
    expect(await refuse('srv', 'node-2')).toContain('shows /srv of its node');
    expect(await refuse('nothing', 'node-2')).toContain('there is no volume nothing');
    expect(await refuse('shop_data.1', 'node-9')).toContain('there is no node node-9');
    await cluster.ok(['volume', 'rm', 'srv']);
    expect(existsSync('/srv')).toBe(true);
  }, 30_000);
});

describe('plugins', () => {
  const boxed = `
name: boxed
services:
  app: { image: t-volumes:1, command: sleep 100000, stop_grace_period: 0s, deploy: { replicas: 2, placement: { max_replicas_per_node: 1 } }, volumes: ["box:/box"] }
volumes: { box: { driver: ${driver}, driver_opts: { size: 5G } } }
`;
  test('pods wait for the driver, run wherever it is, and let go of it', async () => {
    const file = stackFile('boxed', boxed);
    expect(await cluster.ok(['apply', '-f', file]).then((out) => out)).toBeDefined();
    await until('the pods to say what they wait for', async () => (await cluster.pods('boxed')).every(({ message }) => message.includes(`no node has the volume driver ${driver}`)));
    await plugin.start();
    await cluster.ready('boxed', 30_000);
    // The driver's volumes are the same everywhere: what one writes the other reads.
    await sh('boxed_app.1', 'echo hello > /box/note');
    expect(await sh('boxed_app.2', 'cat /box/note')).toBe('hello');
    expect((await cluster.tsorch(['volume', 'mv', 'boxed_box', 'node-1'])).stderr).toContain('only volumes of the local driver can be moved');
    await cluster.ok(['rm', 'boxed', '--volumes'], { timeoutMs: 90_000 });
    await until('the plugin to have let go', () => plugin.calls().filter((call) => call === 'Unmount boxed_box').length === 2 && plugin.calls().at(-1) === 'Remove boxed_box');
    expect(readdirSync(join(plugin.root, 'volumes'))).toEqual([]);
  }, 60_000);
});

describe('removing', () => {
  test('not what is used; prune takes the rest, by label, and frees the disk', async () => {
    expect((await cluster.tsorch(['volume', 'rm', 'shop_data.1'])).stderr).toContain('is used by shop_db');
    for (const [name, label] of [['scratch-a', 'tier=scratch'], ['scratch-b', 'tier=scratch'], ['kept', 'tier=gold']] as const) await cluster.ok(['volume', 'create', name, '--label', label, '--node', 'node-1']);
    expect((await cluster.tsorch(['volume', 'prune'])).code).toBe(2);
    const said = await cluster.ok(['volume', 'prune', '--force', '--filter', 'label=tier=scratch']);
    expect(said).toMatch(/scratch-a removed\nscratch-b removed\n.* freed/);
    expect((await volumes()).map(({ name }) => name)).toEqual(['kept', 'shop_data', 'shop_data.1', 'shop_data.2']);
    expect([existsSync(dataOn('node-1', 'scratch-a')), existsSync(dataOn('node-1', 'kept'))]).toEqual([false, true]);
    await cluster.ok(['rm', 'shop', '--volumes'], { timeoutMs: 90_000 });
    expect((await volumes()).map(({ name }) => name)).toEqual(['kept']);
    for (const node of ['node-1', 'node-2']) expect(readdirSync(join(cluster.stateDir, node, 'volumes')).filter((name) => name !== 'kept')).toEqual([]);
  }, 90_000);
});
