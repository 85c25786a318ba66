import { X509Certificate } from 'node:crypto';
import { status } from '@grpc/grpc-js';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { createRequest } from '../../../../lib/pki/request.ts';
import type { Op } from '../../../../master/store/port.ts';
import type { Pod, StaticPod } from '../../../../model/pod.ts';
import { makePod, makeSpec } from '../../../unit/master/scheduler/make.ts';
import { SessionHost, TableHost, type HostOptions } from '../api/host.ts';
import { Lab, until } from '../api/lab.ts';

let lab: Lab;
let hosts: { close(): void }[];
beforeEach(async () => {
  hosts = [];
  lab = await Lab.start({ times: { heartbeatMs: 100, silenceMs: 400 } });
});
afterEach(async () => {
  for (const host of hosts) host.close();
  await lab[Symbol.asyncDispose]();
});

async function connect(name: string, options: Partial<HostOptions> = {}): Promise<SessionHost> {
  const { id, credentials } = await lab.join(name);
  const host = new SessionHost({ id, credentials, port: lab.serving.grpcPort, heartbeatMs: 50, ...options });
  hosts.push(host);
  host.hello();
  await until(`${name} is welcomed`, () => {
    if (host.ended) throw host.ended;
    return host.welcome !== undefined;
  });
  return host;
}

/** Pods as the leader would have made them, and as many as it wants, so that it leaves them alone. */
async function give(pods: readonly Pod[], replicas = pods.length): Promise<void> {
  const spec = makeSpec();
  const { revision } = await lab.store.commit([
    { op: 'put', kind: 'services', id: 'shop_web', value: { id: 'shop_web', spec: { ...spec, mode: { kind: 'replicated', replicas } }, revision: 'r1', previous: null } },
    { op: 'put', kind: 'revisions', id: 'shop_web.r1', value: { service: 'shop_web', revision: 'r1', spec } },
    ...pods.map((pod): Op => ({ op: 'put', kind: 'pods', id: pod.id, value: pod })),
  ]);
  await lab.world.waitFor(revision, AbortSignal.timeout(5000));
}

it('welcomes a node with what it needs to know, and tells of it in the store', async () => {
  const host = await connect('alpha');
  expect(host.welcome).toMatchObject({ nodeName: 'alpha', subnet: lab.world.get('nodes', host.id)?.subnet, podCidr: '10.32.0.0/12', serviceCidr: '10.30.0.0/16', heartbeatMs: 100, underlay: 'auto' });
  expect(host.welcome?.epoch).toBe(lab.serving.context.leadership.current?.createRevision);
  expect(host.heard.slice(0, 3).map(({ $case }) => $case)).toEqual(['welcome', 'peers', 'assignments']);
  expect(host.heard[2]).toMatchObject({ value: { full: true, upsert: [] } });
  expect(lab.world.get('nodestatus', host.id)).toMatchObject({ id: host.id, address: '192.0.2.1' });
  expect(lab.world.get('sessions', host.id)).toEqual({ node: host.id, master: 'm1' });
  expect(lab.serving.context.liveness.state(host.id)).toBe('ready');
  await until('heartbeats are answered', () => host.heard.some(({ $case }) => $case === 'heartbeatAck'));
});

it('the certificate says who speaks, whatever the message says', async () => {
  const host = await connect('alpha');
  host.hello({ id: 'somebody-else', address: '192.0.2.7' });
  await until('the status is written', () => lab.world.get('nodestatus', host.id)?.address === '192.0.2.7');
  expect(lab.world.get('nodestatus', host.id)?.id).toBe(host.id);
  expect(lab.world.get('nodestatus', 'somebody-else')).toBeUndefined();
});

