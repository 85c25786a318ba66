/** The whole of a host's own manifests over the fake runtime: sources, pods, the table for the proxy, restarts. */
import fs from 'node:fs/promises';
import path from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { FakeSource } from '../../../../agent/manifests/fake.ts';
import type { Manifests } from '../../../../agent/manifests/manifests.ts';
import { openManifests } from '../../../../agent/manifests/open.ts';
import { silentLog } from '../../../../lib/log.ts';
import type { PodStatus } from '../../../../model/pod.ts';
import type { TableUpdate } from '../../../../model/table.ts';
import { TestHost } from '../pods/host.ts';
import { assignment } from '../pods/specs.ts';
import { host as example, stackOf } from './make.ts';

let host: TestHost;
let source: FakeSource;
let manifests: Manifests | null;
let over: AbortController;
let problems: number;
let waiting: Map<string, PodStatus>;
let ranges: readonly string[];

beforeEach(async () => {
  host = await TestHost.make();
  host.images.add('app:1');
  host.images.add('app:2');
  ranges = ['10.32.0.0/12', '10.30.0.0/16'];
  problems = 0;
});
afterEach(async () => {
  over.abort();
  await manifests?.done;
  await host.dispose();
});

/** An agent with manifests; `acknowledge` plays a proxy that has every table at once. */
async function start(options: { readonly entries?: Parameters<FakeSource['set']>[0]; readonly settings?: boolean; readonly source?: FakeSource } = {}): Promise<void> {
  over = new AbortController();
  waiting = new Map();
  const outside: { manifests?: Manifests | null } = {};
  await host.start({ sources: ['leader', 'manifests'], changed: () => outside.manifests?.mark() });
  source = options.source ?? new FakeSource();
  if (options.entries !== undefined) source.set(options.entries, options.entries === null ? 'out of reach' : undefined);
  manifests = await openManifests({
    ...(options.settings === false ? {} : { sources: [source] }),
    pods: host.pods, images: host.images, network: host.network, netnsDir: '/run/t', stateDir: host.stateDir, nodeId: 'n1', hostname: 'edge-1', target: () => example.target,
    clusterRanges: () => ranges, report: (status) => waiting.set(status.id, status), gone: (id) => waiting.delete(id), onProblems: () => problems++,
    clock: host.clock, log: silentLog, signal: over.signal, random: () => 0.5,
  });
  outside.manifests = manifests;
}

/** From one moment to the next, as by a kill. */
async function stop(): Promise<void> {
  over.abort();
  host.kill();
  await manifests?.done;
  await host.pods.done();
}

const entry = (text: string, name = 'web') => ({ origin: `/m/${name}.yml`, specs: [stackOf(text, name)], warnings: [] });
const one = (image = 'app:1', more = '') => `services: {web: {image: '${image}', stop_grace_period: 0s${more}}}`;
const running = () => [...host.statuses.values()].filter(({ id, phase }) => phase === 'running' && host.pods.has(id)).map(({ id }) => id).sort();
const table = async () => JSON.parse(await fs.readFile(path.join(host.stateDir, 'local', 'table.json'), 'utf8')) as TableUpdate;
const acknowledge = async () => fs.writeFile(path.join(host.stateDir, 'local', 'applied.json'), JSON.stringify({ revision: (await table()).revision }));

test('a stack runs without any master, and ends with its file', async () => {
  await start({ entries: [entry(one('app:1', ", ports: ['8080:80']"))] });
  await host.until(() => running().length === 1);
  const [id = ''] = running();
  expect(host.pods.locals()[0]).toMatchObject({ assignment: { pod: { service: 'web_web', slot: 1, ip: '10.31.0.1' }, manifest: { source: 'directory', origin: '/m/web.yml' } } });
  await host.until(async () => (await table()).services['web_web']?.endpoints.length === 1);
  expect((await table()).services['web_web']).toMatchObject({ ports: [{ published: 8080 }], endpoints: [{ pod: id }] });
  source.set([]);
  // It leaves the table first, and ends once the proxy says so.
  await host.until(async () => (await table()).services['web_web'] === undefined);
  expect(running()).toEqual([id]);
  await acknowledge();
  await host.until(() => host.gone.includes(id));
  expect(await host.runtime.list()).toEqual([]);
});

test('a proxy that does not answer is not waited for without end', async () => {
  await start({ entries: [entry(one())] });
  await host.until(() => running().length === 1);
  source.set([]);
  expect(await host.turnUntil(() => host.gone.length === 1)).toBeGreaterThanOrEqual(1900);
});

