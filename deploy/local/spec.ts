/** Which hosts a local cluster has. Pure: what the user asks for, what is there already and which subnets are taken, in; the cluster, out. */
import { overlaps } from '../../model/allocate/cidr.ts';
import { TsorchError } from '../../model/errors.ts';
import { maxHosts } from './names.ts';

/** A host as the file says it. */
export interface WantedHost {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  /** A directory of stack files that it runs by itself; absolute by the time the cluster is made. */
  readonly manifests?: string;
  /** Counted resources, as `--generic-resource` takes them: `gpu=2`. */
  readonly resources?: readonly string[];
}

export interface HostSpec extends WantedHost {
  /** From 1, never reused for another name: addresses and namespaces follow from it. */
  readonly index: number;
}

export type Underlay = 'auto' | 'vxlan' | 'route';

export interface ClusterSpec {
  readonly name: string;
  /** A /24. */
  readonly subnet: string;
  /** Agent and proxy as two processes. */
  readonly split: boolean;
  /** How pod traffic travels between the hosts; absent: the master's default. Fixed when the cluster is made. */
  readonly underlay?: Underlay;
  /** How registries are reached: the path of a file, see docs/registries.md. */
  readonly registryConfig?: string;
  readonly hosts: readonly HostSpec[];
}

/** From the command line and cluster.yml; what is absent is taken from what is there, then from the defaults. */
export interface WantedCluster {
  readonly name: string;
  readonly subnet?: string;
  readonly split?: boolean;
  readonly underlay?: Underlay;
  readonly registryConfig?: string;
  readonly nodes?: number;
  readonly hosts?: readonly WantedHost[];
}

export function decideCluster(wanted: WantedCluster, saved: ClusterSpec | null, taken: readonly string[]): ClusterSpec {
  const hosts = decideHosts(wanted, saved);
  if (hosts.length > maxHosts) throw new TsorchError('invalid', `${hosts.length} hosts are too many for one machine`, { hint: `at most ${maxHosts}` });
  if (saved && wanted.subnet !== undefined && wanted.subnet !== saved.subnet) {
    throw new TsorchError('conflict', `cluster ${wanted.name} has the subnet ${saved.subnet} already`, { hint: `run \`tsorch down --name ${wanted.name} --purge\` to begin anew, or leave the subnet away` });
  }
  if (saved && wanted.underlay !== undefined && wanted.underlay !== (saved.underlay ?? 'auto')) {
    throw new TsorchError('conflict', `cluster ${wanted.name} was made with the underlay ${saved.underlay ?? 'auto'}`, { hint: `run \`tsorch down --name ${wanted.name} --purge\` to begin anew, or leave the underlay away` });
  }
  const underlay = saved ? saved.underlay : wanted.underlay;
  // While the cluster was down somebody else may have taken its subnet: hosts get new addresses, and nothing else changes.
  const kept = saved && !taken.some((other) => overlaps(saved.subnet, other)) ? saved.subnet : undefined;
  const registryConfig = wanted.registryConfig ?? saved?.registryConfig;
  return {
    name: wanted.name, subnet: kept ?? wanted.subnet ?? freeSubnet(wanted.name, taken), split: wanted.split ?? saved?.split ?? false, ...(underlay === undefined ? {} : { underlay }),
    ...(registryConfig === undefined ? {} : { registryConfig }), hosts,
  };
}

function decideHosts(wanted: WantedCluster, saved: ClusterSpec | null): HostSpec[] {
  const old = saved?.hosts ?? [];
  const named = wanted.hosts ?? defaultHosts(wanted.nodes ?? (old.length > 0 ? 0 : 3));
  const names = new Set(named.map((host) => host.name));
  const missing = old.filter((host) => !names.has(host.name));
  if (wanted.hosts && missing.length > 0) {
    throw new TsorchError('conflict', `cluster ${wanted.name} has hosts that the file does not name: ${missing.map((host) => host.name).join(', ')}`, {
      hint: `add them, or run \`tsorch down --name ${wanted.name} --purge\` to begin anew`,
    });
  }
  if (!wanted.hosts && wanted.nodes !== undefined && wanted.nodes < old.length) {
    throw new TsorchError('conflict', `cluster ${wanted.name} has ${old.length} hosts already`, { hint: `run \`tsorch down --name ${wanted.name} --purge\` to begin anew with ${wanted.nodes}` });
  }
  let next = Math.max(0, ...old.map((host) => host.index));
  // What a file says about an old host counts; a bare number of nodes says nothing about them.
  const kept = old.map((host): HostSpec => {
    const said = wanted.hosts?.find((each) => each.name === host.name);
    return said ? { ...said, index: host.index } : host;
  });
  const added = named.filter((host) => !old.some((each) => each.name === host.name)).slice(0, wanted.hosts ? undefined : Math.max(0, named.length - old.length));
  return [...kept, ...added.map((host) => ({ ...host, index: ++next }))];
}

/** node-1, node-2, …; the last of them is the backend, so that `type==frontend` means something from the first minute. */
function defaultHosts(count: number): { readonly name: string; readonly labels: Readonly<Record<string, string>> }[] {
  return Array.from({ length: count }, (_, i) => ({
    name: `node-${i + 1}`,
    labels: { type: count > 1 && i >= Math.ceil((count * 2) / 3) ? 'backend' : 'frontend' },
  }));
}

const preferred = '172.31.240.0/24';

/** The preferred one for the cluster `local`, for others the next; those that overlap a route of the machine are left out. */
function freeSubnet(name: string, taken: readonly string[]): string {
  const candidates = [
    ...Array.from({ length: 15 }, (_, i) => `172.31.${240 + i}.0/24`),
    ...Array.from({ length: 16 }, (_, i) => `10.213.${240 + i - 1}.0/24`),
    ...Array.from({ length: 16 }, (_, i) => `192.168.${224 + i}.0/24`),
  ].filter((subnet) => name === 'local' || subnet !== preferred);
  const free = candidates.find((subnet) => !taken.some((other) => overlaps(subnet, other)));
  if (!free) throw new TsorchError('exhausted', 'no free subnet for the hosts', { hint: 'name one with `subnet:` in cluster.yml' });
  return free;
}