it('sends only what differs, and nothing to those it does not concern', async () => {
  const [a, b] = [await connect('alpha'), await connect('beta')];
  await give([makePod('p1', { slot: 1, node: a.id, ip: '10.32.0.10' }), makePod('p2', { slot: 2, node: a.id, ip: '10.32.0.11' })]);
  await until('both are assigned', () => a.assigned.size === 2);
  const told = a.heard.length;
  await give([makePod('p2', { slot: 2, node: a.id, ip: '10.32.0.11', reason: 'another word' })], 2);
  await until('the change has come', () => a.assigned.get('p2')?.pod.reason === 'another word');
  const news = a.heard.slice(told).flatMap((kind) => (kind.$case === 'assignments' ? [kind.value] : []));
  expect(news[0]).toMatchObject({ full: false, remove: [] });
  expect(news[0]?.upsert.map((text) => (JSON.parse(text) as { pod: Pod }).pod.id)).toEqual(['p2']);
  await lab.store.commit([{ op: 'delete', kind: 'services', id: 'shop_web' }, { op: 'delete', kind: 'pods', id: 'p1' }]);
  await until('p1 is withdrawn', () => !a.assigned.has('p1'));
  expect(b.assigned.size).toBe(0);
  expect(b.heard.filter(({ $case }) => $case === 'assignments')).toHaveLength(1);
});

it('a secret comes along with the pod that mounts it, and the pod waits for it', async () => {
  const host = await connect('alpha');
  const spec = makeSpec();
  const reference = { source: 'shop_key', digest: 'sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef', target: '/run/secrets/key', uid: 0, gid: 0, mode: 0o444 };
  const container = { ...spec.template.containers[0]!, secrets: [reference] };
  const full = { ...spec, template: { ...spec.template, containers: [container] } };
  const { revision } = await lab.store.commit([
    { op: 'put', kind: 'revisions', id: 'shop_web.r2', value: { service: 'shop_web', revision: 'r2', spec: full } },
    { op: 'put', kind: 'services', id: 'shop_web', value: { id: 'shop_web', spec: full, revision: 'r2', previous: null } },
    { op: 'put', kind: 'pods', id: 'p2', value: makePod('p2', { revision: 'r2', node: host.id, ip: '10.32.0.12' }) },
  ]);
  await lab.world.waitFor(revision, AbortSignal.timeout(5000));
  expect(host.assigned.has('p2')).toBe(false);
  await lab.store.commit([{ op: 'put', kind: 'secrets', id: 'shop_key.0123456789abcdef', value: { name: 'shop_key', external: false, content: 'aGk=', digest: reference.digest, labels: {} } }]);
  await until('the pod comes with its secret', () => host.assigned.get('p2')?.files.length === 1);
  expect(host.assigned.get('p2')?.files[0]).toEqual({ reference, kind: 'secret', container: 'main', content: 'aGk=' });
});

it('introduces nodes to one another, and takes a removed one back', async () => {
  const [a, b] = [await connect('alpha'), await connect('beta', { address: '192.0.2.2' })];
  await until('they know each other', () => a.peers.has(b.id) && b.peers.has(a.id));
  expect(a.peers.get(b.id)).toMatchObject({ address: '192.0.2.2', subnet: lab.world.get('nodes', b.id)?.subnet });
  expect(a.peers.has(a.id)).toBe(false);
  await lab.ok('DELETE', `/v1/nodes/beta?force=true`);
  await until('beta is gone', () => !a.peers.has(b.id));
});

it('a node speaks for its own pods only', async () => {
  const [a, b] = [await connect('alpha'), await connect('beta')];
  await give([makePod('p1', { slot: 1, node: a.id, ip: '10.32.0.10' }), makePod('p2', { slot: 2, node: b.id, ip: '10.32.1.10' })]);
  b.report({ id: 'p1', phase: 'failed', ready: false });
  b.report({ id: 'no-such-pod' });
  b.gone('p1');
  b.report({ id: 'p2', message: 'own' });
  await until('its own is written', () => lab.world.get('podstatus', 'p2')?.message === 'own');
  expect(lab.world.get('podstatus', 'p1')).toBeUndefined();
  expect(lab.world.get('podstatus', 'no-such-pod')).toBeUndefined();
  a.report({ id: 'p1', node: b.id });
  await until('it is written as of the node that said it', () => lab.world.get('podstatus', 'p1')?.node === a.id);
});

