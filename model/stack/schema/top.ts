/** The top level of a stack file, and what is defined there besides services. */
import { stackLimits } from '../../limits.ts';
import { driverName } from '../../volumes.ts';
import { service } from './service.ts';
import { any, bool, harmless, labels, list, object, options, path, refused, string, stringOrList, works, type Field, type Shape, type ShapeContext } from './shape.ts';
import { get, map, mapOf, scalar, type MapNode, type Node, type ScalarNode } from '../parse/tree.ts';
import { resolvePath } from '../values/paths.ts';

/** What Compose allows; what may be a name in the cluster is checked when the specs are made. */
export const resourceName = /^[a-zA-Z0-9._-]+$/;

/** `true`, or the old `{ name: … }`, which conforming turns into `external: true` and `name`. */
const external: Shape = { kind: 'any', as: bool };

const network = object({
  attachable: harmless(bool, 'there are no standalone containers'),
  driver: works(string, 'overlay or bridge, which mean the same here; the network `host` is the host\'s own'),
  driver_opts: works(options, 'options for MTU and bridges have no effect'),
  enable_ipv4: refused(bool, 'pods have IPv4 addresses', 'remove it', ['true']),
  enable_ipv6: refused(bool, 'not supported yet', 'remove it'),
  external: works(external),
  internal: works(bool),
  ipam: harmless(any, 'the cluster gives the addresses', true),
  labels: works(labels),
  name: works(string),
}, { nullable: true });

const volume = object({
  driver: works(string, 'local, or a volume plugin of the hosts, by its socket in `/run/docker/plugins`'),
  driver_opts: works(options, 'of local: `type`, `o` and `device` are mounted as Docker does, `size` limits a directory where the file system counts by project, and may be changed; a plugin gets them as they are'),
  external: works(external),
  labels: works(labels),
  name: works(string),
  'x-per-replica': works(bool, 'every slot of a service that mounts it has a volume of its own, `NAME.SLOT`'),
}, { nullable: true, finish: resolveDevice });

/** `o: bind` makes a directory of the host a volume: its path is one like any other. */
function resolveDevice(node: MapNode, { baseDir, home }: ShapeContext): MapNode {
  const opts = node.entries.get('driver_opts');
  const device = get(opts?.value, 'device');
  const o = get(opts?.value, 'o');
  const driver = get(node, 'driver');
  if (opts?.value.kind !== 'map' || device?.kind !== 'scalar' || device.text === '' || o?.kind !== 'scalar' || !o.text.split(',').includes('bind') || (driver?.kind === 'scalar' && driverName(driver.text) !== 'local')) return node;
  const entry = opts.value.entries.get('device');
  const made = new Map(opts.value.entries).set('device', { key: entry?.key ?? device, value: scalar(device, resolvePath(baseDir, device.text, home)) });
  return mapOf(node, new Map(node.entries).set('driver_opts', { key: opts.key, value: mapOf(opts.value, made, opts.value.tag) }), node.tag);
}

const secret = object({
  driver: refused(string, 'secrets are kept by the master', 'use file or environment'),
  driver_opts: refused(options, 'secrets are kept by the master', 'use file or environment'),
  environment: works(string),
  external: works(external),
  file: works(path),
  content: works(string),
  labels: works(labels),
  name: works(string),
  template_driver: works(string, 'golang: filled in for every pod, see Templates'),
});

const config = object({
  content: works(string),
  environment: works(string),
  external: works(external),
  file: works(path),
  labels: works(labels),
  name: works(string),
  template_driver: works(string, 'golang: filled in for every pod, see Templates'),
});

function resources(of: Shape, most: number): Shape {
  return { kind: 'map', of, name: resourceName, most };
}

function includePath(node: ScalarNode): readonly Node[] {
  return [map(node, [['path', scalar(node, node.text)]])];
}

export const topKeys: Readonly<Record<string, Field>> = {
  configs: works(resources(config, stackLimits.configs)),
  include: works(list(object({ path: works(stringOrList), env_file: works(stringOrList), project_directory: works(string) }, { required: ['path'] }), { entry: includePath })),
  jobs: refused(any, 'jobs by a timetable are not run', 'make it a service with deploy.mode: replicated-job, and apply it when it is due'),
  models: refused(any, 'language models are not run', 'run the model as a service'),
  name: works(string),
  networks: works(resources(network, stackLimits.networks)),
  secrets: works(resources(secret, stackLimits.secrets)),
  services: works(resources(service, stackLimits.services)),
  version: harmless(any, 'the format has no versions any more'),
  volumes: works(resources(volume, stackLimits.volumes)),
};

export const top = object(topKeys);
export const definitions = { network, volume, secret, config } as const;
