/** Docker's volume plugin protocol against a plugin that is a process of its own. */
import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs/promises';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { findPlugin, listPlugins, type PluginDirectories } from '../../../../agent/volumes/plugins/discover.ts';
import { Plugins } from '../../../../agent/volumes/plugins/plugins.ts';
import { Volumes } from '../../../../agent/volumes/volumes.ts';
import { linuxMounter } from '../../../../agent/volumes/mounter.ts';
import type { ImageHandle } from '../../../../agent/runtime/port.ts';
import { systemClock } from '../../../../lib/clock.ts';
import type { Assignment } from '../../../../model/assignment.ts';
import { assignment, containerSpec } from '../../../unit/agent/pods/specs.ts';
import { PluginProcess } from './plugin/run.ts';

let directory: string;
let directories: PluginDirectories;
let plugin: PluginProcess;
let volumes: Volumes;
let ready: string[];

const image: ImageHandle = {
  reference: 'i', digest: 'd', chainId: 'c', config: { architecture: 'amd64', os: 'linux', entrypoint: [], cmd: [], env: [], workingDir: '', user: '', exposedPorts: [], volumes: [], labels: {} },
};
const times = { activate: 2000, long: 2000, short: 2000 };
/** An agent of this host, as it is after a start. */
const agent = (bootId = 'b1', over: Partial<typeof times> = {}) =>
  new Volumes({
    stateDir: path.join(directory, 'state'), runDir: path.join(directory, 'run'), mounter: linuxMounter, bootId, clock: systemClock, plugins: new Plugins({ directories, times: { ...times, ...over } }),
    images: { copyUp: async (_image, from, target) => fs.writeFile(path.join(target, 'seed'), from).then(() => true) }, ready: (pod) => ready.push(pod),
  });
const pod = (id: string, driverOpts: Readonly<Record<string, string>> = {}): Assignment => assignment(id, {
  template: { containers: [containerSpec({ mounts: [{ kind: 'volume', volume: 'data', target: '/data', readOnly: false, noCopy: false }] })] },
  volumes: { data: { driver: 'boxes', driverOpts } },
});
const use = async (on: Volumes, of: Assignment): Promise<string> => {
  await on.attach(of);
  const [container] = of.template.containers;
  return (await on.prepare(of, container ?? containerSpec(), image))[0]?.source ?? '';
};
const mounted = () => linuxMounter.mountsBelow(plugin.root);

beforeEach(async () => {
  directory = await fs.realpath(await fs.mkdtemp(path.join(os.tmpdir(), 'tsorch-plugin-')));
  directories = { sockets: path.join(directory, 'sockets'), files: [path.join(directory, 'etc'), path.join(directory, 'lib')] };
  for (const each of ['sockets', 'etc', 'lib']) await fs.mkdir(path.join(directory, each));
  plugin = new PluginProcess(path.join(directory, 'sockets', 'boxes.sock'), path.join(directory, 'boxes'));
  ready = [];
  volumes = agent();
});
afterEach(async () => {
  await plugin.dispose();
  await fs.rm(directory, { recursive: true, force: true });
});

