/** `deploy` and what places pods: how many, where, under which address. */
import { expect } from 'vitest';
import type { Row, Theme } from './row.ts';
import type { Seen } from './seen.ts';

const where = async (seen: Seen) => (await seen.pods()).map(({ node }) => node ?? '').toSorted();
const on = (...nodes: readonly string[]) => async (seen: Seen) => expect(await where(seen)).toEqual(nodes);
const addresses = async (seen: Seen, name: string) => [...(await seen.sh(`nslookup ${name}`)).matchAll(/^Address[^:]*: ?([\d.]+)$/gm)].map(([, ip = '']) => ip).filter((ip) => ip !== '169.254.1.1').toSorted();

const counts: readonly Row[] = [
  { keys: ['services.scale'], service: 'scale: 3', see: async (seen) => expect(await seen.listed()).toMatchObject({ desired: 3, ready: 3, mode: 'replicated' }) },
  { keys: ['services.deploy.replicas', 'services.deploy.mode'], form: 'replicated', service: 'deploy: { mode: replicated, replicas: 2 }', see: async (seen) => expect(await seen.listed()).toMatchObject({ desired: 2, ready: 2 }) },
  { keys: ['services.deploy.mode'], form: 'global', service: 'deploy: { mode: global }', see: on('node-1', 'node-2') },
  { keys: ['services.deploy.mode'], form: 'replicated-job', service: 'command: ["true"]\ndeploy: { mode: replicated-job, replicas: 2 }', see: async (seen) => {
    const ended = await seen.until('both to end well', async () => {
      const pods = await seen.pods(true);
      return pods.length === 2 && pods.every(({ state }) => state === 'succeeded') && pods;
    });
    expect(ended.map(({ exitCode, restarts }) => [exitCode, restarts])).toEqual([[0, 0], [0, 0]]);
  } },
  { keys: ['services.deploy.mode'], form: 'global-job', service: 'command: ["true"]\ndeploy: { mode: global-job }', see: async (seen) => {
    await seen.until('one to end well on each node', async () => {
      const pods = await seen.pods(true);
      return pods.every(({ state }) => state === 'succeeded') && new Set(pods.map(({ node }) => node)).size === 2;
    });
  } },
  { keys: ['services.deploy.endpoint_mode'], form: 'vip: one address for all', service: 'deploy: { endpoint_mode: vip, replicas: 2 }', see: async (seen) => expect(await addresses(seen, 'deploy-endpoint-mode')).toEqual((await seen.listed()).vips.map(({ ip }) => ip)) },
  { keys: ['services.deploy.endpoint_mode'], form: 'dnsrr: the pods\' own', service: 'deploy: { endpoint_mode: dnsrr, replicas: 2 }', see: async (seen) => {
    expect((await seen.listed()).vips.map(({ ip }) => ip).filter((ip) => ip !== '')).toEqual([]);
    expect(await addresses(seen, 'deploy-endpoint-mode-2')).toEqual((await seen.pods()).map(({ ip }) => ip ?? '').toSorted());
  } },
  { keys: ['services.deploy.labels'], service: 'deploy: { labels: { tier: web, both: "1" } }\nlabels: { own: container }', see: async (seen) => {
    const { spec } = await seen.service();
    expect(spec.labels).toEqual({ tier: 'web', both: '1' });
    expect(spec.template.containers[0]?.labels).toEqual({ own: 'container' });
  } },
  { keys: ['services.deploy.labels'], form: 'a list, read by a template', service: 'deploy: { labels: ["tier=web"] }\nenvironment: { TIER: "{{.Service.Labels.tier}}" }', says: 'echo $TIER', see: 'web' },
];

const placed = (constraint: string) => `deploy: { replicas: 2, placement: { constraints: ${constraint} } }`;

const placement: readonly Row[] = [
  { keys: ['services.deploy.placement', 'services.deploy.placement.constraints'], form: 'node.labels.K == V', service: placed('["node.labels.zone == b"]'), see: on('node-2', 'node-2') },
  { keys: ['services.deploy.placement.constraints'], form: 'K==V', service: placed('["type==frontend"]'), see: on('node-1', 'node-1') },
  { keys: ['services.deploy.placement.constraints'], form: 'K!=V and the node\'s name', service: placed('["type!=frontend", "node.hostname==node-*"]'), see: on('node-2', 'node-2') },
  { keys: ['services.deploy.placement.constraints'], form: 'a mapping', service: placed('{ type: backend }'), see: on('node-2', 'node-2') },
  { keys: ['services.environment'], form: 'a constraint of classic Swarm, which the container does not get', service: 'environment: ["constraint:zone==b", "A=1"]', says: 'env | grep -c constraint; echo $A', see: async (seen) => {
    expect(await seen.output()).toBe('0\n1\n');
    expect(await where(seen)).toEqual(['node-2']);
  } },
  { keys: ['services.labels'], form: 'a constraint of classic Swarm', service: 'labels: { com.docker.swarm.constraints: \'["zone==b"]\' }', see: on('node-2') },
  { keys: ['services.deploy.placement.preferences', 'services.deploy.placement.preferences.spread'], service: 'deploy: { replicas: 2, placement: { preferences: [{ spread: node.labels.zone }] } }', see: on('node-1', 'node-2') },
  { keys: ['services.deploy.placement.preferences.x-prefer', 'services.deploy.placement.preferences'], form: 'a wish', service: 'deploy: { replicas: 2, placement: { preferences: [type=backend] } }', see: on('node-2', 'node-2') },
  { keys: ['services.deploy.placement.max_replicas_per_node'], service: 'deploy: { replicas: 2, placement: { max_replicas_per_node: 1 } }', see: on('node-1', 'node-2') },
  { keys: ['services.x-constraints'], form: 'UNIQUE', service: 'scale: 2\nx-constraints: [[hostname, UNIQUE]]', see: on('node-1', 'node-2') },
  { keys: ['services.x-constraints'], form: 'CLUSTER', service: 'scale: 3\nx-constraints: ["zone:CLUSTER:b"]', see: on('node-2', 'node-2', 'node-2') },
  { keys: ['services.x-affinities'], service: 'scale: 2\nx-affinities: ["container==anchor"]', others: 'anchor: { image: "t-keys:1", command: [sleep, "1000"], stop_grace_period: 0s, deploy: { placement: { constraints: [zone==b] } } }', see: on('node-2', 'node-2') },
  { keys: ['services.x-placement', 'services.x-placement.strategy'], service: 'scale: 4\nx-placement: { strategy: binpack }', see: async (seen) => expect(new Set(await where(seen)).size).toBe(1) },
  { keys: ['services.platform'], service: `platform: linux/${process.arch === 'x64' ? 'amd64' : process.arch}`, see: async (seen) => expect(JSON.stringify((await seen.service()).spec.placement.constraints)).toContain('platform.arch') },
  {
    keys: ['services.deploy.resources.reservations.generic_resources', 'services.deploy.resources.reservations.generic_resources.discrete_resource_spec', 'services.deploy.resources.reservations.generic_resources.discrete_resource_spec.kind', 'services.deploy.resources.reservations.generic_resources.discrete_resource_spec.value'],
    service: 'deploy: { resources: { reservations: { generic_resources: [{ discrete_resource_spec: { kind: slots, value: 2 } }] } } }', see: async (seen) => {
      expect(await where(seen)).toEqual(['node-1']);
      expect((await seen.cluster.nodes()).find(({ name }) => name === 'node-1')?.allocated.generic?.['slots']).toBe(2);
    },
  },
];

export const deploy: Theme = { name: 'k-deploy', rows: [...counts, ...placement] };
