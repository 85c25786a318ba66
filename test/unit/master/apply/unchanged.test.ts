/** What an apply leaves alone, from the text of the file to the pods: nothing moves that a container could not notice. */
import { afterEach, beforeEach, expect, test } from 'vitest';
import { makeNode } from '../scheduler/make.ts';
import { loaded, TestCluster } from './cluster.ts';

const base = `services:
  web:
    image: web:1
    environment: { MODE: a }
    labels: { app: web }
    ports: ["8080:80"]
    configs: [site]
    depends_on: [api]
    deploy:
      replicas: 2
      labels: { owner: us }
      placement: { constraints: [type==frontend] }
  api:
    image: api:1
    secrets: [token]
    configs: [{ source: site, target: /etc/site }]
    volumes: ["data:/d"]
  db:
    image: db:1
    secrets: [{ source: token, mode: 0400 }, other]
  plain:
    image: plain:1
    environment: ["constraint:type==frontend", "reschedule:on-node-failure"]
configs:
  site: { file: ./site.conf }
secrets:
  token: { file: ./token }
  other: { content: other }
volumes:
  data:
`;
const files = { '/srv/shop/site.conf': 'site 1', '/srv/shop/token': 'token 1' };

let cluster: TestCluster;
beforeEach(async () => {
  cluster = await TestCluster.start([1, 2, 3].map((number) => makeNode(number, { labels: { type: 'frontend' } })));
  await cluster.apply(loaded(base, { files }));
  expect(await cluster.settle()).toEqual(['shop_api', 'shop_db', 'shop_plain', 'shop_web']);
  expect(cluster.decisions()).toEqual([]);
});
afterEach(() => cluster.stop());

/** The verdicts that are not `unchanged`, the writes, and the services that got new pods. */
async function change(text: string, changed: Readonly<Record<string, string>> = files) {
  const plan = await cluster.apply(loaded(text, { files: changed }));
  const verdicts = Object.fromEntries(Object.entries(plan.result.services).filter(([, verdict]) => verdict !== 'unchanged'));
  return { verdicts, writes: plan.ops.map(({ kind, id }) => `${kind}/${id}`), touched: await cluster.settle() };
}

const nothing = { verdicts: {}, writes: [], touched: [] };

test('the same again, as often as you like', async () => {
  for (let i = 0; i < 3; i++) expect(await change(base)).toEqual(nothing);
});

test.each<[string, string]>([
  ['comments and blank lines', `# a comment\n\n${base.replace('  api:\n', '  # the api\n  api:\n')}`],
  ['another order of services and keys', base.replace('    image: web:1\n    environment: { MODE: a }\n', '    environment: { MODE: a }\n    image: web:1\n').replace(/^ {2}api:\n(?: {4}.*\n)+/m, '').replace('configs:\n  site', `  api:\n    secrets: [token]\n    image: api:1\n    configs: [{ target: /etc/site, source: site }]\n    volumes: ["data:/d"]\nconfigs:\n  site`)],
  ['long syntax for short', base.replace('["8080:80"]', '[{ target: 80, published: "8080", protocol: tcp, mode: ingress }]').replace('depends_on: [api]', 'depends_on: { api: { condition: service_started } }').replace('environment: { MODE: a }', 'environment: [MODE=a]').replace('["data:/d"]', '[{ type: volume, source: data, target: /d }]')],
  ['keys of their own', `${base}x-anything: [1]\n`.replace('image: web:1', 'image: web:1\n    x-note: new')],
  ['anchors', base.replace('labels: { app: web }', 'labels: &l { app: web }\n    x-again: *l')],
  ['defaults said aloud', base.replace('image: api:1', 'image: api:1\n    networks: [default]\n    init: false\n    restart: always')],
])('%s', async (_, text) => {
  expect(await change(text)).toEqual(nothing);
});