it('what a full report does not name is gone', async () => {
  const host = await connect('alpha');
  await give([makePod('p1', { slot: 1, node: host.id, ip: '10.32.0.10' }), makePod('p2', { slot: 2, node: host.id, ip: '10.32.0.11' })]);
  host.report({ id: 'p1' });
  host.report({ id: 'p2' });
  await until('both are known', () => lab.world.get('podstatus', 'p1') !== undefined && lab.world.get('podstatus', 'p2') !== undefined);
  host.send({ $case: 'status', value: { pods: [JSON.stringify(host.statuses.get('p2'))], full: true, gone: [], statics: [] } });
  await until('p1 is forgotten', () => lab.world.get('podstatus', 'p1') === undefined);
  expect(lab.world.get('podstatus', 'p2')).toBeDefined();
});

it('nonsense from an agent harms nobody', async () => {
  const a = await connect('alpha');
  await give([makePod('p1', { slot: 1, node: a.id, ip: '10.32.0.10' }), makePod('p2', { slot: 2, node: a.id, ip: '10.32.0.11' })]);
  a.report({ id: 'p1' });
  await until('p1 is known', () => lab.world.get('podstatus', 'p1') !== undefined);
  // What cannot be read may have been about p1: it is not taken for gone.
  a.send({ $case: 'status', value: { pods: ['{not json', 'null', '{"id":"p1","phase":"exploded"}', JSON.stringify({ ...a.statuses.get('p1'), id: 'p2' })], full: true, gone: [], statics: [] } });
  await until('what makes sense is taken', () => lab.world.get('podstatus', 'p2') !== undefined);
  expect(lab.world.get('podstatus', 'p1')).toMatchObject({ phase: 'running' });
  a.hello({ capacity: 'much' as never });
  await until('its hello is refused', () => a.ended !== undefined);
  expect(a.ended).toMatchObject({ code: status.INVALID_ARGUMENT });
  const c = new SessionHost({ id: 'x', credentials: (await lab.join('gamma')).credentials, port: lab.serving.grpcPort });
  hosts.push(c);
  c.send({ $case: 'hello', value: { status: 'null', epoch: 0 } });
  await until('gamma is refused', () => c.ended !== undefined);
  expect(lab.serving.context.leadership.current).not.toBeNull();
});

it('a second session of one identity is refused while the first lives, and takes over once it is silent', async () => {
  const first = await connect('alpha');
  const credentials = await lab.node(first.id);
  const second = new SessionHost({ id: first.id, credentials, port: lab.serving.grpcPort });
  hosts.push(second);
  second.hello();
  await until('it is refused', () => second.ended !== undefined);
  expect(second.ended).toMatchObject({ code: status.ALREADY_EXISTS });
  expect(first.ended).toBeUndefined();
  first.close();
  await until('the first is gone', () => !lab.serving.context.sessions.has(first.id));
  const third = new SessionHost({ id: first.id, credentials, port: lab.serving.grpcPort, heartbeatMs: 50 });
  hosts.push(third);
  third.hello();
  await until('it is welcomed', () => third.welcome !== undefined);
});

it('a silent session is ended, and says so in the store', async () => {
  const host = await connect('alpha', { heartbeatMs: 3_600_000 });
  await until('it is ended', () => host.ended !== undefined);
  await until('nobody holds its session', () => lab.world.get('sessions', host.id) === undefined);
  expect(lab.serving.context.liveness.state(host.id)).not.toBe('ready');
});

