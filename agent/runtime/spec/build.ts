/**
 * The OCI runtime spec of a container, from what was asked for and what the host is. Pure: everything that had to be read
 * (accounts, devices, profiles) is an argument. Docker's defaults throughout, so that images find what they expect.
 */
import { TsorchError } from '../../../model/errors.ts';
import type { CdiEdits } from '../cdi/types.ts';
import type { CreateRequest, ResolvedMount } from '../port.ts';
import { processCapabilities, resolveCapabilities } from './capabilities.ts';
import { deviceRules } from './device-rules.ts';
import type { HostDevice, HostFacts } from './facts.ts';
import { containerMounts, initPath, rootfsPropagation, type Shm } from './mounts.ts';
import { containerNamespaces, ipcSharing } from './namespaces.ts';
import type { OciHooks, OciProcess, OciSeccomp, OciSpec } from './oci.ts';
import { platformWarnings } from './platform.ts';
import { containerArgs, containerEnv, workingDir } from './process.ts';
import { resolveResources } from './resources.ts';
import { resolveRlimits } from './rlimits.ts';
import { defaultSeccomp } from './seccomp/build.ts';
import { customSeccomp } from './seccomp/custom.ts';
import { parseSecurityOptions, type SecurityOptions } from './security.ts';
import { resolveSysctls, type SplitSysctls, splitSysctls } from './sysctls.ts';
import { idsPerPod } from './user-ids.ts';
import type { Account } from './user.ts';

export interface SpecInput {
  readonly request: CreateRequest;
  readonly host: HostFacts;
  readonly account: Account;
  /** `devices:` of the stack file resolved, or all of the host's for a privileged container. With a user namespace they are mounts too. */
  readonly devices: readonly HostDevice[];
  /** What the container's CDI devices bring besides their nodes, which are among `devices`. */
  readonly cdi: CdiEdits;
  /** Text of the profile that `seccomp=<file>` names; null when none is. */
  readonly seccompProfile: string | null;
  /** Absolute, below the root of every cgroup hierarchy. */
  readonly cgroupsPath: string;
  /** Pids of the containers whose namespaces it joins, by name. */
  readonly peers: Readonly<Record<string, number>>;
  /** The host's directory for /dev/shm, when it is shared with other containers. */
  readonly sharedShm: string | null;
  /** The pod's user namespace, with the first of its ids outside; null when the container has the host's. */
  readonly users: { readonly path: string; readonly start: number } | null;
}

export interface BuiltSpec {
  readonly spec: OciSpec;
  /** What the caller sets, because the container's root may not. */
  readonly outside: Pick<SplitSysctls, 'network' | 'domainname'>;
  /** What could not be had as asked for, for people. */
  readonly warnings: readonly string[];
}

/** Containers with the same value share a shim process. */
export const shimGroupAnnotation = 'io.containerd.runc.v2.group';
const maskedPaths = [
  '/proc/acpi', '/proc/asound', '/proc/interrupts', '/proc/kcore', '/proc/keys', '/proc/latency_stats', '/proc/sched_debug', '/proc/scsi',
  '/proc/timer_list', '/proc/timer_stats', '/sys/devices/virtual/powercap', '/sys/firmware',
];
const readonlyPaths = ['/proc/bus', '/proc/fs', '/proc/irq', '/proc/sys', '/proc/sysrq-trigger'];

