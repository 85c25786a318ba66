/** The keys that describe a container, be it a service's own, one in its pod, or one that runs before. */
import { map, scalar, type Node, type ScalarNode } from '../parse/tree.ts';
import { blkio, gpus } from './devices.ts';
import { environment, healthcheck, hook, probes } from './lifecycle.ts';
import { configs, devices, secrets, volumes } from './mounts.ts';
import { any, bool, bytes, harmless, labels, list, object, options, path, refused, string, stringOrList, strings, works, type Field, type Shape } from './shape.ts';
import { expandEnvFile } from './short/volumes.ts';
import { pathKey } from './unique.ts';

const cpus: Shape = { kind: 'number', min: 0 };
const limit = object({ soft: works({ kind: 'int', min: -1 }), hard: works({ kind: 'int', min: -1 }) }, { required: ['soft', 'hard'] });

function bothLimits(node: ScalarNode): readonly Node[] {
  return [map(node, [['soft', node], ['hard', node]])];
}

const envFile = object({ path: works(path), required: works(bool), format: works({ kind: 'enum', values: ['raw'] }) }, { required: ['path'] });

export const containerKeys: Readonly<Record<string, Field>> = {
  annotations: works(labels),
  attach: harmless(bool, 'it concerns the terminal of docker compose up'),
  blkio_config: works(blkio),
  build: refused(any, 'images are not built on the hosts', 'build it with your tool, then `tsorch image load FILE`, and name it with image'),
  cap_add: works(list(string)),
  cap_drop: works(list(string)),
  cgroup: works({ kind: 'enum', values: ['host', 'private'] }, 'private unless given'),
  cgroup_parent: works(string, 'below the agent\'s own cgroup'),
  command: works({ kind: 'words' }),
  configs: works(configs),
  cpu_count: refused(any, 'it is for Windows', 'use deploy.resources.limits.cpus'),
  cpu_percent: refused(any, 'it is for Windows', 'use deploy.resources.limits.cpus'),
  cpu_period: works({ kind: 'int', min: 1000, max: 1_000_000 }, 'with cpu_quota: cpus is the quotient'),
  cpu_quota: works({ kind: 'int', min: -1 }, 'with cpu_period (100000 unless given)'),
  cpu_rt_period: works({ kind: 'micros' }, 'microseconds or a duration'),
  cpu_rt_runtime: works({ kind: 'micros' }, 'microseconds or a duration'),
  cpu_shares: works({ kind: 'int', min: 0 }),
  cpus: works(cpus, 'the same as deploy.resources.limits.cpus'),
  cpuset: works(string),
  credential_spec: refused(any, 'it is for Windows', 'remove it'),
  device_cgroup_rules: works(strings, 'such as `c 1:3 rwm`'),
  devices: works(devices),
  entrypoint: works({ kind: 'words' }),
  env_file: works(list(envFile, { single: true, entry: expandEnvFile, merge: { kind: 'unique', key: pathKey } })),
  environment: works(environment, '`constraint:KEY==VALUE` entries of a service place it, as in classic Swarm'),
  expose: harmless(strings, 'pods that share a network reach every port of each other'),
  gpus: works(gpus, 'the node\'s CDI devices; the pod goes to a node that says it has a `gpu`'),
  group_add: works(list(string)),
  healthcheck: works(healthcheck),
  image: works(string),
  init: works(bool),
  ipc: works(string, 'host, none, private (as without), shareable; `service:NAME` and `container:NAME` within the pod'),
  isolation: refused(string, 'it is for Windows', 'remove it', ['default']),
  label_file: works({ kind: 'list', of: path, single: true }),
  labels: works(labels, '`com.docker.swarm.constraints` of a service places it'),
  logging: works(object({
    driver: refused(string, 'logs stay on the nodes, for `tsorch logs`', 'remove it, or collect the files by a global service', ['json-file', 'local']),
    options: works(labels, '`max-size` times `max-file` is kept of the output of each attempt; others change nothing (with a warning)'),
  }, { unlessDiffers: 'driver' }), 'json-file and local: the logs that `tsorch logs` shows'),
  mem_limit: works({ kind: 'bytes', free: true }, 'the same as deploy.resources.limits.memory'),
  mem_reservation: works(bytes, 'the same as deploy.resources.reservations.memory'),
  mem_swappiness: works({ kind: 'int', min: -1, max: 100 }, '-1 is the host\'s'),
  memswap_limit: works({ kind: 'bytes', free: true }),
  models: refused(any, 'language models are not run', 'run the model as a service'),
  oom_kill_disable: works(bool, 'only with a memory limit, so that it cannot take the node down'),
  oom_score_adj: works({ kind: 'int', min: -1000, max: 1000 }),
  pid: works(string, 'host; `service:NAME` and `container:NAME` within the pod'),
  pids_limit: works({ kind: 'int', min: -1 }),
  post_start: works(list(hook), 'run in order in the container once it has started'),
  pre_stop: works(list(hook), 'run in order in the container before the stop signal, within the grace period'),
  privileged: works(bool),
  pull_policy: works(string, 'always, missing (if_not_present), never, daily, weekly, `every_12h`, refresh with pull_refresh_after'),
  pull_refresh_after: works({ kind: 'duration' }, 'with pull_policy: refresh'),
  read_only: works(bool),
  runtime: works(string),
  secrets: works(secrets),
  security_opt: works(list(string)),
  shm_size: works(bytes),
  stdin_open: works(bool),
  stop_signal: works(string),
  storage_opt: works(options, '`size`: what the writable layer may take'),
  tmpfs: works(stringOrList, '`PATH[:OPTION,…]`: size, mode, uid, gid, exec, ro and others'),
  tty: works(bool),
  ulimits: works({ kind: 'map', of: { kind: 'short', of: limit, expand: bothLimits } }),
  use_api_socket: refused(bool, 'there is no Docker socket on the hosts', 'use the HTTP API of the master with a token'),
  user: works(string),
  userns_mode: works({ kind: 'enum', values: ['host', 'private'] }, 'host unless given; private: user 0 inside is nobody outside'),
  uts: works({ kind: 'enum', values: ['host'] }),
  volumes: works(volumes),
  working_dir: works(string),
  'x-probes': works(probes, 'Kubernetes\' three probes'),
};

/** `depends_on` in the long syntax. */
export const dependencies: Shape = {
  kind: 'map',
  of: object({
    condition: works({ kind: 'enum', values: ['service_started', 'service_healthy', 'service_completed_successfully'] }),
    required: works(bool),
    restart: works(bool),
  }, { nullable: true }),
  listed: (name) => map(name, [['condition', scalar(name, 'service_started')], ['required', scalar(name, true)]]),
};