test.each<[string, string, string[]]>([
  ['labels of the service', base.replace('owner: us', 'owner: them'), ['services/shop_web', 'revisions/']],
  ['the number of ingress ports', base.replace('"8080:80"', '"8081:80"'), ['services/shop_web', 'servicestatus/shop_web']],
  ['placement that the pods meet', base.replace('[type==frontend]', '[type==frontend, node.role==worker]'), ['services/shop_web']],
  ['classic constraints, which no container sees', base.replace('"constraint:type==frontend"', '"constraint:type!=backend"'), ['services/shop_plain']],
  ['rescheduling', base.replace('reschedule:on-node-failure', 'reschedule:off'), ['services/shop_plain']],
  ['operators and strategy', base.replace('image: db:1', 'image: db:1\n    x-constraints: [hostname:UNIQUE]\n    x-placement: { strategy: binpack }\n    x-affinities: ["container!=web"]'), ['services/shop_db']],
  ['how it is updated', base.replace('replicas: 2', 'replicas: 2\n      update_config: { parallelism: 5 }'), ['services/shop_web']],
  ['labels of a volume', base.replace('  data:\n', '  data: { labels: { a: b } }\n'), ['volumes/shop_data']],
  ['labels of a network', `${base}networks: { default: { labels: { a: b } } }\n`, ['networks/shop_default']],
  ['limits that running containers take', base.replace('image: db:1', 'image: db:1\n    cpus: 1.5\n    cpu_shares: 512\n    mem_limit: 64m\n    memswap_limit: 128m\n    pids_limit: 50'), ['services/shop_db', 'revisions/shop_db']],
  ['dependencies', base.replace('depends_on: [api]', 'depends_on: [api, db]'), ['services/shop_web']],
])('%s restart nothing', async (_, text, expected) => {
  const { writes, touched } = await change(text);
  expect(touched).toEqual([]);
  for (const part of expected) expect(writes.some((write) => write.startsWith(part))).toBe(true);
  expect(await change(text)).toEqual(nothing);
});

test.each<[string, string, Readonly<Record<string, string>>, string[]]>([
  ['a changed config', base, { ...files, '/srv/shop/site.conf': 'site 2' }, ['shop_api', 'shop_web']],
  ['a changed secret', base, { ...files, '/srv/shop/token': 'token 2' }, ['shop_api', 'shop_db']],
  ['a secret of one service alone', base.replace('content: other', 'content: new'), files, ['shop_db']],
  ['an image', base.replace('api:1', 'api:2'), files, ['shop_api']],
  ['a variable', base.replace('MODE: a', 'MODE: b'), files, ['shop_web']],
  ['a label that the container sees', base.replace('app: web', 'app: www'), files, ['shop_web']],
  ['the mode of a secret', base.replace('mode: 0400', 'mode: 0440'), files, ['shop_db']],
  ['a limit beside something else', base.replace('image: db:1', 'image: db:2\n    cpus: 1'), files, ['shop_db']],
  ['what is reserved on a node', base.replace('image: db:1', 'image: db:1\n    mem_reservation: 64m'), files, ['shop_db']],
  ['a first set of processors', base.replace('image: db:1', 'image: db:1\n    cpuset: "0"'), files, ['shop_db']],
  ['more replicas, for the new ones', base.replace('replicas: 2', 'replicas: 3'), files, ['shop_web']],
])('%s rolls exactly the services that use it', async (_, text, changed, expected) => {
  const before = new Map(cluster.world.values('pods').map((pod) => [pod.id, pod.service]));
  const { touched } = await change(text, changed);
  expect(touched).toEqual(expected);
  const stayed = cluster.world.values('pods').filter((pod) => before.has(pod.id)).map((pod) => pod.service);
  const others = [...before.values()].filter((service) => !expected.includes(service));
  expect(stayed.filter((service) => !expected.includes(service)).toSorted()).toEqual(others.toSorted());
  expect(await change(text, changed)).toEqual(nothing);
});

test('limits there and back: the pods stay, the revision keeps its name, and what is agreed is what was last applied', async () => {
  const limited = (memory: string) => base.replace('image: db:1', `image: db:1\n    mem_limit: ${memory}\n    cpuset: "0"`);
  expect((await change(limited('64m'))).touched).toEqual(['shop_db']);
  const before = cluster.world.get('services', 'shop_db');
  const memory = () => cluster.world.get('revisions', `shop_db.${before?.revision}`)?.spec.template.containers[0]?.limits.memory;
  for (const [text, bytes] of [['128m', 128], ['32m', 32], ['64m', 64]] as const) {
    expect((await change(limited(text))).touched).toEqual([]);
    expect(cluster.world.get('services', 'shop_db')).toMatchObject({ revision: before?.revision, previous: before?.previous });
    expect(memory()).toBe(bytes << 20);
  }
  expect((await change(limited('64m').replace('cpuset: "0"', 'cpuset: "0-1"'))).touched).toEqual([]);
  expect((await change(base)).touched).toEqual(['shop_db']);
});

test('there and back again: the old pods are not the new ones, and then nothing moves', async () => {
  const other = { ...files, '/srv/shop/site.conf': 'site 2' };
  expect((await change(base, other)).touched).toEqual(['shop_api', 'shop_web']);
  expect((await change(base)).touched).toEqual(['shop_api', 'shop_web']);
  expect(await change(base)).toEqual(nothing);
});
