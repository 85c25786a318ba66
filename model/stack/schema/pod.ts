/** What shares a service's pod: `x-pod`, and `pre_start`, whose containers run before it. */
import { resources } from './deploy.ts';
import { containerKeys, dependencies } from './container.ts';
import { ports } from './ports.ts';
import { any, bool, bytes, duration, list, object, refused, string, works, type Field, type Shape } from './shape.ts';

const name: Shape = { kind: 'string', pattern: /^[a-zA-Z0-9][a-zA-Z0-9._-]{0,62}$/, say: 'names are made of letters, digits, . _ -' };

/** What the containers of a pod have in common is said once, by the service. */
const common: Readonly<Record<string, Field>> = Object.fromEntries(
  ['dns', 'dns_opt', 'dns_search', 'domainname', 'external_links', 'extra_hosts', 'hostname', 'links', 'mac_address', 'network_mode', 'networks', 'stop_grace_period', 'sysctls', 'volumes_from']
    .map((key) => [key, refused(any, 'the containers of a pod have it in common', 'put it into the service')]),
);

function without(keys: readonly string[], why: string): Readonly<Record<string, Field>> {
  return Object.fromEntries(keys.map((key) => [key, refused(any, why, 'remove it, or make the container a sidecar')]));
}

const first = without(['healthcheck', 'post_start', 'pre_stop', 'x-probes', 'depends_on', 'restart', 'ports'], 'the container runs once, before the others, and ends');
const deploy = works(object({ resources: works(resources) }));

const initContainer = object({ ...containerKeys, ...common, ...first, deploy, name: works(name, 'SERVICE-init-N unless given') });

export const sidecar = object({
  ...containerKeys, ...common, deploy,
  depends_on: works(dependencies, 'other containers of the pod'),
  ports: works(ports, 'they are the service\'s'),
  restart: works(string, 'the service\'s unless given'),
});

/** What it leaves unsaid is the service's. */
export const preStart = object({
  ...containerKeys, ...common, ...first, deploy,
  per_replica: works(bool, 'it runs before every pod of the service; true says that this is meant'),
});

export const pod = object({
  init: works(list(initContainer), 'containers that run one after the other, each to exit code 0, before all others'),
  sidecars: works({ kind: 'map', of: sidecar, name: /^[a-zA-Z0-9][a-zA-Z0-9._-]{0,62}$/ }, 'containers beside the service\'s own, by name'),
  volumes: works({ kind: 'map', of: object({
    medium: works({ kind: 'enum', values: ['memory'] }, 'kept in memory instead of on disk'),
    size: works(bytes, 'what it may take; of one in memory'),
  }, { nullable: true }), listed: (item) => ({ ...item, value: null, text: '', plain: true }), name: /^[a-zA-Z0-9][a-zA-Z0-9._-]*$/ }, 'directories that the pod\'s containers share and that live as long as the pod'),
});

export const onDisconnect = object({
  action: works({ kind: 'enum', values: ['keep', 'stop'] }, 'keep (the default): it runs on; stop: it ends by itself, and is replaced elsewhere only after that'),
  after: works(duration, '30s unless given, 5s at least; with stop'),
});
