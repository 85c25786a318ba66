/** Every key of a service: its shape and what becomes of it. Docs, validation and tests are made from this table. */
import { get, map, mapOf, scalar, type MapNode, type Node, type ScalarNode } from '../parse/tree.ts';
import { resolvePath } from '../values/paths.ts';
import { deploy } from './deploy.ts';
import { any, bool, bytes, count, duration, harmless, labels, list, object, options, path, refused, string, stringOrList, strings, works, type Field, type Shape, type ShapeContext } from './shape.ts';
import { expandDevice, expandEnvFile, expandGrant, expandVolume } from './short/volumes.ts';
import { expandPort } from './short/ports.ts';
import { grantKey, lastOf, pathKey, portKey, tupleKey, volumeKey } from './unique.ts';

const notYet = 'not supported yet';
const cpus: Shape = { kind: 'number', min: 0 };

const port = object({
  name: harmless(string, 'only a name for people'),
  mode: works({ kind: 'enum', values: ['ingress', 'host'] }, 'ingress: the port answers on every node; host: only where a pod runs'),
  host_ip: works(string),
  target: works({ kind: 'int', min: 1, max: 65_535 }),
  published: works(string, 'one port; without it the master picks a free one'),
  protocol: works({ kind: 'enum', values: ['tcp', 'udp'] }),
  app_protocol: harmless(string, 'only a note for people'),
}, { required: ['target'] });

const volume = object({
  type: works({ kind: 'enum', values: ['bind', 'volume', 'tmpfs', 'cluster', 'npipe', 'image'] }, 'bind, volume, tmpfs'),
  source: works(string),
  target: works(string),
  read_only: works(bool),
  consistency: harmless(string, 'it matters on Docker Desktop only'),
  bind: works(object({
    propagation: works({ kind: 'enum', values: ['rprivate', 'private', 'rshared', 'shared', 'rslave', 'slave'] }),
    create_host_path: works(bool, 'true unless said otherwise'),
    recursive: refused(string, 'bind mounts always include what is mounted below', 'remove it', ['enabled']),
    selinux: harmless(string, 'hosts with SELinux keep their labels', true),
  })),
  volume: works(object({
    nocopy: works(bool),
    subpath: works(string),
    labels: refused(labels, notYet, 'give the labels to the volume under the top-level volumes'),
  })),
  tmpfs: works(object({ size: works(bytes), mode: works({ kind: 'mode' }) })),
  image: works(any),
}, { required: ['type', 'target'], finish: resolveBind });

/** The source of a bind mount is a path on the host; a volume's is a name. */
function resolveBind(node: MapNode, { baseDir, home }: ShapeContext): MapNode {
  const type = get(node, 'type');
  const source = node.entries.get('source');
  if (type?.kind !== 'scalar' || type.text !== 'bind' || source?.value.kind !== 'scalar' || source.value.text === '') return node;
  const resolved = scalar(source.value, resolvePath(baseDir, source.value.text, home));
  return mapOf(node, new Map(node.entries).set('source', { key: source.key, value: resolved }), node.tag);
}

const grant = object({
  source: works(string),
  target: works(string),
  uid: works(string, 'a number'),
  gid: works(string, 'a number'),
  mode: works({ kind: 'mode' }),
}, { required: ['source'] });

const attachment = object({
  aliases: works(strings),
  interface_name: refused(string, 'a pod has one interface for all networks', 'remove it'),
  ipv4_address: refused(string, 'addresses are given by the cluster', 'use the name of the service'),
  ipv6_address: refused(string, 'addresses are given by the cluster', 'use the name of the service'),
  link_local_ips: refused(strings, 'addresses are given by the cluster', 'use the name of the service'),
  mac_address: refused(string, 'addresses are given by the cluster', 'remove it'),
  driver_opts: refused(options, 'networks have no drivers here', 'remove it'),
  priority: harmless(any, 'a pod has one interface for all networks'),
  gw_priority: harmless(any, 'a pod has one interface for all networks'),
}, { nullable: true });

const healthcheck = object({
  test: works({ kind: 'test' }),
  disable: works(bool),
  interval: works(duration),
  timeout: works(duration),
  retries: works(count),
  start_period: works(duration),
  start_interval: works(duration),
});

const dependency = object({
  condition: works({ kind: 'enum', values: ['service_started', 'service_healthy', 'service_completed_successfully'] }),
  required: works(bool),
  restart: works(bool),
}, { nullable: true });

