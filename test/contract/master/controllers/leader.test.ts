/** The whole leader over a store in memory, with hosts that do what they are told. */
import { afterEach, beforeEach, expect, it } from 'vitest';
import type { Pod } from '../../../../model/pod.ts';
import type { PlanResult } from '../../../../model/api.ts';
import type { ServiceSpec, StackSpec } from '../../../../model/spec.ts';
import { makeSpec, type SpecChanges } from '../../../unit/master/scheduler/make.ts';
import { SessionHost, TableHost, type HostOptions } from '../api/host.ts';
import { Lab, until } from '../api/lab.ts';

interface Machine {
  readonly id: string;
  readonly session: SessionHost;
  readonly tables: TableHost;
  close(): void;
}

let lab: Lab;
let machines: Machine[];
beforeEach(async () => {
  machines = [];
  lab = await Lab.start({ times: { heartbeatMs: 100, silenceMs: 600, graceMs: 200, startGraceMs: 300, witnessedGraceMs: 400 } });
});
afterEach(async () => {
  for (const machine of machines) machine.close();
  await lab[Symbol.asyncDispose]();
});

async function machine(name: string, labels: Record<string, string> = {}, options: Partial<HostOptions> & { readonly acknowledge?: boolean } = {}): Promise<Machine> {
  const { id, credentials } = await lab.join(name, labels);
  const port = lab.serving.grpcPort;
  const session = new SessionHost({ id, credentials, port, heartbeatMs: 50, obedient: true, ...options }).hello();
  const tables = new TableHost({ port, credentials, acknowledge: options.acknowledge ?? true });
  await until(`${name} is up`, () => lab.serving.context.sessions.has(id) && tables.changes.length > 0);
  const made: Machine = {
    id, session, tables,
    close() {
      session.close();
      tables.close();
    },
  };
  machines.push(made);
  return made;
}

function stack(services: Record<string, SpecChanges>, more: Partial<StackSpec> = {}): StackSpec {
  const made: [string, ServiceSpec][] = Object.entries(services).map(([name, changes]) => [name, makeSpec({ networks: [{ network: 'shop_default', aliases: [] }], ...changes, stack: 'shop', name })]);
  return {
    name: 'shop', services: Object.fromEntries(made), volumes: {}, secrets: {}, configs: {}, ...more,
    networks: { default: { name: 'shop_default', external: false, internal: false, driver: '', driverOpts: {}, labels: {} } },
  };
}

const replicas = (count: number) => ({ kind: 'replicated', replicas: count }) as const;
const pods = (service?: string): Pod[] => lab.world.values('pods').filter((pod) => service === undefined || pod.service === service);
const live = (service: string): Pod[] => pods(service).filter((pod) => pod.desired === 'running');
const ready = (service: string) => live(service).filter((pod) => lab.world.get('podstatus', pod.id)?.ready === true && pod.node !== null && lab.serving.context.liveness.state(pod.node) !== 'down');
const endpoints = (service: string) => lab.serving.tables.table.services.get(service)?.endpoints ?? [];
const settled = (service: string, count: number) => until(`${count} of ${service} are ready`, () => ready(service).length === count && live(service).length === count && endpoints(service).length === count);

it('pods get a place, an address of their node\'s subnet that no other has, and become endpoints', async () => {
  for (const name of ['alpha', 'beta', 'gamma']) await machine(name);
  await lab.ok('PUT', '/v1/stacks/shop', stack({ web: { mode: replicas(30) } }));
  await settled('shop_web', 30);
  const addresses = live('shop_web').map((pod) => pod.ip);
  expect(new Set(addresses).size).toBe(30);
  for (const pod of live('shop_web')) {
    const subnet = lab.world.get('nodes', pod.node!)!.subnet;
    expect(pod.ip!.startsWith(subnet.slice(0, subnet.lastIndexOf('.') + 1))).toBe(true);
  }
  expect(machines.map(({ id }) => live('shop_web').filter((pod) => pod.node === id).length)).toEqual([10, 10, 10]);
  await lab.ok('POST', '/v1/services/shop_web/scale', { replicas: 3 });
  await settled('shop_web', 3);
  await until('the others are gone', () => pods('shop_web').length === 3 && lab.world.maps.podstatus.size === 3);
  await lab.ok('POST', '/v1/services/shop_web/scale', { replicas: 40 });
  await settled('shop_web', 40);
  expect(new Set(live('shop_web').map((pod) => pod.ip)).size).toBe(40);
});

