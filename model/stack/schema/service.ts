/** Every key of a service: its shape and what becomes of it. Docs, validation and tests are made from this table. */
import { map, scalar } from '../parse/tree.ts';
import { containerKeys, dependencies } from './container.ts';
import { deploy } from './deploy.ts';
import { onDisconnect, pod, preStart } from './pod.ts';
import { ports } from './ports.ts';
import { any, count, duration, harmless, list, object, options, path, refused, string, stringOrList, strings, works, type Field } from './shape.ts';
import { tupleKey } from './unique.ts';

const given = 'addresses are given by the cluster';

const attachment = object({
  aliases: works(strings),
  interface_name: refused(string, 'a pod has one interface for all networks', 'remove it'),
  ipv4_address: refused(string, given, 'use the name of the service'),
  ipv6_address: refused(string, given, 'use the name of the service'),
  link_local_ips: refused(strings, given, 'use the name of the service'),
  mac_address: refused(string, given, 'remove it'),
  driver_opts: refused(options, 'networks have no drivers here', 'remove it'),
  priority: harmless(any, 'a pod has one interface for all networks'),
  gw_priority: harmless(any, 'a pod has one interface for all networks'),
}, { nullable: true });

export const serviceKeys: Readonly<Record<string, Field>> = {
  ...containerKeys,
  container_name: works({ kind: 'string', pattern: /^(?:[a-zA-Z0-9][a-zA-Z0-9_.-]*)?$/, say: 'names are made of letters, digits, . _ -' }, 'as one more name in DNS; pods are called STACK_SERVICE.SLOT'),
  depends_on: works(dependencies),
  deploy: works(deploy),
  develop: harmless(any, 'it concerns docker compose watch'),
  dns: works(stringOrList),
  dns_opt: works(strings),
  dns_search: works(stringOrList),
  domainname: works(string),
  extends: works({ kind: 'short', of: object({ service: works(string), file: works(path) }, { required: ['service'] }),
    expand: (node) => [map(node, [['service', scalar(node, node.text)]])] }),
  external_links: refused(strings, 'containers outside the cluster have no names here', 'use extra_hosts'),
  extra_hosts: works({ kind: 'hosts' }),
  hostname: works(string),
  links: works(list(string), 'the alias is known to everybody on the shared networks'),
  mac_address: refused(string, given, 'remove it'),
  network_mode: works(string, 'host, none, bridge (the default network); `service:NAME` and `container:NAME`: the container goes into that service\'s pod'),
  networks: works({ kind: 'map', of: attachment, listed: (name) => scalar(name, null) }),
  platform: works(string, 'as constraints on node.platform.os and node.platform.arch'),
  ports: works(ports),
  pre_start: works(list(preStart), 'containers that run before the service\'s own, each to exit code 0; what they leave unsaid is the service\'s'),
  profiles: works(list({ kind: 'string', pattern: /^[a-zA-Z0-9][a-zA-Z0-9_.-]*$/, say: 'profiles are made of letters, digits, . _ -' })),
  provider: refused(any, 'services are containers', 'run it as a service'),
  restart: works(string, 'no, always, on-failure[:N], unless-stopped; without any: always'),
  scale: works(count, 'the same as deploy.replicas'),
  stop_grace_period: works(duration),
  sysctls: works({ kind: 'pairs', bare: 'error' }),
  volumes_from: works(list(string), 'of services of the stack: their named volumes and bind mounts; the pods are placed beside theirs'),
  'x-affinities': works(list(string, { single: true }), 'where pods want to be relative to others: `container==db`, `image!=redis`, `tier==~cache`'),
  'x-constraints': works(list({ kind: 'tuple' }, { single: true, merge: { kind: 'unique', key: tupleKey } }), 'Marathon\'s operators: `[hostname, UNIQUE]`, `rack:MAX_PER:2`'),
  'x-on-disconnect': works({ kind: 'short', of: onDisconnect, expand: (node) => [map(node, [['action', scalar(node, node.text)]])] }, 'what becomes of its pods when no master hears of their host: `keep` or `stop`'),
  'x-placement': works(object({ strategy: works({ kind: 'enum', values: ['spread', 'binpack', 'random'] }, 'spread (the default): evenly; binpack: fill nodes one after the other; random') })),
  'x-pod': works(pod, 'what shares the service\'s pod'),
};

export const service = object(serviceKeys);