describe('a volume of a plugin', () => {
  beforeEach(() => plugin.start());

  test('is made, mounted once per pod, filled, unmounted when the last pod leaves, removed', async () => {
    const shown = path.join(plugin.root, 'volumes/data/shown');
    expect(await use(volumes, pod('p1', { size: '10G' }))).toBe(shown);
    expect(await fs.readFile(path.join(plugin.root, 'volumes/data/data/seed'), 'utf8')).toBe('/data');
    expect(JSON.parse(await fs.readFile(path.join(plugin.root, 'volumes/data/options'), 'utf8'))).toEqual({ size: '10G' });
    await fs.writeFile(path.join(shown, 'seed'), 'mine');
    // A container that starts again has it already; another pod is counted on its own.
    await use(volumes, pod('p1'));
    await use(volumes, pod('p2'));
    expect([plugin.calls(), await fs.readFile(path.join(shown, 'seed'), 'utf8')]).toEqual([['Create data', 'Mount data', 'Mount data'], 'mine']);
    await expect(volumes.remove('data', 'boxes')).rejects.toMatchObject({ code: 'conflict' });
    await volumes.release('p1');
    expect(mounted()).toEqual([shown]);
    await volumes.release('p2');
    expect(mounted()).toEqual([]);
    await volumes.remove('data', 'boxes');
    await volumes.remove('data', 'boxes');
    expect([plugin.calls().slice(3), await fs.readdir(path.join(plugin.root, 'volumes'))]).toEqual([['Unmount data', 'Unmount data', 'Remove data'], []]);
  });

  test('is known to the next agent, by the same id', async () => {
    await use(volumes, pod('p1'));
    const next = agent();
    await next.settle();
    await use(next, pod('p1'));
    await next.release('p1');
    expect([plugin.calls(), mounted()]).toEqual([['Create data', 'Mount data', 'Unmount data'], []]);
  });

  test('was being mounted when the agent died: whether the plugin got to it or not, nothing stays mounted', async () => {
    await use(volumes, pod('p1'));
    const note = path.join(directory, 'state/pods/p1/attached/data.json');
    const before = JSON.parse(await fs.readFile(note, 'utf8')) as object;
    const asked = async () => {
      await fs.mkdir(path.dirname(note), { recursive: true });
      await fs.writeFile(note, JSON.stringify({ ...before, mountpoint: null }));
      return agent();
    };
    await (await asked()).release('p1');
    expect(mounted()).toEqual([]);
    await (await asked()).release('p1');
    expect(mounted()).toEqual([]);
    expect(await use(await asked(), pod('p1'))).toContain('shown');
    await agent().release('p1');
    expect([mounted(), await fs.readdir(path.join(plugin.root, 'volumes/data/ids'))]).toEqual([[], []]);
  });

  test('after a reboot it is mounted anew, and the old mount may be unknown', async () => {
    await use(volumes, pod('p1'));
    await plugin.kill();
    await fs.rm(path.join(plugin.root, 'volumes/data/ids'), { recursive: true });
    await fs.mkdir(path.join(plugin.root, 'volumes/data/ids'));
    linuxMounter.unmount(path.join(plugin.root, 'volumes/data/shown'));
    await plugin.start();
    const next = agent('b2');
    await use(next, pod('p1'));
    expect(mounted()).toHaveLength(1);
    const last = agent('b3');
    await last.release('p1');
    await last.release('p0');
    expect(mounted()).toEqual([]);
  });
});

describe('a plugin that', () => {
  beforeEach(() => plugin.start());

  test('is not there, is down, or says no: the pod hears of it, and goes on when it is over', async () => {
    const elsewhere = { ...pod('p1'), volumes: { data: { driver: 'rexray', driverOpts: {} } } };
    await expect(volumes.attach(elsewhere)).rejects.toMatchObject({ code: 'unavailable', message: 'this node has no volume driver rexray', hint: expect.stringContaining(directories.sockets) });
    await plugin.kill();
    await expect(volumes.attach(pod('p2'))).rejects.toMatchObject({ code: 'unavailable', message: expect.stringMatching(/the volume driver boxes does not answer: .*ECONNREFUSED/) });
    await plugin.start();
    plugin.behave({ errors: { 'VolumeDriver.Create': 'the pool is full' } });
    await expect(volumes.attach(pod('p2'))).rejects.toMatchObject({ code: 'unavailable', message: 'the volume driver boxes: the pool is full' });
    plugin.behave({});
    expect(await use(volumes, pod('p2'))).toContain('shown');
    // Down at the pod's end: it is tried again until the plugin has let go.
    await plugin.kill();
    await expect(volumes.release('p2')).rejects.toMatchObject({ code: 'unavailable' });
    await plugin.start();
    await volumes.release('p2');
    await volumes.release('p1');
    expect(mounted()).toEqual([]);
  });

  test('is slow is waited for without holding anybody up', async () => {
    plugin.behave({ delayMs: { 'VolumeDriver.Mount': 1200 } });
    await expect(volumes.attach(pod('p1'))).rejects.toMatchObject({ code: 'unavailable', message: 'waiting for the volume driver boxes to mount volume data' });
    await expect.poll(() => ready, { timeout: 5000 }).toEqual(['p1']);
    expect(await use(volumes, pod('p1'))).toContain('shown');
    expect(plugin.calls()).toEqual(['Create data', 'Mount data']);
  });

  test('never answers is given up on, and said so', async () => {
    plugin.behave({ delayMs: { 'VolumeDriver.Mount': 60_000 } });
    const hasty = agent('b1', { long: 800 });
    await expect(hasty.attach(pod('p1'))).rejects.toMatchObject({ message: expect.stringContaining('waiting for') });
    await expect.poll(() => ready, { timeout: 5000 }).toEqual(['p1']);
    await expect(hasty.attach(pod('p1'))).rejects.toMatchObject({ code: 'timeout', message: 'the volume driver boxes did not answer VolumeDriver.Mount within 0.8 s' });
  });

  test('a pod that ends while its volume is being mounted leaves nothing mounted', async () => {
    plugin.behave({ delayMs: { 'VolumeDriver.Mount': 900 } });
    await expect(volumes.attach(pod('p1'))).rejects.toMatchObject({ code: 'unavailable' });
    await volumes.release('p1');
    expect([plugin.calls(), mounted(), await fs.readdir(path.join(directory, 'state/pods'))]).toEqual([['Create data', 'Mount data', 'Unmount data'], [], []]);
  });
});

