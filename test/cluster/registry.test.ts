/** Images from a registry over TLS with a password, as people use it: docker login, apply, a tag that moves, a registry that goes away. */
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { noSettings, type Registries } from '../../lib/oci/registries.ts';
import { pushImage } from '../contract/agent/images/push.ts';
import { bulkyImage } from '../contract/agent/images/pushed.ts';
import { busyboxImage, type BuiltImage } from '../contract/agent/runtime/busybox.ts';
import { type DebianRegistry, puller, startDebianRegistry } from '../contract/lib/oci/debian-registry.ts';
import { Cluster } from './lib/cluster.ts';
import { killProcess } from './lib/processes.ts';
import { type SlowRelay, startSlowRelay } from './lib/slow-relay.ts';
import { type Output, until } from './lib/tsorch.ts';

let directory: string;
let cluster: Cluster;
let registry: DebianRegistry;
let relay: SlowRelay;
/** As hosts reach it. */
let host: string;

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'tsorch-t-registry-'));
  const config = join(directory, 'registries.yaml');
  await writeFile(config, 'registries: {}\n');
  cluster = await Cluster.own('t-registry', ['--nodes', '2', '--registry-config', config]);
  const machine = (await cluster.address('node-1')).replace(/\.\d+$/, '.1');
  registry = await startDebianRegistry('cluster', { secure: true, address: machine });
  relay = await startSlowRelay(machine, { host: machine, port: Number(registry.host.split(':')[1]) });
  host = `${machine}:${relay.port}`;
  // The programs that run by now read it when they need it.
  await writeFile(config, `registries:\n  ${host}: { ca: ${registry.caFile} }\n`);
  await mkdir(join(directory, 'docker'));
  await writeFile(join(directory, 'docker/config.json'), JSON.stringify({ auths: { [host]: { auth: Buffer.from(`${puller.username}:${puller.password}`).toString('base64') } } }));
  await push('1', await withBulk('one', 30_000_000));
}, 300_000);

afterAll(async () => {
  await relay?.close();
  await registry?.close();
  await cluster?.destroy();
  await rm(directory, { recursive: true, force: true });
}, 120_000);

/** busybox, and a layer that takes its time. */
async function withBulk(variant: string, bytes: number): Promise<BuiltImage> {
  const [base, bulk] = [await busyboxImage({ variant }), await bulkyImage(1, bytes)];
  const config = JSON.parse(base.config.toString()) as { rootfs: { diff_ids: string[] } };
  config.rootfs.diff_ids.push(...(JSON.parse(bulk.config.toString()) as typeof config).rootfs.diff_ids);
  return { config: Buffer.from(JSON.stringify(config)), layers: [...base.layers, ...bulk.layers] };
}

const push = (tag: string, image: BuiltImage) => {
  const registries: Registries = new Map([[registry.host, { ...noSettings, ca: [registry.caFile ?? ''] }]]);
  return pushImage({ host: registry.host, registries, credentials: puller, repository: 'team/web', tag, image });
};
const stack = (tag: string, more = '') => `name: reg\nservices:\n  web:\n    image: ${host}/team/web:${tag}\n    stop_grace_period: 0s\n    deploy: { replicas: 2, placement: { max_replicas_per_node: 1 } }\n${more}`;
const apply = (text: string, flags: readonly string[] = [], login = true): Promise<Output> =>
  cluster.tsorch(['apply', '-f', '-', ...flags], { input: text, env: { DOCKER_CONFIG: login ? join(directory, 'docker') : '/nonexistent' } });
const variant = async () => (await cluster.exec('reg_web.1', ['cat', '/variant'])).stdout;

describe('images from a registry', () => {
  test('without credentials: the apply says so, and so do the pods', async () => {
    const { code, stderr } = await apply(stack('1'), [], false);
    expect(code).toBe(0);
    expect(stderr).toContain(`warning: ${host}/team/web:1 could not be looked up: ${host} has no team/web:1 for everybody: it does not exist, or needs credentials`);
    const messages = await until('the pods say why', async () => {
      const found = (await cluster.pods('reg')).map(({ message }) => message);
      return found.every((message) => message.startsWith('cannot pull')) && found;
    });
    expect(messages[0]).toMatch(/docker login .*, and apply again; trying again in \d+ s/);
  });

  test('with those of the Docker config it comes, and one sees how far it is', async () => {
    relay.bytesPerSecond = 12_000_000;
    const { code, stdout, stderr } = await apply(stack('1'), ['--wait', '--timeout', '90s', '--resolve-image', 'always']);
    relay.bytesPerSecond = Infinity;
    expect({ code, stderr }, `${stdout}${JSON.stringify(await cluster.json(['ps', '-a']))}`).toEqual({ code: 0, stderr: '' });
    expect(stdout).toMatch(/reg_web 0\/2 waiting: .*pulling 172[\d.:]+\/team\/web:1: \d+ of 3\d MB/);
    expect(await variant()).toBe('one');
    expect((await cluster.services()).map(({ image }) => image)).toEqual([`${host}/team/web:1`]);
    for (const node of ['node-1', 'node-2']) {
      const pods = join(cluster.stateDir, node, 'pods');
      for (const file of await readdir(pods)) expect(await readFile(join(pods, file), 'utf8')).not.toContain(puller.password);
    }
  });

  test('a tag that moves changes nothing, until one asks', async () => {
    await push('1', await busyboxImage({ variant: 'two' }));
    const before = (await cluster.pods('reg')).map(({ id }) => id);
    expect((await apply(stack('1'), ['--wait'])).stdout).toContain('service reg_web unchanged');
    expect((await cluster.pods('reg')).map(({ id }) => id)).toEqual(before);
    await cluster.ok(['scale', 'reg_web=1', '--wait']);
    await cluster.ok(['scale', 'reg_web=2', '--wait']);
    expect((await cluster.exec('reg_web.2', ['cat', '/variant'])).stdout).toBe('one');
    const { code, stdout, stderr } = await apply(stack('1'), ['--wait', '--timeout', '60s', '--resolve-image', 'always']);
    expect(code, `${stdout}${stderr}${JSON.stringify(await cluster.json(['ps', '-a']))}`).toBe(0);
    expect(stdout).toContain('service reg_web updated');
    expect(await variant()).toBe('two');
  });

  test('a registry that is gone disturbs nobody who runs', async () => {
    await registry.stop();
    const pods = await cluster.pods('reg');
    const pids = await cluster.pids();
    for (const pid of pids.values()) killProcess(pid);
    await until('they are restarted', async () => (await cluster.pods('reg')).every(({ id, ready, restarts }) => ready && restarts === 1 && pods.some((pod) => pod.id === id)));
    const { code, stderr } = await apply(stack('1', `  new:\n    image: ${host}/team/new:1\n`));
    expect(code).toBe(0);
    expect(stderr).toContain(`${host}/team/new:1 could not be looked up: ${host} cannot be reached`);
    await until('the new pod waits', async () => (await cluster.pods('reg_new')).some(({ message }) => message.includes(`cannot pull ${host}/team/new:1: ${host} cannot be reached`)));
    expect((await cluster.pods('reg_web')).every(({ ready }) => ready)).toBe(true);
    await registry.start();
  });
});