it('a pod leaves every table before it is told to stop', async () => {
  const a = await machine('alpha');
  const b = await machine('beta', {}, { acknowledge: false });
  await lab.ok('PUT', '/v1/stacks/shop', stack({ web: { mode: replicas(1) } }));
  await settled('shop_web', 1);
  const [pod] = live('shop_web');
  const host = [a, b].find(({ id }) => id === pod!.node)!;
  await lab.ok('POST', '/v1/services/shop_web/scale', { replicas: 0 });
  const without = () => b.tables.changes.find(({ services }) => services['shop_web'] !== undefined && (JSON.parse(services['shop_web']) as { endpoints: unknown[] }).endpoints.length === 0 && b.tables.changes.some((change) => change.pods[pod!.id] !== undefined));
  await until('the table says so', () => lab.serving.tables.table.services.get('shop_web')?.endpoints.length === 0);
  expect(lab.world.get('pods', pod!.id)?.desired).toBe('draining');
  expect(host.session.assigned.get(pod!.id)?.pod.desired).not.toBe('stopped');
  await until('the slow proxy has heard', () => without() !== undefined);
  b.tables.acknowledge(lab.world.revision);
  await until('then it is told to stop, and is gone', () => pods('shop_web').length === 0, 1_500);
});

it('a node that is lost is replaced, and what comes back later is cleared away', async () => {
  const [a, b] = [await machine('alpha'), await machine('beta')];
  await lab.ok('PUT', '/v1/stacks/shop', stack({ web: { mode: replicas(4) } }));
  await settled('shop_web', 4);
  const lost = live('shop_web').filter((pod) => pod.node === a.id).map((pod) => pod.id);
  expect(lost).toHaveLength(2);
  a.close();
  await until('all four are on beta', () => ready('shop_web').length === 4 && ready('shop_web').every((pod) => pod.node === b.id), 15_000);
  expect(endpoints('shop_web').every(({ node }) => node === b.id)).toBe(true);
  expect((await lab.ok<{ name: string; state: string }[]>('GET', '/v1/nodes')).find(({ name }) => name === 'alpha')?.state).toBe('down');
  const again = new SessionHost({ id: a.id, credentials: await lab.node(a.id), port: lab.serving.grpcPort, heartbeatMs: 50, obedient: true });
  machines.push({ ...a, session: again, close: () => again.close() });
  again.hello();
  // The old pods ran all the time.
  for (const id of lost) again.report({ id });
  await until('the old ones are told to stop and forgotten', () => lost.every((id) => lab.world.get('pods', id) === undefined && lab.world.get('podstatus', id) === undefined));
  expect(live('shop_web')).toHaveLength(4);
});

it('one per node where the labels fit, following the labels', async () => {
  const a = await machine('alpha', { zone: 'front' });
  await machine('beta', { zone: 'back' });
  await lab.ok('PUT', '/v1/stacks/shop', stack({ web: { mode: { kind: 'global' }, where: ['node.labels.zone==front'] } }));
  await settled('shop_web', 1);
  expect(live('shop_web')[0]).toMatchObject({ node: a.id, slot: a.id });
  const c = await machine('gamma', { zone: 'front' });
  await settled('shop_web', 2);
  expect(new Set(live('shop_web').map((pod) => pod.node))).toEqual(new Set([a.id, c.id]));
  await lab.ok('PATCH', '/v1/nodes/gamma', { availability: 'drain' });
  await settled('shop_web', 1);
});

