/** A seccomp profile file of the user's, in the JSON format of `docker run --security-opt seccomp=FILE`. */
import { TsorchError } from '../../../../model/errors.ts';
import type { OciSeccomp, OciSyscall, OciSyscallArg } from '../oci.ts';
import type { SeccompContext } from './build.ts';

interface Conditions {
  readonly caps?: readonly string[];
  readonly arches?: readonly string[];
  readonly minKernel?: string;
}

interface Rule {
  readonly names?: readonly string[];
  readonly name?: string;
  readonly action: string;
  readonly errnoRet?: number | null;
  readonly args?: readonly OciSyscallArg[] | null;
  readonly includes?: Conditions | null;
  readonly excludes?: Conditions | null;
}

interface Profile {
  readonly defaultAction: string;
  readonly defaultErrnoRet?: number | null;
  readonly architectures?: readonly string[] | null;
  readonly archMap?: readonly { readonly architecture: string; readonly subArchitectures?: readonly string[] | null }[] | null;
  readonly flags?: readonly string[] | null;
  readonly syscalls?: readonly Rule[] | null;
}

const scmp: Readonly<Record<string, string>> = { amd64: 'SCMP_ARCH_X86_64', arm64: 'SCMP_ARCH_AARCH64', ppc64le: 'SCMP_ARCH_PPC64LE', riscv64: 'SCMP_ARCH_RISCV64', s390x: 'SCMP_ARCH_S390X' };

/** Rules whose conditions hold, in the order of the file. `kernel` is [major, minor]. Throws `invalid`. */
export function customSeccomp(text: string, context: SeccompContext, kernel: readonly [number, number]): OciSeccomp {
  const profile = parse(text);
  const holds = (conditions: Conditions | null | undefined): boolean =>
    (conditions?.caps ?? []).every((cap) => context.capabilities.includes(cap)) &&
    ((conditions?.arches ?? []).length === 0 || (conditions?.arches ?? []).includes(context.arch)) &&
    atLeast(kernel, conditions?.minKernel);
  const excluded = (conditions: Conditions | null | undefined): boolean =>
    (conditions?.caps ?? []).some((cap) => context.capabilities.includes(cap)) ||
    (conditions?.arches ?? []).includes(context.arch) ||
    (!!conditions?.minKernel && atLeast(kernel, conditions.minKernel));
  return {
    defaultAction: profile.defaultAction,
    ...(typeof profile.defaultErrnoRet === 'number' ? { defaultErrnoRet: profile.defaultErrnoRet } : {}),
    architectures: architecturesOf(profile, context),
    ...(profile.flags && profile.flags.length > 0 ? { flags: profile.flags } : {}),
    syscalls: (profile.syscalls ?? []).filter((rule) => holds(rule.includes) && !excluded(rule.excludes)).map(rule),
  };
}

function parse(text: string): Profile {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw new TsorchError('invalid', 'the seccomp profile is not JSON', { cause });
  }
  const profile = value as Partial<Profile> | null;
  if (typeof profile?.defaultAction !== 'string' || (profile.syscalls && !Array.isArray(profile.syscalls))) {
    throw new TsorchError('invalid', 'the seccomp profile has no "defaultAction", or "syscalls" is not a list');
  }
  return profile as Profile;
}

function architecturesOf(profile: Profile, context: SeccompContext): readonly string[] {
  if (profile.architectures && profile.architectures.length > 0) return profile.architectures;
  const main = scmp[context.arch];
  const entry = profile.archMap?.find((item) => item.architecture === main);
  if (entry) return [entry.architecture, ...(entry.subArchitectures ?? [])];
  return main === undefined ? [] : [main];
}

function rule(given: Rule): OciSyscall {
  const args = (given.args ?? []).filter((arg) => arg !== null);
  return {
    names: given.names ?? (given.name === undefined ? [] : [given.name]),
    action: given.action,
    ...(typeof given.errnoRet === 'number' ? { errnoRet: given.errnoRet } : {}),
    ...(args.length > 0 ? { args } : {}),
  };
}

function atLeast(kernel: readonly [number, number], wanted: string | undefined): boolean {
  if (wanted === undefined || wanted === '') return true;
  const [major = 0, minor = 0] = wanted.split('.').map(Number);
  return kernel[0] > major || (kernel[0] === major && kernel[1] >= minor);
}