const limit: Shape = object({ soft: works({ kind: 'int', min: -1 }), hard: works({ kind: 'int', min: -1 }) }, { required: ['soft', 'hard'] });

function bothLimits(node: ScalarNode): readonly Node[] {
  return [map(node, [['soft', node], ['hard', node]])];
}

function defaultDependency(name: ScalarNode): Node {
  return map(name, [['condition', scalar(name, 'service_started')], ['required', scalar(name, true)]]);
}

export const serviceKeys: Readonly<Record<string, Field>> = {
  annotations: works(labels),
  attach: harmless(bool, 'it concerns the terminal of docker compose up'),
  blkio_config: refused(any, notYet, 'remove it'),
  build: refused(any, 'images are not built on the hosts', 'build it with your tool, then `tsorch image load FILE`, and name it with image'),
  cap_add: works(list(string)),
  cap_drop: works(list(string)),
  cgroup: refused(string, 'containers have a cgroup namespace of their own', 'remove it', ['private']),
  cgroup_parent: refused(string, 'the agent arranges the cgroups', 'use deploy.resources'),
  command: works({ kind: 'words' }),
  configs: works(list(grant, { entry: expandGrant, merge: { kind: 'unique', key: grantKey('/') } })),
  container_name: works({ kind: 'string', pattern: /^(?:[a-zA-Z0-9][a-zA-Z0-9_.-]*)?$/, say: 'names are made of letters, digits, . _ -' }, 'as one more name in DNS; pods are called STACK_SERVICE.SLOT'),
  cpu_count: refused(any, 'it is for Windows', 'use deploy.resources.limits.cpus'),
  cpu_percent: refused(any, 'it is for Windows', 'use deploy.resources.limits.cpus'),
  cpu_period: works({ kind: 'int', min: 1000, max: 1_000_000 }, 'with cpu_quota: cpus is the quotient'),
  cpu_quota: works({ kind: 'int', min: -1 }, 'with cpu_period (100000 unless given)'),
  cpu_rt_period: refused(any, 'realtime scheduling is not given to pods', 'use cpus'),
  cpu_rt_runtime: refused(any, 'realtime scheduling is not given to pods', 'use cpus'),
  cpu_shares: works({ kind: 'int', min: 0 }),
  cpus: works(cpus, 'the same as deploy.resources.limits.cpus'),
  cpuset: works(string),
  credential_spec: refused(any, 'it is for Windows', 'remove it'),
  depends_on: works({ kind: 'map', of: dependency, listed: defaultDependency }),
  deploy: works(deploy),
  develop: harmless(any, 'it concerns docker compose watch'),
  device_cgroup_rules: refused(strings, notYet, 'use devices'),
  devices: works(list(object({ source: works(string), target: works(string), permissions: works(string) }, { required: ['source'] }),
    { entry: expandDevice, merge: { kind: 'unique', key: (item) => lastOf(item, 'target') } })),
  dns: works(stringOrList),
  dns_opt: works(strings),
  dns_search: works(stringOrList),
  domainname: works(string),
  entrypoint: works({ kind: 'words' }),
  env_file: works(list(object({ path: works(path), required: works(bool), format: works({ kind: 'enum', values: ['raw'] }) }, { required: ['path'] }),
    { single: true, entry: expandEnvFile, merge: { kind: 'unique', key: pathKey } })),
  environment: works({ kind: 'pairs', bare: 'null' }, '`constraint:KEY==VALUE` entries place the service, as in classic Swarm'),
  expose: harmless(strings, 'pods that share a network reach every port of each other'),
  extends: works({ kind: 'short', of: object({ service: works(string), file: works(path) }, { required: ['service'] }),
    expand: (node) => [map(node, [['service', scalar(node, node.text)]])] }),
  external_links: refused(strings, 'containers outside the cluster have no names here', 'use extra_hosts'),
  extra_hosts: works({ kind: 'hosts' }),
  gpus: refused(any, notYet, 'pin the service to GPU nodes with a constraint and pass the devices with devices'),
  group_add: works(list(string)),
  healthcheck: works(healthcheck),
  hostname: works(string),
  image: works(string),
  init: works(bool),
  ipc: refused(string, notYet, 'remove it', ['private', 'shareable']),
  isolation: refused(string, 'it is for Windows', 'remove it', ['default']),
  label_file: works({ kind: 'list', of: path, single: true }),
  labels: works(labels, '`com.docker.swarm.constraints` places the service'),
  links: works(list(string), 'the alias is known to everybody on the shared networks'),
  logging: works(object({
    driver: refused(string, 'logs stay on the nodes, for `tsorch logs`', 'remove it, or collect the files by a global service', ['json-file', 'local']),
    options: harmless(options, 'the agent rotates logs by limits of its own', true),
  }, { unlessDiffers: 'driver' }), 'json-file and local: the logs that `tsorch logs` shows'),
  mac_address: refused(string, 'addresses are given by the cluster', 'remove it'),
  mem_limit: works({ kind: 'bytes', free: true }, 'the same as deploy.resources.limits.memory'),
  mem_reservation: works(bytes, 'the same as deploy.resources.reservations.memory'),
  mem_swappiness: refused(any, notYet, 'use memswap_limit'),
  memswap_limit: works({ kind: 'bytes', free: true }),
  models: refused(any, 'language models are not run', 'run the model as a service'),
  network_mode: works(string, 'host, none, bridge (the default network)'),
  networks: works({ kind: 'map', of: attachment, listed: (name) => scalar(name, null) }),
  oom_kill_disable: refused(bool, 'a container that cannot be killed takes the node down', 'use oom_score_adj'),
  oom_score_adj: works({ kind: 'int', min: -1000, max: 1000 }),
  pid: refused(string, notYet, 'remove it'),
  pids_limit: works({ kind: 'int', min: -1 }),
  platform: works(string, 'as constraints on node.platform.os and node.platform.arch'),
  ports: works(list(port, { entry: expandPort, merge: { kind: 'unique', key: portKey } })),
  post_start: refused(any, notYet, 'use an entrypoint script'),
  pre_start: refused(any, notYet, 'use a service of its own, with depends_on: condition: service_completed_successfully'),
  pre_stop: refused(any, notYet, 'handle the stop signal in the container'),
  privileged: works(bool),
  profiles: works(list({ kind: 'string', pattern: /^[a-zA-Z0-9][a-zA-Z0-9_.-]*$/, say: 'profiles are made of letters, digits, . _ -' })),
  provider: refused(any, 'services are containers', 'run it as a service'),
  pull_policy: works(string, 'always, missing (if_not_present), never'),
  pull_refresh_after: refused(string, notYet, 'use pull_policy: always'),
  read_only: works(bool),
  restart: works(string, 'no, always, on-failure[:N], unless-stopped; without any: always'),
  runtime: works(string),
  scale: works(count, 'the same as deploy.replicas'),
  secrets: works(list(grant, { entry: expandGrant, merge: { kind: 'unique', key: grantKey('/run/secrets/') } })),
  security_opt: works(list(string)),
  shm_size: works(bytes),
  stdin_open: works(bool),
  stop_grace_period: works(duration),
  stop_signal: works(string),
  storage_opt: refused(any, notYet, 'limit the data by a volume'),
  sysctls: works({ kind: 'pairs', bare: 'error' }),
  tmpfs: works(stringOrList),
  tty: works(bool),
  ulimits: works({ kind: 'map', of: { kind: 'short', of: limit as Extract<Shape, { kind: 'object' }>, expand: bothLimits } }),
  use_api_socket: refused(bool, 'there is no Docker socket on the hosts', 'use the HTTP API of the master with a token'),
  user: works(string),
  userns_mode: refused(string, notYet, 'remove it', ['host']),
  uts: refused(string, notYet, 'remove it'),
  volumes: works(list(volume, { entry: expandVolume, merge: { kind: 'unique', key: volumeKey } })),
  volumes_from: works(list(string), 'of services of the stack: their named volumes and bind mounts; the pods are placed beside theirs'),
  working_dir: works(string),
  'x-affinities': works(list(string, { single: true }), 'where pods want to be relative to others: `container==db`, `image!=redis`, `tier==~cache`'),
  'x-constraints': works(list({ kind: 'tuple' }, { single: true, merge: { kind: 'unique', key: tupleKey } }), 'Marathon\'s operators: `[hostname, UNIQUE]`, `rack:MAX_PER:2`'),
  'x-placement': works(object({ strategy: works({ kind: 'enum', values: ['spread', 'binpack', 'random'] }, 'spread (the default): evenly; binpack: fill nodes one after the other; random') })),
};

export const service = object(serviceKeys);

