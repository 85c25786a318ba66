/**
 * Images without a registry: pushed to one node of a real cluster, spread by a service on three. What leaves the command line and what
 * goes from host to host is counted where it travels: on the hosts' wires.
 */
import { randomBytes } from 'node:crypto';
import { execFileSync } from 'node:child_process';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import type { ImageListItem } from '../../model/api.ts';
import { type BuiltImage, busyboxImage, digestOf, dockerArchive, tar } from '../contract/agent/runtime/busybox.ts';
import { Cluster } from './lib/cluster.ts';
import { until } from './lib/tsorch.ts';

const bulkBytes = 24 << 20;
/** What else is on the wires meanwhile: heartbeats, TLS, acknowledgements. */
const noise = 4 << 20;
let cluster: Cluster;
let bulk: Buffer;

beforeAll(async () => {
  bulk = await tar([{ name: 'bulk', data: randomBytes(bulkBytes) }]);
  cluster = await Cluster.own('t-push');
}, 240_000);

afterAll(async () => {
  await cluster?.destroy();
}, 120_000);

/** busybox, what tells the variants apart, and a layer that does not compress. */
async function appImage(variant: string): Promise<BuiltImage> {
  const { config, layers: base } = await busyboxImage({ variant });
  const layers = [base[0] as Buffer, bulk, base[1] as Buffer];
  return { config: Buffer.from(JSON.stringify({ ...(JSON.parse(config.toString()) as object), rootfs: { type: 'layers', diff_ids: layers.map((layer) => `sha256:${digestOf(layer)}`) } })), layers };
}

async function save(name: string, data: string | Uint8Array): Promise<string> {
  const path = join(cluster.dir, name);
  await writeFile(path, data);
  return path;
}

/** Bytes that have gone over the wire of each host, in and out. */
function wires(): readonly { readonly into: number; readonly out: number }[] {
  return [1, 2, 3].map((index) => {
    const links = JSON.parse(execFileSync('nsenter', [`--net=/run/netns/ts-${cluster.name}-${index}`, 'ip', '-j', '-s', 'link', 'show', 'eth0']).toString()) as { stats64: { rx: { bytes: number }; tx: { bytes: number } } }[];
    return { into: links[0]?.stats64.rx.bytes ?? 0, out: links[0]?.stats64.tx.bytes ?? 0 };
  });
}

async function travelled<T>(task: () => Promise<T>): Promise<{ readonly result: T; readonly into: readonly number[]; readonly out: readonly number[] }> {
  const before = wires();
  const result = await task();
  const after = wires();
  return { result, into: after.map(({ into }, at) => into - (before[at]?.into ?? 0)), out: after.map(({ out }, at) => out - (before[at]?.out ?? 0)) };
}

const sum = (values: readonly number[]) => values.reduce((all, each) => all + each, 0);
const stack = (image: string) => `services: { app: { image: "${image}", command: sleep 1000, stop_grace_period: 0s, deploy: { mode: global } } }`;
const nodesWith = async (name: string) => (await cluster.json<ImageListItem[]>(['image', 'ls'])).filter(({ references }) => references.includes(name)).map(({ node }) => node).toSorted();

test('pushed to one node it is there alone, and its layers have left once', async () => {
  const path = await save('app.tar', await dockerArchive(await appImage('one'), ['app:1']));
  const { result, into } = await travelled(() => cluster.ok(['image', 'push', path, '--node', 'node-1']));
  expect(result).toContain('app:1: 0 of 3 layers were there already');
  expect(await nodesWith('docker.io/library/app:1')).toEqual(['node-1']);
  expect(into[0]).toBeGreaterThan(bulkBytes);
  expect(sum(into)).toBeLessThan(bulkBytes + noise);
});

test('a service on three nodes spreads it from there; nothing comes from outside', async () => {
  const file = await save('stack.yml', stack('app:1'));
  const { into, out } = await travelled(() => cluster.ok(['apply', '-f', file, '-p', 'push', '--wait', '--timeout', '60s'], { timeoutMs: 90_000 }));
  expect(new Set((await cluster.pods('push')).map(({ node }) => node)).size).toBe(3);
  await vi.waitFor(async () => expect(await nodesWith('docker.io/library/app:1')).toEqual(['node-1', 'node-2', 'node-3']), { timeout: 20_000 });
  for (const at of [1, 2]) expect(into[at]).toBeGreaterThan(bulkBytes);
  // Whoever sent it, every byte that came in on one host went out on another.
  expect(sum(into)).toBeLessThan(2 * bulkBytes + 2 * noise);
  expect(sum(out)).toBeGreaterThan(2 * bulkBytes);
});

test('a changed image sends its changed layer, and the service rolls to it', async () => {
  const path = await save('app2.tar', await dockerArchive(await appImage('two'), ['app:2']));
  const { result, into } = await travelled(() => cluster.ok(['image', 'push', path]));
  expect(result).toContain('app:2: 2 of 3 layers were there already');
  expect(sum(into)).toBeLessThan(noise);
  // Nobody uses it yet: it is kept twice.
  expect(await nodesWith('docker.io/library/app:2')).toHaveLength(2);
  expect(await cluster.exec('push_app', ['cat', '/variant'])).toMatchObject({ code: 0, stdout: 'one' });
  const file = await save('stack.yml', stack('app:2'));
  const { into: rolled } = await travelled(() => cluster.ok(['apply', '-f', file, '-p', 'push', '--wait', '--timeout', '60s'], { timeoutMs: 90_000 }));
  expect(sum(rolled)).toBeLessThan(noise);
  for (const pod of (await cluster.pods('push')).filter(({ state }) => state === 'running')) expect((await cluster.exec(pod.id, ['cat', '/variant'])).stdout).toBe('two');
  expect(await nodesWith('docker.io/library/app:2')).toHaveLength(3);
  expect(await cluster.ok(['image', 'push', path])).toContain('app:2: all 3 layers were there already');
});

test('an image in use is not removed, unless one insists', async () => {
  const refused = await cluster.tsorch(['image', 'rm', 'app:2']);
  expect(refused).toMatchObject({ code: 1, stderr: expect.stringMatching(/image app:2 is in use: push_app; pods on node-1, node-2, node-3; --force/) });
  await cluster.ok(['image', 'rm', 'app:2', '--node', 'node-3', '--force']);
  expect(await nodesWith('docker.io/library/app:2')).toEqual(['node-1', 'node-2']);
});

test('a service that is applied before its image goes on by itself when it comes', async () => {
  const file = await save('late.yml', 'services: { late: { image: "nowhere.invalid/late:1", command: sleep 1000, stop_grace_period: 0s, deploy: { replicas: 2 } } }');
  await cluster.ok(['apply', '-f', file, '-p', 'late']);
  await until('the pods to wait', async () => (await cluster.pods('late')).filter(({ message }) => message.includes('late:1')).length === 2);
  const path = await save('late.tar', await dockerArchive(await busyboxImage({ variant: 'late' }), ['nowhere.invalid/late:1']));
  await cluster.ok(['image', 'push', path, '--node', 'node-1']);
  await cluster.ready('late', 60_000);
});