describe('where plugins are', () => {
  test('sockets, spec and json files, each also in a folder of its own; sockets first', async () => {
    await plugin.start();
    await fs.writeFile(path.join(directory, 'etc/remote.spec'), 'tcp://localhost:8080\n');
    await fs.writeFile(path.join(directory, 'lib/remote.spec'), 'tcp://localhost:9');
    await fs.writeFile(path.join(directory, 'etc/boxes.spec'), 'tcp://localhost:9');
    await fs.mkdir(path.join(directory, 'lib/own'));
    await fs.writeFile(path.join(directory, 'lib/own/own.json'), JSON.stringify({ Name: 'own', Addr: 'https://example.test/plugin/', TLSConfig: { CAFile: '/ca.pem', InsecureSkipVerify: false } }));
    await fs.writeFile(path.join(directory, 'etc/notes.txt'), '');
    expect(await listPlugins(directories)).toEqual(['boxes', 'own', 'remote']);
    expect((await findPlugin('boxes', directories))?.url).toBe(`unix://${path.join(directory, 'sockets/boxes.sock')}`);
    expect((await findPlugin('remote', directories))?.url).toBe('http://localhost:8080');
    expect(await findPlugin('own', directories)).toMatchObject({ url: 'https://example.test/plugin', tls: { insecure: false, caFile: '/ca.pem' } });
    for (const name of ['none', '../etc/remote', 'a/b', '']) expect(await findPlugin(name, directories)).toBeNull();
  });

  test('a file that says nothing of use is named', async () => {
    for (const [file, text] of [['bad.spec', 'hello'], ['bad.json', '{'], ['bad.json', '{}'], ['bad.json', '{"Addr":"ftp://x"}']] as const) {
      await fs.writeFile(path.join(directory, 'etc', file), text);
      await expect(findPlugin('bad', directories), text).rejects.toMatchObject({ code: 'invalid', message: expect.stringContaining(path.join(directory, 'etc', file)) });
      await fs.rm(path.join(directory, 'etc', file));
    }
  });

  test('which ones answer, and how far their volumes reach', async () => {
    const far = new PluginProcess(path.join(directory, 'sockets', 'far.sock'), path.join(directory, 'far'), 'global');
    await Promise.all([plugin.start(), far.start()]);
    await fs.writeFile(path.join(directory, 'etc/dead.spec'), `unix://${path.join(directory, 'nothing.sock')}`);
    try {
      const plugins = new Plugins({ directories, times });
      expect(await plugins.status()).toEqual([{ name: 'boxes', scope: 'local' }, { name: 'far', scope: 'global' }]);
      await far.kill();
      expect(await plugins.status()).toEqual([{ name: 'boxes', scope: 'local' }]);
      await far.start();
      expect(await plugins.status()).toHaveLength(2);
    } finally {
      await far.dispose();
    }
  });

  test('over TLS, by the CA that its file names', async () => {
    const key = path.join(directory, 'key.pem');
    const cert = path.join(directory, 'cert.pem');
    execFileSync('openssl', ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2', '-subj', '/CN=localhost', '-addext', 'subjectAltName=DNS:localhost', '-keyout', key, '-out', cert], { stdio: 'ignore' });
    const server = createServer({ key: await fs.readFile(key), cert: await fs.readFile(cert) }, (request, response) => {
      const answers: Readonly<Record<string, object>> = { '/base/Plugin.Activate': { Implements: ['NetworkDriver', 'VolumeDriver'] } };
      request.resume();
      response.writeHead(answers[request.url ?? ''] ? 200 : 404).end(JSON.stringify(answers[request.url ?? ''] ?? {}));
    }).listen(0);
    await once(server, 'listening');
    try {
      const file = (config: object) => fs.writeFile(path.join(directory, 'etc/tls.json'), JSON.stringify({ Addr: `tcp://localhost:${(server.address() as AddressInfo).port}/base`, TLSConfig: config }));
      await file({ CAFile: cert });
      // Plugins older than the question of scope are local.
      expect((await new Plugins({ directories, times }).get('tls')).scope).toBe('local');
      execFileSync('openssl', ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-subj', '/CN=other', '-keyout', path.join(directory, 'k2'), '-out', path.join(directory, 'other.pem')], { stdio: 'ignore' });
      await file({ CAFile: path.join(directory, 'other.pem') });
      await expect(new Plugins({ directories, times }).get('tls')).rejects.toMatchObject({ code: 'unavailable', message: expect.stringMatching(/self-signed|certificate/) });
      await file({ InsecureSkipVerify: true });
      expect((await new Plugins({ directories, times }).get('tls')).scope).toBe('local');
    } finally {
      server.close();
    }
  });
});
