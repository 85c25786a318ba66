/**
 * The wires of a local cluster: a bridge with the machine's own address .1, and for each host a network namespace whose eth0
 * is plugged into it. Every step looks first and does only what is missing.
 */
import { readdir } from 'node:fs/promises';
import { overlaps } from '../../model/allocate/cidr.ts';
import { TsorchError } from '../../model/errors.ts';
import { addressIn, hostNames, type ClusterNames } from './names.ts';
import { mustRun, runCommand } from './process.ts';
import type { ClusterSpec } from './spec.ts';

interface Link {
  readonly ifname: string;
  readonly flags: readonly string[];
  readonly master?: string;
  readonly addr_info?: readonly { readonly local: string; readonly prefixlen: number }[];
}

interface Route {
  readonly dst: string;
  readonly dev?: string;
}

/** Prefixes the machine has a route to, single addresses as /32, except the default and those of `but`. */
export async function takenSubnets(but?: string): Promise<string[]> {
  const routes = JSON.parse((await mustRun(['ip', '-j', '-4', 'route', 'show', 'table', 'main'])) || '[]') as Route[];
  return routes.filter((route) => route.dst !== 'default' && route.dev !== but).map(({ dst }) => (dst.includes('/') ? dst : `${dst}/32`));
}

/** Makes the network whole. Returns what it had to do, for people. */
export async function ensureNetwork(names: ClusterNames, spec: ClusterSpec): Promise<readonly string[]> {
  const conflict = (await takenSubnets(names.bridge)).find((prefix) => overlaps(prefix, spec.subnet));
  if (conflict) {
    throw new TsorchError('conflict', `the machine has a route to ${conflict}, which overlaps the cluster's ${spec.subnet}`, { hint: 'name another subnet with `subnet:` in cluster.yml' });
  }
  const done: string[] = [];
  const links = await listLinks();
  const gateway = addressIn(spec.subnet, 1);
  if (!links.has(names.bridge)) {
    await mustRun(['ip', 'link', 'add', names.bridge, 'address', names.bridgeMac, 'type', 'bridge', 'stp_state', '0', 'forward_delay', '0']);
    done.push(`bridge ${names.bridge}`);
  }
  if (!hasAddress(links.get(names.bridge), gateway)) await mustRun(['ip', 'address', 'replace', `${gateway}/24`, 'dev', names.bridge]);
  if (!isUp(links.get(names.bridge))) await mustRun(['ip', 'link', 'set', names.bridge, 'up']);

  const namespaces = new Set(await readdir('/run/netns').catch(() => []));
  for (const host of spec.hosts) {
    if (await ensureHost(names, spec, host.index, links, namespaces, gateway)) done.push(`host ${host.name}`);
  }
  return done;
}

async function ensureHost(names: ClusterNames, spec: ClusterSpec, index: number, links: ReadonlyMap<string, Link>, namespaces: ReadonlySet<string>, gateway: string): Promise<boolean> {
  const { netns, veth, address } = hostNames(names, spec.subnet, index);
  let changed = false;
  if (!namespaces.has(netns) || !(await isNamespace(netns))) {
    // A file without a namespace behind it is what a reboot or a half-done removal leaves.
    if (namespaces.has(netns)) await mustRun(['ip', 'netns', 'delete', netns], { unless: /No such file|Invalid argument/ });
    await mustRun(['ip', 'netns', 'add', netns], { unless: /File exists/ });
    changed = true;
  }
  const inside = await listLinks(netns);
  if (!inside.has('eth0') || !links.has(veth)) {
    if (links.has(veth)) await mustRun(['ip', 'link', 'delete', veth], { unless: /Cannot find device/ });
    await mustRun(['ip', 'link', 'add', veth, 'type', 'veth', 'peer', 'name', 'eth0', 'netns', netns]);
    changed = true;
  }
  const outer = links.get(veth);
  if (changed || outer?.master !== names.bridge || !isUp(outer)) await mustRun(['ip', 'link', 'set', veth, 'master', names.bridge, 'up']);
  const eth0 = inside.get('eth0');
  if (changed || !isUp(eth0) || !hasAddress(eth0, address) || !isUp(inside.get('lo'))) {
    const lines = ['link set lo up', `address replace ${address}/24 dev eth0`, 'link set eth0 up'];
    await mustRun(['ip', '-n', netns, '-batch', '-'], { input: `${lines.join('\n')}\n` });
  }
  const routes = JSON.parse((await mustRun(['ip', '-n', netns, '-j', '-4', 'route', 'show', 'default'])) || '[]') as Route[];
  if (routes.length === 0) await mustRun(['ip', '-n', netns, 'route', 'replace', 'default', 'via', gateway]);
  return changed;
}

/** Removes bridge, veths and namespaces of the cluster: all whose names are its own, whatever the spec says today. */
export async function removeNetwork(names: ClusterNames): Promise<void> {
  for (const netns of await clusterNamespaces(names)) await mustRun(['ip', 'netns', 'delete', netns], { unless: /No such file/ });
  for (const [link, { master }] of await listLinks()) {
    // Without a master when the bridge is gone already.
    if ((master === undefined || master === names.bridge) && isOwn(link, `${names.bridge}-`)) await mustRun(['ip', 'link', 'delete', link], { unless: /Cannot find device/ });
  }
  await mustRun(['ip', 'link', 'delete', names.bridge], { unless: /Cannot find device/ });
}

export async function clusterNamespaces(names: ClusterNames): Promise<string[]> {
  return (await readdir('/run/netns').catch(() => [])).filter((netns) => isOwn(netns, `ts-${names.cluster}-`));
}

/** `ts-local-2` is of cluster `local`, `ts-local-b-2` is not. */
function isOwn(name: string, prefix: string): boolean {
  return name.startsWith(prefix) && /^\d+$/.test(name.slice(prefix.length));
}

async function isNamespace(netns: string): Promise<boolean> {
  return (await runCommand(['ip', '-n', netns, 'link', 'show', 'lo'])).code === 0;
}

async function listLinks(netns?: string): Promise<ReadonlyMap<string, Link>> {
  const text = await mustRun(['ip', ...(netns ? ['-n', netns] : []), '-j', 'address', 'show']);
  return new Map((JSON.parse(text || '[]') as Link[]).filter((link) => link.ifname).map((link) => [link.ifname, link]));
}

function isUp(link: Link | undefined): boolean {
  return link?.flags.includes('UP') ?? false;
}

function hasAddress(link: Link | undefined, address: string): boolean {
  return link?.addr_info?.some((info) => info.local === address) ?? false;
}