test('killed and started again it makes no container twice, with its source or without', async () => {
  await start({ entries: [entry(one('app:1', ", ports: ['80']"))] });
  await host.until(() => running().length === 1);
  await host.until(async () => (await table()).services['web_web']?.endpoints.length === 1);
  const before = await table();
  await stop();
  await start({ entries: [entry(one('app:1', ", ports: ['80']"))] });
  await host.until(() => manifests?.stacks === 1);
  await stop();
  // Nothing is known of the source any more but what is on disk: names and ports are as before.
  await start({ entries: null });
  await host.until(() => manifests?.problems.length === 1);
  await host.until(async () => (await table()).services['web_web']?.endpoints.length === 1);
  const { services, pods } = await table();
  expect({ services, pods }).toEqual({ services: before.services, pods: before.pods });
  expect(host.runtime.births).toHaveLength(1);
  source.set([]);
  await host.turnUntil(() => host.gone.length === 1);
});

test('until every source has said something nothing ends', async () => {
  await start({ entries: [entry(one())] });
  await host.until(() => running().length === 1);
  await stop();
  await start();
  await host.turnUntil(() => host.statuses.size > 0, 100);
  for (let i = 0; i < 20; i++) await host.clock.advance(500);
  expect(host.gone).toEqual([]);
  expect(running()).toHaveLength(1);
});

test('the leader\'s whole list ends its own pods and no other, and a manifest\'s word likewise', async () => {
  await start({ entries: [entry(one())] });
  host.pods.assign({ upsert: [assignment('l1')], remove: [], full: true });
  await host.until(() => running().length === 2);
  const [, own = ''] = running();
  host.pods.assign({ upsert: [], remove: [], full: true });
  await host.until(() => host.gone.includes('l1'));
  expect(running()).toEqual([own]);
  host.pods.assign({ upsert: [assignment('l2')], remove: [], full: true });
  await host.until(() => running().length === 2);
  source.set([]);
  await host.turnUntil(() => host.gone.includes(own));
  expect(running()).toEqual(['l2']);
});

test('what no pod owns is removed once both have spoken', async () => {
  await fs.mkdir(path.join(host.stateDir, 'pods', 'orphan'), { recursive: true });
  await start();
  host.pods.assign({ upsert: [], remove: [], full: true });
  for (let i = 0; i < 5; i++) await host.clock.advance(500);
  expect(await fs.readdir(path.join(host.stateDir, 'pods'))).toContain('orphan');
  source.set([]);
  await host.until(async () => !(await fs.readdir(path.join(host.stateDir, 'pods'))).includes('orphan'));
});

test('a mistake is told and changes nothing; what waits is told of', async () => {
  await start({ entries: [entry(one())] });
  await host.until(() => running().length === 1);
  source.set([{ origin: '/m/web.yml', problem: '/m/web.yml:1:1: error: no' }, entry('services: {a: {image: "app:1", depends_on: {b: {condition: service_healthy}}}, b: {image: "app:2", deploy: {replicas: 0}}}', 'late')]);
  await host.until(() => manifests?.problems.length === 1 && waiting.size === 1);
  expect(problems).toBe(1);
  expect([...waiting.values()]).toMatchObject([{ phase: 'pending', message: 'waiting for b: healthy' }]);
  expect(manifests?.staticPod([...waiting.keys()][0] ?? '')).toMatchObject({ origin: '/m/late.yml', image: 'app:1', pod: { service: 'late_a' } });
  expect(running()).toHaveLength(1);
  source.set([entry(one())]);
  await host.until(() => manifests?.problems.length === 0 && waiting.size === 0);
  expect(host.runtime.births).toHaveLength(1);
});

test('addresses that the cluster has are not given out', async () => {
  ranges = ['10.0.0.0/8'];
  await start({ entries: [entry(one())] });
  await host.until(() => manifests?.problems.length === 1);
  expect(manifests?.problems).toEqual(['the addresses for manifests\' pods overlap 10.0.0.0/8, which the cluster has: choose others with --local-cidr']);
  expect(host.pods.locals()).toEqual([]);
  ranges = [];
  manifests?.mark();
  await host.until(() => running().length === 1);
});

test('secrets are in pods and nowhere on disk', async () => {
  await start({ entries: [entry(`${one('app:1', ', secrets: [key]')}\nsecrets: {key: {content: canary-7431}}`)] });
  await host.until(() => running().length === 1);
  // Nothing is being written any more.
  await stop();
  const files = await fs.readdir(host.stateDir, { recursive: true, withFileTypes: true });
  for (const file of files.filter((each) => each.isFile())) {
    const text = await fs.readFile(path.join(file.parentPath, file.name), 'utf8');
    expect(text).not.toContain('canary-7431');
    expect(text).not.toContain(Buffer.from('canary-7431').toString('base64'));
  }
});

test('a host that is started without manifests ends those it had, and one that never had any is left as it is', async () => {
  await start({ settings: false });
  expect(manifests).toBeNull();
  expect(await fs.readdir(host.stateDir)).not.toContain('manifests.json');
  await stop();
  await start({ entries: [entry(one())] });
  await host.until(() => running().length === 1);
  await stop();
  await start({ settings: false });
  await host.turnUntil(() => host.gone.length === 1);
});