/** Throws `invalid` for what makes no sense and `unsupported` for what this host cannot give. */
export function buildSpec(input: SpecInput): BuiltSpec {
  const { request, host, account, devices } = input;
  const { spec, image } = request;
  const security = parseSecurityOptions(spec.securityOpt);
  const caps = resolveCapabilities({ privileged: spec.privileged, add: spec.capAdd, drop: spec.capDrop }, host.capabilities);
  const rlimits = resolveRlimits(spec.ulimits, host);
  const limits = resolveResources(spec.limits, host);
  const oom = oomScore(spec.oomScoreAdj, host);
  const init = spec.init ? requireInit(host) : null;
  const mounts = containerMounts({ privileged: spec.privileged, readOnly: spec.readOnly, shm: shmOf(input), hostSys: input.users !== null && request.netns === null, resolved: [...request.mounts, ...input.cdi.mounts.map(cdiMount)], mounts: spec.mounts, init });
  const propagation = rootfsPropagation(mounts);
  const seccomp = seccompOf(input, security, caps.granted);
  const args = containerArgs(spec, image.config);
  const open = spec.privileged || security.openSystemPaths;
  const process: OciProcess = {
    terminal: spec.tty,
    cwd: workingDir(spec.workingDir, image.config.workingDir),
    args: init === null ? args : [initPath, '--', ...args],
    env: containerEnv({ image: image.config.env, spec: spec.env, extra: request.env, devices: input.cdi.env, hostname: request.hostname, tty: spec.tty, home: account.home }),
    user: { uid: account.uid, gid: account.gid, additionalGids: [...new Set([...account.additionalGids, ...input.cdi.additionalGids])] },
    capabilities: processCapabilities(caps.granted, account.uid),
    rlimits: rlimits.rlimits,
    noNewPrivileges: security.noNewPrivileges,
    ...labelsOf(security, host),
    ...(oom.value === undefined ? {} : { oomScoreAdj: oom.value }),
  };
  const sysctls = resolveSysctls({ sysctls: request.sysctls, hostNetwork: request.netns === null, hostIpc: spec.ipc === 'host', hostUts: spec.uts === 'host', domainname: request.domainname });
  const split: SplitSysctls = input.users === null ? { inside: sysctls, network: {} } : splitSysctls(sysctls);
  checkUsers(input);
  const mappings = input.users === null ? null : [{ containerID: 0, hostID: input.users.start, size: idsPerPod }];
  return {
    spec: {
      ociVersion: '1.0.2',
      // Without a namespace of its own it would be the host's that is named anew.
      ...(spec.uts === 'host' ? {} : { hostname: request.hostname }),
      root: { path: 'rootfs', readonly: spec.readOnly },
      process,
      mounts,
      ...hooksOf(input.cdi),
      annotations: { ...spec.annotations, [shimGroupAnnotation]: request.podId },
      linux: {
        cgroupsPath: input.cgroupsPath,
        namespaces: containerNamespaces({ spec, netns: request.netns, users: input.users?.path ?? null, cgroup: host.cgroup, peers: input.peers }),
        ...(mappings === null ? {} : { uidMappings: mappings, gidMappings: mappings }),
        resources: { devices: deviceRules(spec.privileged, devices, spec.deviceCgroupRules ?? []), ...limits.resources },
        ...(devices.length === 0 || input.users !== null ? {} : { devices: devices.map(({ path, type, major, minor, mode, uid, gid }) => ({ path, type, major, minor, fileMode: mode, uid, gid })) }),
        maskedPaths: open ? [] : maskedPaths,
        readonlyPaths: open ? [] : readonlyPaths,
        sysctl: split.inside,
        ...(seccomp === null ? {} : { seccomp }),
        ...(propagation === undefined ? {} : { rootfsPropagation: propagation }),
      },
    },
    outside: split,
    warnings: [...platformWarnings(image, host), ...caps.warnings, ...rlimits.warnings, ...limits.warnings, ...oom.warnings],
  };
}

/** What the kernel, or sense, does not allow together with a user namespace. */
function checkUsers({ request: { spec }, host, account, users }: SpecInput): void {
  if (users === null) return;
  const because = (text: string) => new TsorchError('invalid', `userns_mode: private does not go with ${text}`, { hint: 'leave one of the two out' });
  if (spec.privileged) throw because('privileged: true');
  if (spec.pid === 'host') throw because('pid: host');
  if (spec.ipc === 'host') throw because('ipc: host');
  if (Math.max(account.uid, account.gid, ...account.additionalGids) >= idsPerPod) throw because(`user ${account.uid}:${account.gid}: ids inside are below ${idsPerPod}`);
  const [major, minor] = host.kernel;
  if (major < 5 || (major === 5 && minor < 19)) {
    throw new TsorchError('unsupported', `userns_mode: private needs Linux 5.19, this host has ${major}.${minor}`, { hint: 'place the service on a host with a newer kernel, or leave userns_mode out' });
  }
}