it('a volume is bound to the node of its first pod, and leads every later one there', async () => {
  for (const name of ['alpha', 'beta', 'gamma']) await machine(name);
  const volumes = { data: { name: 'shop_data', external: false, driver: 'local', driverOpts: {}, labels: {} } };
  await lab.ok('PUT', '/v1/stacks/shop', stack({ db: { mode: replicas(1), volumes: ['shop_data'] } }, { volumes }));
  await settled('shop_db', 1);
  const { node, id } = live('shop_db')[0]!;
  expect(lab.world.get('volumes', 'shop_data')?.node).toBe(node);
  for (let round = 0; round < 3; round++) {
    await lab.ok('POST', '/v1/services/shop_db/restart');
    const before = live('shop_db')[0]?.id;
    await until('another pod is ready', () => ready('shop_db').length === 1 && ready('shop_db')[0]?.id !== before);
    expect(ready('shop_db')[0]?.node).toBe(node);
  }
  expect(ready('shop_db')[0]?.id).not.toBe(id);
  expect(await lab.fails('DELETE', '/v1/volumes/shop_data')).toMatchObject({ status: 409, error: { message: expect.stringContaining('shop_db') as string } });
  // Removing the stack keeps its data.
  await lab.ok('DELETE', '/v1/stacks/shop');
  await until('no pod is left', () => pods().length === 0);
  expect(lab.world.get('volumes', 'shop_data')?.node).toBe(node);
});

it('pods that fit nowhere say why, and are placed as soon as they fit', async () => {
  await machine('alpha', {}, { capacity: { cpus: 2, memory: 4e9 } });
  await lab.ok('PUT', '/v1/stacks/shop', stack({ web: { mode: replicas(3), cpus: 1 } }));
  await until('two are ready', () => ready('shop_web').length === 2);
  await until('the third says why not', async () => (await lab.ok<{ state: string; message: string }[]>('GET', '/v1/pods')).some(({ state, message }) => state === 'pending' && /cpu/i.test(message)));
  await machine('beta');
  await settled('shop_web', 3);
  await lab.ok('PUT', '/v1/stacks/shop', stack({ web: { mode: replicas(3), cpus: 1 }, db: { where: ['node.labels.disk==ssd'] } }));
  await until('it waits for a label', async () => (await lab.ok<{ name: string; message: string }[]>('GET', '/v1/pods?service=shop_db'))[0]?.message.includes('disk') === true);
  const [pending] = live('shop_db');
  expect((await lab.ok<{ why: unknown[] }>('GET', `/v1/pods/${pending!.id}`)).why.length).toBeGreaterThan(0);
  await lab.ok('PATCH', '/v1/nodes/beta', { labels: { disk: 'ssd' } });
  await settled('shop_db', 1);
});

it('an update replaces pod after pod; the plan tells so beforehand and writes nothing', async () => {
  for (const name of ['alpha', 'beta']) await machine(name);
  const before = stack({ web: { mode: replicas(3) } });
  await lab.ok('PUT', '/v1/stacks/shop', before);
  await settled('shop_web', 3);
  const old = new Set(live('shop_web').map(({ id }) => id));
  const container = before.services['web']!.template.containers[0]!;
  const after = stack({ web: { mode: replicas(4), template: { containers: [{ ...container, image: 'app:2' }] } } });
  const { revision } = lab.world;
  const plan = await lab.ok<PlanResult>('POST', '/v1/stacks/shop/plan', after);
  expect(plan.services).toHaveLength(1);
  expect(plan.services[0]).toMatchObject({ id: 'shop_web', action: 'update', restarts: true });
  expect(plan.services[0]?.pods.map(({ name, action }) => `${name} ${action}`)).toEqual(['shop_web.1 replace', 'shop_web.2 replace', 'shop_web.3 replace', 'shop_web.4 create']);
  expect(plan.services[0]?.pods.every(({ node }) => node === 'alpha' || node === 'beta')).toBe(true);
  expect(plan.services[0]?.changes.map(({ path }) => path)).toEqual(expect.arrayContaining([expect.stringContaining('image')]));
  expect(lab.world.revision).toBe(revision);
  expect(live('shop_web')).toHaveLength(3);
  expect((await lab.ok<PlanResult>('POST', '/v1/stacks/shop/plan', before)).services[0]).toMatchObject({ action: 'unchanged', restarts: false });
  let fewest = Infinity;
  lab.world.subscribe(() => { fewest = Math.min(fewest, ready('shop_web').length); }, AbortSignal.timeout(20_000));
  await lab.ok('PUT', '/v1/stacks/shop', after);
  await until('all are new', () => ready('shop_web').length === 4 && ready('shop_web').every(({ id }) => !old.has(id)), 20_000);
  // One at a time, the old one first: of three, two serve throughout.
  expect(fewest).toBeGreaterThanOrEqual(2);
  await until('the old revision is forgotten by all but rollback', () => lab.world.maps.revisions.size === 2);
});