it('a removed node is cut off: session, data and tables; and refused afterwards', async () => {
  const host = await connect('alpha');
  const credentials = await lab.node(host.id);
  const tables = new TableHost({ port: lab.serving.grpcPort, credentials });
  hosts.push(tables);
  await until('it has the table', () => tables.changes.length > 0);
  const opened = lab.serving.context.sessions.openStream(host.id, 'logs', {});
  await until('it is asked for a stream', () => host.requests.length === 1);
  const data = host.dial(host.requests[0]!.id);
  let cut = false;
  data.on('error', () => { cut = true; });
  data.resume();
  await opened;
  await lab.ok('DELETE', '/v1/nodes/alpha?force=true');
  await until('all three are cut', () => host.ended !== undefined && tables.ended !== undefined && cut);
  expect(host.ended).toMatchObject({ code: status.PERMISSION_DENIED });
  expect(tables.ended).toMatchObject({ code: status.PERMISSION_DENIED });
  const again = new SessionHost({ id: host.id, credentials, port: lab.serving.grpcPort }).hello();
  const watch = new TableHost({ port: lab.serving.grpcPort, credentials });
  hosts.push(again, watch);
  await until('both are refused', () => again.ended !== undefined && watch.ended !== undefined);
  expect(again.ended).toMatchObject({ code: status.PERMISSION_DENIED, details: expect.stringContaining('removed') as string });
  expect(watch.ended).toMatchObject({ code: status.PERMISSION_DENIED });
  expect(watch.changes).toEqual([]);
  expect(lab.world.get('podstatus', 'p1')).toBeUndefined();
});

it('a removed node is refused a new certificate, others get one for themselves', async () => {
  const [a, b] = [await lab.join('alpha'), await lab.join('beta')];
  const { csr } = await createRequest(`node:${b.id}`);
  const renewed = await lab.call<{ certificate: string; ca: string }>('POST', '/v1/renew', { as: a.credentials, body: { csr } });
  expect(renewed.status).toBe(200);
  expect(new X509Certificate(renewed.body.certificate).subject).toContain(`node:${a.id}`);
  await lab.ok('DELETE', '/v1/nodes/alpha');
  expect(await lab.fails('POST', '/v1/renew', { as: a.credentials, body: { csr } })).toMatchObject({ status: 403, error: { hint: expect.stringContaining('token') as string } });
});

/** A pod of a host's own manifest, as its agent tells of it. */
function own(id: string, changes: Partial<StaticPod> = {}): StaticPod {
  return {
    pod: makePod(id, { service: 'edge_proxy', stack: 'edge', slot: 1, node: 'whatever', ip: '10.31.0.1' }), origin: '/etc/tsorch/manifests/edge.yml', image: 'proxy:1', reservations: { cpus: 3, memory: 1e9 },
    ports: [{ target: 80, published: 8080, protocol: 'tcp', mode: 'ingress' }],
    status: { id, node: 'whatever', phase: 'running', ready: true, message: '', restarts: 0, since: 1, containers: [{ name: 'proxy', image: 'proxy:1' }] }, ...changes,
  };
}

function tell(host: SessionHost, pods: readonly StaticPod[], more: { readonly full?: boolean; readonly gone?: readonly string[] } = {}): void {
  host.send({ $case: 'status', value: { pods: [], full: more.full ?? false, gone: [...(more.gone ?? [])], statics: pods.map((pod) => JSON.stringify(pod)) } });
}

