import fs from 'node:fs/promises';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { teardownHost } from '../../../../agent/main.ts';
import type { HeldImage } from '../../../../model/image.ts';
import { assignment } from '../../../unit/agent/pods/specs.ts';
import { AgentHost, until } from './host.ts';
import { TestMaster } from './master.ts';

let host: AgentHost;
let master: TestMaster;
const masters: TestMaster[] = [];

beforeEach(async () => {
  host = await AgentHost.make();
  master = await newMaster();
});
afterEach(async () => {
  await host.dispose();
  for (const m of masters.splice(0)) m.kill();
});

async function newMaster(port = 0): Promise<TestMaster> {
  const made = await TestMaster.start(port);
  masters.push(made);
  return made;
}

const address = () => `127.0.0.1:${master.port}`;
const ready = (id: string) => () => master.statuses.get(id)?.ready === true;

describe('a session', () => {
  test('from the first Hello to a pod that serves', async () => {
    const agent = await host.start(address());
    await until(() => agent.connected && master.hellos.length === 2);
    // The VXLAN device exists only after the first Welcome: the second Hello tells of it.
    expect(master.hellos.map((h) => h.status.vtepMac)).toEqual(['', expect.stringMatching(/^([\da-f]{2}:){5}[\da-f]{2}$/)]);
    expect(master.hellos[0]?.status).toMatchObject({ id: 'n1', address: '192.0.2.1', os: 'linux', version: '1.2.3', bootId: expect.stringMatching(/^[\da-f-]{36}$/) });
    expect(master.hellos[0]?.status.capacity.cpus).toBeGreaterThan(0);
    expect(master.reports[0]).toMatchObject({ full: true, pods: [] });
    master.send({ $case: 'peers', value: { upsert: [{ id: 'n2', address: '192.0.2.2', subnet: '10.32.2.0/24', vtepMac: '0e:74:0a:20:02:00', blobPort: 0 }], remove: [], full: true } });
    master.assign([assignment('p1')]);
    await until(ready('p1'));
    await until(() => host.kernel.peers.length === 1);
    expect(master.statuses.get('p1')).toMatchObject({ phase: 'running', node: 'n1' });
    master.assign([], { remove: ['p1'], full: false });
    await until(() => master.reports.some((r) => r.gone.includes('p1')));
    await until(() => master.heartbeats > 2);
  });

  test('statuses of many pods come together', async () => {
    await host.start(address());
    await until(() => master.hellos.length === 2);
    master.reports = [];
    master.assign(Array.from({ length: 40 }, (_, i) => assignment(`p${i}`, { pod: { ip: `10.32.1.${i + 2}` } })));
    await until(() => master.statuses.size === 40 && [...master.statuses.values()].every((s) => s.ready));
    // Each pod passes through four phases at least.
    expect(master.reports.length).toBeLessThan(80);
  });

  test('after a master that died the next one hears everything again, and pods never noticed', async () => {
    const agent = await host.start(address());
    await until(() => agent.connected);
    master.assign([assignment('p1'), assignment('p2', { pod: { ip: '10.32.1.3' } })]);
    await until(() => ready('p1')() && ready('p2')());
    const { port } = master;
    master.kill();
    await until(() => !agent.connected);
    host.runtime.exit('p1.main.1', 3);
    await until(() => host.runtime.births.includes('p1.main.2'));
    master = await newMaster(port);
    await until(() => ready('p1')() && ready('p2')());
    expect(master.reports[0]?.full).toBe(true);
    expect(master.statuses.get('p1')?.restarts).toBe(1);
    expect(host.runtime.births.toSorted()).toEqual(['p1.main.1', 'p1.main.2', 'p2.main.1']);
  });

  test('with several addresses the next is tried', async () => {
    const dead = await newMaster();
    dead.kill();
    const agent = await host.start([`127.0.0.1:${dead.port}`, address()]);
    await until(() => agent.connected);
  });

  test('a silent master is left', async () => {
    master.acks = false;
    const agent = await host.start(address());
    await until(() => agent.connected);
    await until(() => master.sessions >= 2, 15_000);
  });

  test('a lower epoch is refused, also by the next agent', async () => {
    master.epoch = 7;
    await host.start(address());
    await until(() => master.statuses !== undefined && master.hellos.length === 2);
    master.assign([assignment('p1')]);
    await until(ready('p1'));
    // The word of a deposed leader ends the session, and is not followed.
    master.assign([], { epoch: 6 });
    await until(() => master.sessions === 2);
    expect(await host.runtime.list()).toHaveLength(1);
    await host.stop();
    master.epoch = 5;
    const before = master.sessions;
    const agent = await host.start(address());
    await until(() => master.sessions >= before + 3);
    expect(agent.connected).toBe(false);
    expect(master.hellos.at(-1)?.epoch).toBe(7);
    master.epoch = 8;
    await until(() => agent.connected);
  });

  test('an assignment that cannot be read harms no other pod', async () => {
    await host.start(address());
    await until(() => master.hellos.length === 2);
    master.assign([assignment('p1')]);
    await until(ready('p1'));
    master.assign(['no assignment', assignment('../p2'), assignment('p3', { pod: { ip: '10.32.1.9' } })]);
    await until(ready('p3'));
    expect((await host.runtime.list()).map((c) => c.id).toSorted()).toEqual(['p1.main.1', 'p3.main.1']);
    expect(master.sessions).toBe(1);
  });

  test('tells of its images: all of them to each master, then what changes', async () => {
    const names = (at: number) => master.images[at]?.upsert.map((text) => (JSON.parse(text) as HeldImage).names.map(({ name }) => name));
    await host.start(address());
    await until(() => master.images.length === 1);
    expect(names(0)).toEqual([['docker.io/library/busybox:latest']]);
    host.images.add('vote:2');
    await until(() => master.images.length === 2);
    expect([names(1), master.images[1]]).toEqual([[['docker.io/library/vote:2']], expect.objectContaining({ full: false, remove: [] })]);
    await host.images.remove('vote:2');
    await until(() => master.images.length === 3);
    expect(master.images[2]).toMatchObject({ full: false, upsert: [], remove: [expect.stringMatching(/^sha256:/)] });
    host.images.add('vote:3');
    master.stream?.end();
    await until(() => master.images.some(({ full }, at) => full && at > 2));
    expect(names(master.images.findLastIndex(({ full }) => full))).toEqual([['docker.io/library/busybox:latest'], ['docker.io/library/vote:3']]);
  });

  test('without a master an agent starts from disk: pods, addresses, routes', async () => {
    await host.start(address());
    await until(() => master.hellos.length === 2);
    master.send({ $case: 'peers', value: { upsert: [{ id: 'n2', address: '192.0.2.2', subnet: '10.32.2.0/24', vtepMac: '0e:74:0a:20:02:00', blobPort: 0 }], remove: [], full: true } });
    master.assign([assignment('p1')]);
    await until(() => ready('p1')() && host.kernel.peers.length === 1);
    await host.stop();
    master.kill();
    // The host has rebooted: nothing is left but the disk.
    for (const c of await host.runtime.list()) await host.runtime.remove(c.id);
    host.kernel.pods.clear();
    host.kernel.peers = [];
    host.kernel.config = undefined;
    const agent = await host.start(address());
    await until(() => agent.pods.get('p1')?.status.ready === true && host.kernel.peers.length === 1);
    expect(host.kernel.pods.get('p1')).toBe('10.32.1.2');
  });

  test('leaving removes all but volumes and state', async () => {
    const agent = await host.start(address());
    await until(() => master.hellos.length === 2);
    const mounts = [{ kind: 'volume' as const, volume: 'data', target: '/data', readOnly: false, noCopy: true }];
    const p1 = assignment('p1');
    const [container] = p1.template.containers;
    master.assign([{ ...p1, template: { ...p1.template, containers: [{ ...container, mounts }] } }]);
    await until(ready('p1'));
    await agent.teardown();
    expect([await host.runtime.list(), host.kernel.pods.size, host.kernel.config]).toEqual([[], 0, undefined]);
    expect(await fs.readdir(path.join(host.directory, 'state', 'volumes', 'data'))).toEqual(['_data', 'volume.json']);
  });

  test('a host whose agent does not run can be cleared too', async () => {
    await host.start(address());
    await until(() => master.hellos.length === 2);
    master.assign([assignment('p1')]);
    await until(ready('p1'));
    await host.stop();
    await teardownHost({ ...host.options(address()), signal: new AbortController().signal });
    expect([await host.runtime.list(), host.kernel.pods.size]).toEqual([[], 0]);
  });

  test('what stops without a master is told of its word, and a new agent knows when it came', async () => {
    await host.start(address());
    await until(() => master.hellos.length === 2);
    master.assign([assignment('p1', { template: { onDisconnect: { stopAfterMs: 60_000 } } })]);
    await until(ready('p1'));
    const contact = async () => (JSON.parse(await fs.readFile(path.join(host.directory, 'run', 'contact.json'), 'utf8')) as { at: number }).at;
    const first = await contact();
    // Answered heartbeats.
    await until(async () => (await contact()) > first);
    master.kill();
    await host.stop();
    const agent = await host.start(address());
    expect(agent.connected).toBe(false);
    await until(() => agent.pods.statuses().some(({ id, ready: is }) => id === 'p1' && is));
    expect(host.runtime.births).toEqual(['p1.main.1']);
    await agent.teardown();
    expect(await fs.readdir(path.join(host.directory, 'run'))).not.toContain('contact.json');
  });
});
