/** The command lines of a cluster's processes. */
import { nodeEnv, nodeFlags, type ProgramFile } from '../compiled/program.ts';
import { ensureCgroup } from './cgroups.ts';
import { addressIn, hostNames, type ClusterNames } from './names.ts';
import type { ProcessSpec } from './run-file.ts';
import type { ClusterSpec, HostSpec } from './spec.ts';

export const apiPort = 7443;
export const grpcPort = 7444;

/** The Node that runs us runs everything. */
function tsorch(program: ProgramFile, kind: 'master' | 'host' | 'agent' | 'proxy', ...args: readonly string[]): readonly string[] {
  return [process.execPath, ...nodeFlags(kind === 'master' ? 'master' : 'host'), program.main, kind, ...args];
}

export function masterUrlOf(spec: ClusterSpec): string {
  return `https://${addressIn(spec.subnet, 1)}:${apiPort}`;
}

export function masterStateDir(names: ClusterNames): string {
  return `${names.stateDir}/master`;
}

/** In a cgroup of its own, since its etcd outlives it. */
export function masterProcess(names: ClusterNames, spec: ClusterSpec, cgroup: string, program: ProgramFile): ProcessSpec {
  const address = addressIn(spec.subnet, 1);
  return {
    name: 'master',
    argv: tsorch(program, 'master', '--name', 'master-1', '--state-dir', masterStateDir(names), '--run-dir', `${names.runDir}/master`, '--listen', `${address}:${apiPort}`, '--grpc', `${address}:${grpcPort}`, ...(spec.underlay === undefined ? [] : ['--underlay', spec.underlay]), ...registryConfig(spec)),
    env: nodeEnv,
    cgroup,
    log: `${names.logDir}/master.log`,
  };
}

export interface HostPlaces {
  /** The cgroup2 directory of the host's pods, where its eBPF programs are attached. */
  readonly cgroupRoot: string;
  /** That of its own programs and what they start: containerd and the shims. */
  readonly cgroup: string;
}

/** Both, made. No host can be called by a name that begins with a dot. */
export async function ensureHostPlaces(names: ClusterNames, host: HostSpec): Promise<HostPlaces> {
  return { cgroupRoot: await ensureCgroup(`${names.cgroup}/${host.name}`), cgroup: await ensureCgroup(`${names.cgroup}/.${host.name}`) };
}

export function tokenFile(names: ClusterNames): string {
  return `${names.runDir}/join-token`;
}

/** The processes of one host: one, or two when split. */
export function hostProcesses(names: ClusterNames, spec: ClusterSpec, host: HostSpec, places: HostPlaces, program: ProgramFile): readonly ProcessSpec[] {
  const kinds = spec.split ? (['agent', 'proxy'] as const) : (['host'] as const);
  return kinds.map((kind) => ({
    name: kind === 'host' ? host.name : `${host.name}-${kind}`,
    argv: tsorch(program, kind, ...hostArguments(names, spec, host, places), ...(kind === 'proxy' ? [] : agentArguments(spec, host))),
    env: nodeEnv,
    netns: hostNames(names, spec.subnet, host.index).netnsPath,
    cgroup: places.cgroup,
    log: `${names.logDir}/${host.name}${kind === 'host' ? '' : `-${kind}`}.log`,
  }));
}

/** Takes a host's pods and everything else of it off the machine. */
export function teardownArguments(names: ClusterNames, spec: ClusterSpec, host: HostSpec, places: HostPlaces, program: ProgramFile): readonly string[] {
  return ['nsenter', `--net=${hostNames(names, spec.subnet, host.index).netnsPath}`, '--', ...tsorch(program, 'host', '--teardown', ...hostArguments(names, spec, host, places))];
}

/** What a proxy alone has no use for. */
function agentArguments(spec: ClusterSpec, { manifests, resources = [] }: HostSpec): readonly string[] {
  return [...registryConfig(spec), ...(manifests === undefined ? [] : ['--manifests', manifests]), ...resources.flatMap((resource) => ['--generic-resource', resource])];
}

function registryConfig({ registryConfig: file }: ClusterSpec): readonly string[] {
  return file === undefined ? [] : ['--registry-config', file];
}

function hostArguments(names: ClusterNames, spec: ClusterSpec, host: HostSpec, { cgroupRoot }: HostPlaces): readonly string[] {
  return [
    '--name', host.name,
    '--master', masterUrlOf(spec),
    '--token-file', tokenFile(names),
    '--address', hostNames(names, spec.subnet, host.index).address,
    '--state-dir', `${names.stateDir}/${host.name}`,
    '--run-dir', `${names.runDir}/${host.name}`,
    '--cgroup-root', cgroupRoot,
    '--bpf-dir', `${names.bpfDir}/${host.name}`,
    ...Object.entries(host.labels).flatMap(([key, value]) => ['--label', `${key}=${value}`]),
  ];
}
