/** What a local cluster is called in the kernel and on disk. Pure: everything follows from its name, so nothing needs remembering to be removed. */
import { TsorchError } from '../../model/errors.ts';

export interface ClusterNames {
  readonly cluster: string;
  readonly bridge: string;
  /** Fixed, since a bridge otherwise takes the lowest of its ports' and changes it under everybody's neighbour entries. */
  readonly bridgeMac: string;
  readonly runDir: string;
  readonly stateDir: string;
  readonly logDir: string;
  /** Table in the machine's own namespace that lets hosts out. */
  readonly nftTable: string;
  /** Under each cgroup hierarchy's mount point. */
  readonly cgroup: string;
  readonly bpfDir: string;
}

export interface HostNames {
  readonly netns: string;
  readonly netnsPath: string;
  /** The machine's end of the veth; the host's is `eth0`. */
  readonly veth: string;
  readonly address: string;
}

/** Host i has address .10+i of the subnet. */
export const maxHosts = 200;

export function clusterNames(cluster: string, stateDir = `/var/lib/tsorch/${cluster}`, runRoot = '/run/tsorch'): ClusterNames {
  if (!/^[a-z0-9]([a-z0-9-]{0,29}[a-z0-9])?$/.test(cluster)) {
    throw new TsorchError('invalid', `'${cluster}' cannot name a cluster`, { hint: 'use up to 31 lower-case letters, digits and dashes' });
  }
  return {
    cluster,
    bridge: short(cluster),
    bridgeMac: macOf(cluster),
    runDir: `${runRoot}/${cluster}`,
    stateDir,
    logDir: `${stateDir}/log`,
    nftTable: `tsorch-${cluster}`,
    cgroup: `tsorch/${cluster}`,
    bpfDir: `/sys/fs/bpf/tsorch/${cluster}`,
  };
}

export function hostNames(names: ClusterNames, subnet: string, index: number): HostNames {
  const netns = `ts-${names.cluster}-${index}`;
  return { netns, netnsPath: `/run/netns/${netns}`, veth: `${names.bridge}-${index}`, address: addressIn(subnet, 10 + index) };
}

/** `172.31.240.0/24`, 1 → `172.31.240.1`. Only for /24s, the only ones a local cluster uses. */
export function addressIn(subnet: string, last: number): string {
  return subnet.replace(/\.\d+\/24$/, `.${last}`);
}

/** Interface names have 15 bytes, and `-200` must still fit. */
function short(cluster: string): string {
  const plain = `ts-${cluster}`;
  if (plain.length <= 11) return plain;
  return `ts-${hashOf(cluster).toString(36).padStart(7, '0').slice(-7)}`;
}

/** Locally administered. */
function macOf(cluster: string): string {
  return `02:74${hashOf(cluster).toString(16).padStart(8, '0').replace(/../g, ':$&')}`;
}

/** FNV-1a. */
function hashOf(text: string): number {
  let hash = 0x811c9dc5;
  for (const character of text) hash = Math.imul(hash ^ (character.codePointAt(0) ?? 0), 0x01000193) >>> 0;
  return hash;
}
