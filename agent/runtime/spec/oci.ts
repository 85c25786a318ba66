/**
 * The part of the OCI runtime specification (1.0.2) that tsorch writes, in its own JSON names. Numbers that may exceed
 * 2^53 are bigints and serialised by `specJson`.
 */
export interface OciSpec {
  readonly ociVersion: string;
  readonly hostname?: string;
  readonly root: { readonly path: string; readonly readonly: boolean };
  readonly process: OciProcess;
  readonly mounts: readonly OciMount[];
  readonly annotations: Readonly<Record<string, string>>;
  readonly hooks?: OciHooks;
  readonly linux: OciLinux;
}

/** Programs that the runtime runs around a container's life, by the specification's names for the moments. */
export type OciHooks = Readonly<Partial<Record<OciHookName, readonly OciHook[]>>>;
export type OciHookName = 'prestart' | 'createRuntime' | 'createContainer' | 'startContainer' | 'poststart' | 'poststop';

export interface OciHook {
  readonly path: string;
  /** The program's name first. */
  readonly args?: readonly string[];
  readonly env?: readonly string[];
  /** Seconds. */
  readonly timeout?: number;
}

export interface OciProcess {
  readonly terminal?: boolean;
  readonly cwd: string;
  readonly args: readonly string[];
  readonly env: readonly string[];
  readonly user: { readonly uid: number; readonly gid: number; readonly additionalGids?: readonly number[] };
  readonly capabilities: OciCapabilities;
  readonly rlimits: readonly OciRlimit[];
  readonly noNewPrivileges: boolean;
  readonly apparmorProfile?: string;
  readonly selinuxLabel?: string;
  readonly oomScoreAdj?: number;
}

export interface OciCapabilities {
  readonly bounding: readonly string[];
  readonly effective: readonly string[];
  readonly permitted: readonly string[];
}

export interface OciRlimit {
  readonly type: string;
  readonly soft: bigint | number;
  readonly hard: bigint | number;
}

export interface OciMount {
  readonly destination: string;
  readonly type: string;
  readonly source: string;
  readonly options: readonly string[];
}

export interface OciLinux {
  readonly cgroupsPath: string;
  readonly namespaces: readonly OciNamespace[];
  readonly uidMappings?: readonly OciIdMapping[];
  readonly gidMappings?: readonly OciIdMapping[];
  readonly resources: OciResources;
  readonly devices?: readonly OciDevice[];
  readonly maskedPaths: readonly string[];
  readonly readonlyPaths: readonly string[];
  readonly sysctl: Readonly<Record<string, string>>;
  readonly seccomp?: OciSeccomp;
  readonly rootfsPropagation?: string;
  readonly mountLabel?: string;
}

export interface OciNamespace {
  readonly type: 'pid' | 'network' | 'mount' | 'ipc' | 'uts' | 'user' | 'cgroup';
  /** Of one to join; absent: a new one. */
  readonly path?: string;
}

export interface OciIdMapping {
  readonly containerID: number;
  readonly hostID: number;
  readonly size: number;
}

export interface OciDevice {
  readonly path: string;
  readonly type: 'c' | 'b';
  readonly major: number;
  readonly minor: number;
  readonly fileMode: number;
  readonly uid: number;
  readonly gid: number;
}

export interface OciResources {
  readonly devices?: readonly OciDeviceRule[];
  readonly cpu?: { readonly shares?: number; readonly quota?: number; readonly period?: number; readonly cpus?: string };
  readonly memory?: { readonly limit?: number; readonly reservation?: number; readonly swap?: number; readonly swappiness?: number; readonly disableOOMKiller?: boolean };
  readonly pids?: { readonly limit: number };
}

export interface OciDeviceRule {
  readonly allow: boolean;
  readonly type?: 'a' | 'c' | 'b';
  readonly major?: number;
  readonly minor?: number;
  readonly access: string;
}

export interface OciSeccomp {
  readonly defaultAction: string;
  readonly defaultErrnoRet?: number;
  readonly architectures: readonly string[];
  readonly flags?: readonly string[];
  readonly syscalls: readonly OciSyscall[];
}

export interface OciSyscall {
  readonly names: readonly string[];
  readonly action: string;
  readonly errnoRet?: number;
  readonly args?: readonly OciSyscallArg[];
}

export interface OciSyscallArg {
  readonly index: number;
  readonly value: number;
  readonly valueTwo?: number;
  readonly op: string;
}

/** JSON with bigints as plain numbers: an unlimited rlimit is 2^64-1, which a double cannot hold. */
export function specJson(value: OciSpec | OciProcess | OciResources): string {
  const text = JSON.stringify(value, (_key, item: unknown) => (typeof item === 'bigint' ? `\u0000${item}\u0000` : item));
  return text.replace(/"\\u0000(\d+)\\u0000"/g, '$1');
}

const noLimit = 2n ** 64n - 1n;

/** The reverse of `specJson`. The only number above 2^53 that is ever written is "unlimited". */
export function parseSpec(text: string): OciSpec {
  return JSON.parse(text, (_key, item: unknown) => (typeof item === 'number' && item > Number.MAX_SAFE_INTEGER ? noLimit : item)) as OciSpec;
}