function shmOf({ request: { spec }, sharedShm }: SpecInput): Shm {
  if (sharedShm !== null) return { kind: 'shared', source: sharedShm };
  switch (ipcSharing(spec.ipc).kind) {
    case 'none':
      return { kind: 'none' };
    case 'host':
      return { kind: 'shared', source: '/dev/shm' };
    default:
      return { kind: 'own', size: spec.shmSize };
  }
}

function seccompOf(input: SpecInput, security: SecurityOptions, capabilities: readonly string[]): OciSeccomp | null {
  if (security.seccomp === 'unconfined' || (input.request.spec.privileged && security.seccomp === 'default')) return null;
  const context = { capabilities, arch: input.host.arch, imageArch: input.request.image.config.architecture };
  if (security.seccomp === 'default') return defaultSeccomp(context);
  if (input.seccompProfile === null) throw new TsorchError('internal', `the seccomp profile ${security.seccomp} was not read`);
  return customSeccomp(input.seccompProfile, context, input.host.kernel);
}

function labelsOf(security: SecurityOptions, host: HostFacts): { readonly apparmorProfile?: string; readonly selinuxLabel?: string } {
  const { apparmor, selinux } = security;
  const { user = 'system_u', role = 'system_r', type = 'container_t', level = 's0' } = selinux;
  const wantsLabel = Object.keys(selinux).length > 0 && !('disable' in selinux);
  if (apparmor !== null && apparmor !== 'unconfined' && !host.apparmor) {
    throw new TsorchError('unsupported', `AppArmor profile ${apparmor}: this host's kernel has no AppArmor`, { hint: 'take it out of security_opt, or place the service on a host that has it' });
  }
  if (wantsLabel && !host.selinux) throw new TsorchError('unsupported', "SELinux label: this host's kernel has no SELinux", { hint: 'take it out of security_opt' });
  return {
    ...(apparmor !== null && host.apparmor ? { apparmorProfile: apparmor } : {}),
    ...(wantsLabel ? { selinuxLabel: `${user}:${role}:${type}:${level}` } : {}),
  };
}

/** Without CAP_SYS_RESOURCE the score only goes up from the shim's, which is the agent's plus one. */
function oomScore(wanted: number | undefined, host: HostFacts): { readonly value?: number; readonly warnings: readonly string[] } {
  if (wanted !== undefined && (!Number.isInteger(wanted) || wanted < -1000 || wanted > 1000)) {
    throw new TsorchError('invalid', `oom_score_adj is ${wanted}, it must be from -1000 to 1000`);
  }
  const least = host.mayRaise ? -1000 : Math.min(host.oomScoreAdj + 1, 1000);
  const value = wanted ?? 0;
  if (value >= least) return { value, warnings: [] };
  if (wanted === undefined) return { warnings: [] };
  return { value: least, warnings: [`oom_score_adj is ${least} instead of ${wanted}: the agent may not lower it (no CAP_SYS_RESOURCE)`] };
}

function cdiMount({ hostPath, containerPath, options, type }: CdiEdits['mounts'][number]): ResolvedMount {
  return type === 'tmpfs' ? { source: 'tmpfs', target: containerPath, type, options } : { source: hostPath, target: containerPath, type: 'bind', options };
}

function hooksOf({ hooks }: CdiEdits): { readonly hooks?: OciHooks } {
  if (hooks.length === 0) return {};
  const moments = [...new Set(hooks.map(({ name }) => name))];
  return { hooks: Object.fromEntries(moments.map((moment) => [moment, hooks.filter(({ name }) => name === moment).map(({ hook }) => hook)])) };
}

function requireInit(host: HostFacts): string {
  if (host.init !== null) return host.init;
  throw new TsorchError('unsupported', '`init: true`: this host has no static init program', { hint: 'install the package "tini"' });
}