it('pods of a host\'s own manifests are shown and counted, and nobody takes them from it', async () => {
  const [a, b] = [await connect('alpha'), await connect('beta')];
  tell(a, [own('s1')]);
  await until('it is known', () => lab.world.get('staticpods', 's1') !== undefined);
  expect(await lab.ok('GET', '/v1/pods?target=edge')).toMatchObject([{ id: 's1', name: 'edge_proxy.1', node: 'alpha', state: 'running', ready: true, ip: '10.31.0.1', image: 'proxy:1', origin: '/etc/tsorch/manifests/edge.yml' }]);
  expect(await lab.ok('GET', '/v1/pods/s1')).toMatchObject({ pod: { node: a.id }, status: { phase: 'running' } });
  expect(await lab.ok('GET', '/v1/nodes/alpha')).toMatchObject({ pods: 1, allocated: { cpus: 3, memory: 1e9 } });
  // Whoever wants to change it is sent to its file.
  for (const [method, path] of [['DELETE', '/v1/stacks/edge'], ['POST', '/v1/services/edge_proxy/restart']] as const) {
    expect(await lab.fails(method, path)).toMatchObject({ error: { code: 'not-found', hint: expect.stringContaining('/etc/tsorch/manifests/edge.yml on alpha') } });
  }
  // The leader's list names no such pod, and the host that told of it is not told to end it.
  expect([...a.assigned.keys()]).toEqual([]);
  // Another host cannot speak for it.
  tell(b, [own('s1', { origin: '/tmp/mine.yml' })]);
  tell(b, [], { gone: ['s1'] });
  tell(b, [own('s2')]);
  await until('what is its own is taken', () => lab.world.get('staticpods', 's2')?.pod.node === b.id);
  expect(lab.world.get('staticpods', 's1')).toMatchObject({ origin: '/etc/tsorch/manifests/edge.yml', pod: { node: a.id } });
  // Whole reports say what is no more; and a removed node takes its pods along.
  tell(a, [], { full: true });
  await until('s1 is gone', () => lab.world.get('staticpods', 's1') === undefined);
  expect(lab.world.get('staticpods', 's2')).toBeDefined();
  await lab.ok('DELETE', '/v1/nodes/beta?force=true');
  await until('s2 is gone', () => lab.world.get('staticpods', 's2') === undefined);
});

it('stacks and ports of manifests are refused to the cluster, and what is wrong with a manifest is an event', async () => {
  // The first apply takes its time on a busy machine, and the host is not to be given up meanwhile.
  await lab[Symbol.asyncDispose]();
  lab = await Lab.start({ times: { heartbeatMs: 100, silenceMs: 20_000 } });
  const host = await connect('alpha');
  tell(host, [own('s1')]);
  host.hello({ manifests: { stacks: 1, problems: ['/etc/tsorch/manifests/web.yml:3:5: error: unknown key'] } });
  await until('it is known', () => lab.world.get('staticpods', 's1') !== undefined && lab.world.get('nodestatus', host.id)?.manifests !== undefined);
  const spec = makeSpec();
  const stack = (name: string, published: number, mode: 'ingress' | 'host' = 'ingress') => ({
    name, services: { web: { ...spec, stack: name, name: 'web', networks: [], ports: [{ target: 80, published, protocol: 'tcp', mode }] } }, networks: {}, volumes: {}, secrets: {}, configs: {},
  });
  expect(await lab.fails('PUT', '/v1/stacks/edge', { body: stack('edge', 9090) })).toMatchObject({ error: { code: 'conflict', message: expect.stringContaining('runs on alpha from its manifest /etc/tsorch/manifests/edge.yml') } });
  expect(await lab.fails('PUT', '/v1/stacks/shop', { body: stack('shop', 8080) })).toMatchObject({ error: { code: 'conflict', message: expect.stringContaining('edge_proxy of a manifest on alpha has it') } });
  await lab.ok('PUT', '/v1/stacks/shop', stack('shop', 8080, 'host'));
  await until('the scheduler says that the port is taken there', async () => /8080/.test(((await lab.ok('GET', '/v1/pods?target=shop')) as { message: string }[])[0]?.message ?? ''));
  expect(await lab.ok('GET', '/v1/nodes/alpha')).toMatchObject({ manifests: { stacks: 1, problems: [expect.stringContaining('unknown key')] } });
  expect(await lab.ok('GET', '/v1/events')).toContainEqual(expect.objectContaining({ subject: 'node/alpha', message: expect.stringContaining('web.yml:3:5') }));
});
