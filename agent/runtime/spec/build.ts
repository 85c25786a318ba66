/**
 * The OCI runtime spec of a container, from what was asked for and what the host is. Pure: everything that had to be read
 * (accounts, devices, profiles) is an argument. Docker's defaults throughout, so that images find what they expect.
 */
import { TsorchError } from '../../../model/errors.ts';
import type { CreateRequest } from '../port.ts';
import { processCapabilities, resolveCapabilities } from './capabilities.ts';
import type { HostDevice, HostFacts } from './facts.ts';
import { containerMounts, initPath, rootfsPropagation } from './mounts.ts';
import type { OciDeviceRule, OciProcess, OciSeccomp, OciSpec } from './oci.ts';
import { containerArgs, containerEnv, workingDir } from './process.ts';
import { resolveResources } from './resources.ts';
import { resolveRlimits } from './rlimits.ts';
import { defaultSeccomp } from './seccomp/build.ts';
import { customSeccomp } from './seccomp/custom.ts';
import { parseSecurityOptions, type SecurityOptions } from './security.ts';
import { resolveSysctls } from './sysctls.ts';
import type { Account } from './user.ts';

export interface SpecInput {
  readonly request: CreateRequest;
  readonly host: HostFacts;
  readonly account: Account;
  /** `devices:` of the stack file resolved, or all of the host's for a privileged container. */
  readonly devices: readonly HostDevice[];
  /** Text of the profile that `seccomp=<file>` names; null when none is. */
  readonly seccompProfile: string | null;
  /** Absolute, below the root of every cgroup hierarchy. */
  readonly cgroupsPath: string;
}

export interface BuiltSpec {
  readonly spec: OciSpec;
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
  const limits = resolveResources(spec.limits, host.swapLimits);
  const oom = oomScore(spec.oomScoreAdj, host);
  const init = spec.init ? requireInit(host) : null;
  const mounts = containerMounts({ privileged: spec.privileged, readOnly: spec.readOnly, shmSize: spec.shmSize, resolved: request.mounts, mounts: spec.mounts, init });
  const propagation = rootfsPropagation(mounts);
  const seccomp = seccompOf(input, security, caps.granted);
  const args = containerArgs(spec, image.config);
  const open = spec.privileged || security.openSystemPaths;
  const process: OciProcess = {
    terminal: spec.tty,
    cwd: workingDir(spec.workingDir, image.config.workingDir),
    args: init === null ? args : [initPath, '--', ...args],
    env: containerEnv({ image: image.config.env, spec: spec.env, extra: request.env, hostname: request.hostname, tty: spec.tty, home: account.home }),
    user: { uid: account.uid, gid: account.gid, additionalGids: account.additionalGids },
    capabilities: processCapabilities(caps.granted, account.uid),
    rlimits: rlimits.rlimits,
    noNewPrivileges: security.noNewPrivileges,
    ...labelsOf(security, host),
    ...(oom.value === undefined ? {} : { oomScoreAdj: oom.value }),
  };
  return {
    spec: {
      ociVersion: '1.0.2',
      hostname: request.hostname,
      root: { path: 'rootfs', readonly: spec.readOnly },
      process,
      mounts,
      annotations: { ...spec.annotations, [shimGroupAnnotation]: request.podId },
      linux: {
        cgroupsPath: input.cgroupsPath,
        namespaces: namespaces(request.netns, host),
        resources: { devices: deviceRules(spec.privileged, devices), ...limits.resources },
        ...(devices.length === 0 ? {} : { devices: devices.map(({ path, type, major, minor, mode, uid, gid }) => ({ path, type, major, minor, fileMode: mode, uid, gid })) }),
        maskedPaths: open ? [] : maskedPaths,
        readonlyPaths: open ? [] : readonlyPaths,
        sysctl: resolveSysctls({ sysctls: request.sysctls, hostNetwork: request.netns === null, domainname: request.domainname }),
        ...(seccomp === null ? {} : { seccomp }),
        ...(propagation === undefined ? {} : { rootfsPropagation: propagation }),
      },
    },
    warnings: [...caps.warnings, ...rlimits.warnings, ...limits.warnings, ...oom.warnings],
  };
}

function namespaces(netns: string | null, host: HostFacts): readonly { readonly type: string; readonly path?: string }[] {
  const own = [{ type: 'pid' }, { type: 'ipc' }, { type: 'uts' }, { type: 'mount' }];
  // With one hierarchy a container sees its own limits only in a cgroup namespace; with several, the mounts alone show them.
  const cgroup = host.cgroup === 'v2' ? [{ type: 'cgroup' }] : [];
  // The host's network is had by leaving the entry out; naming the host's namespace fails in the runtimes.
  return [...own, ...cgroup, ...(netns === null ? [] : [{ type: 'network', path: netns }])];
}

function deviceRules(privileged: boolean, devices: readonly HostDevice[]): readonly OciDeviceRule[] {
  if (privileged) return [{ allow: true, access: 'rwm' }];
  const rules = devices.map(({ type, major, minor, permissions }) => ({ allow: true, type, major, minor, access: permissions }));
  // The runtimes themselves allow null, zero, full, random, tty and the like.
  return [{ allow: false, access: 'rwm' }, ...rules];
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

function requireInit(host: HostFacts): string {
  if (host.init !== null) return host.init;
  throw new TsorchError('unsupported', '`init: true`: this host has no static init program', { hint: 'install the package "tini"' });
}