it('a removed node\'s pods are replaced at once, its subnet is free again', async () => {
  const [a, b] = [await machine('alpha'), await machine('beta')];
  await lab.ok('PUT', '/v1/stacks/shop', stack({ web: { mode: replicas(4) } }));
  await settled('shop_web', 4);
  expect(await lab.fails('DELETE', '/v1/nodes/alpha')).toMatchObject({ status: 409, error: { hint: expect.stringContaining('drain') as string } });
  await lab.ok('DELETE', '/v1/nodes/alpha?force=true');
  await settled('shop_web', 4);
  expect(live('shop_web').every(({ node }) => node === b.id)).toBe(true);
  await until('it is told so', () => a.session.ended !== undefined);
  const subnets = lab.world.values('nodes').map(({ subnet }) => subnet);
  const c = await machine('gamma');
  const fresh = lab.world.get('nodes', c.id)?.subnet;
  expect(subnets).not.toContain(fresh);
});

it('another master follows, then takes over what there is and starts nothing twice', async () => {
  const hosts = [await machine('alpha'), await machine('beta')];
  await lab.ok('PUT', '/v1/stacks/shop', stack({ web: { mode: replicas(6) } }));
  await settled('shop_web', 6);
  const picture = (of: Lab) => of.world.values('pods').map(({ id, node, ip, desired }) => `${id} ${node} ${ip} ${desired}`).toSorted();
  const before = picture(lab);
  const second = await Lab.start({ beside: lab, times: { heartbeatMs: 100, silenceMs: 600, graceMs: 200, startGraceMs: 5_000 } });
  try {
    expect(picture(second)).toEqual(before);
    expect(await second.ok('GET', '/v1/version')).toMatchObject({ leader: false });
    expect(await second.fails('POST', '/v1/services/shop_web/scale', { body: { replicas: 1 } })).toMatchObject({ status: 503, error: { code: 'unavailable', hint: expect.stringContaining('again') as string } });
    await lab[Symbol.asyncDispose]();
    for (const { session, tables } of hosts) await until('its streams have ended', () => session.ended !== undefined && tables.ended !== undefined);
    await until('the second leads', () => second.serving.context.leadership.current !== null);
    expect(second.serving.context.leadership.current?.createRevision).toBeGreaterThan(hosts[0]!.session.welcome!.epoch);
    for (const [index, name] of ['alpha', 'beta'].entries()) {
      const { id } = hosts[index]!;
      const session = new SessionHost({ id, credentials: await second.node(id), port: second.serving.grpcPort, heartbeatMs: 50, obedient: true }).hello();
      machines.push({ id, session, tables: hosts[index]!.tables, close: () => session.close() });
      await until(`${name} is welcomed there`, () => session.welcome !== undefined && session.assigned.size === 3);
    }
    await until('both are known to be there', () => hosts.every(({ id }) => second.serving.context.liveness.state(id) === 'ready'));
    expect(await second.ok('POST', '/v1/services/shop_web/scale', { replicas: 7 })).toMatchObject({ desired: 7 });
    await until('there is one more', () => second.world.maps.pods.size === 7);
    expect(picture(second)).toEqual(expect.arrayContaining(before));
  } finally {
    for (const made of machines) made.close();
    await second[Symbol.asyncDispose]();
  }
});
