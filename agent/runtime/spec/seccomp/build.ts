/** Seccomp filters: our own default from default.json, and files in the format that Docker and Podman read. */
import { TsorchError } from '../../../../model/errors.ts';
import type { OciSeccomp, OciSyscall } from '../oci.ts';
import table from './default.json' with { type: 'json' };

export interface SeccompContext {
  /** Capabilities granted, `CAP_…`: some calls are harmless to who may do worse. */
  readonly capabilities: readonly string[];
  /** The host's architecture as OCI names it. */
  readonly arch: string;
  /** The image's; one of 32 bits needs the second table of the same processor. */
  readonly imageArch: string;
}

interface Group {
  readonly syscalls: readonly string[];
  readonly arch?: readonly string[];
  readonly caps?: readonly string[];
  readonly unlessCaps?: readonly string[];
  readonly except?: readonly string[];
  readonly errno?: number;
  readonly args?: readonly { readonly index: number; readonly op: string; readonly value: number; readonly valueTwo?: number }[];
}

const EPERM = 1;
const native: Readonly<Record<string, string>> = {
  amd64: 'SCMP_ARCH_X86_64',
  arm64: 'SCMP_ARCH_AARCH64',
  ppc64le: 'SCMP_ARCH_PPC64LE',
  riscv64: 'SCMP_ARCH_RISCV64',
  s390x: 'SCMP_ARCH_S390X',
};
const small: Readonly<Record<string, { readonly image: string; readonly name: string; readonly scmp: string }>> = {
  amd64: { image: '386', name: 'x86', scmp: 'SCMP_ARCH_X86' },
  arm64: { image: 'arm', name: 'arm', scmp: 'SCMP_ARCH_ARM' },
};

/**
 * The default filter. Only the architectures that the image needs are listed: each more costs milliseconds at every
 * start of a container, because the filter is compiled then.
 */
export function defaultSeccomp(context: SeccompContext): OciSeccomp {
  const { names, architectures } = architecturesOf(context);
  const has = (caps: readonly string[]) => caps.some((cap) => context.capabilities.includes(`CAP_${cap}`));
  const allowed = new Set<string>();
  const refused = new Map<number, string[]>();
  const special: OciSyscall[] = [];
  for (const group of table.groups as readonly Group[]) {
    if (group.arch && !group.arch.some((arch) => names.includes(arch))) continue;
    if (group.unlessCaps && has(group.unlessCaps)) continue;
    const calls = group.syscalls.flatMap((line) => line.split(' '));
    if (group.args) special.push({ names: calls, ...action(group.errno), args: group.args.map((arg) => ({ ...arg, op: `SCMP_CMP_${arg.op}` })) });
    else if (group.caps && !has(group.caps)) push(refused, EPERM, calls.filter((call) => !group.except?.includes(call)));
    else if (group.errno !== undefined) push(refused, group.errno, calls);
    else calls.forEach((call) => allowed.add(call));
  }
  const syscalls = [
    { names: [...allowed].sort(), ...action(undefined) },
    ...[...refused].map(([errno, calls]) => ({ names: calls.filter((call) => !allowed.has(call)).sort(), ...action(errno) })),
    ...special,
  ];
  return { defaultAction: 'SCMP_ACT_ERRNO', defaultErrnoRet: table.defaultErrno, architectures, syscalls };
}

function architecturesOf(context: SeccompContext): { readonly names: readonly string[]; readonly architectures: readonly string[] } {
  const main = native[context.arch];
  if (main === undefined) throw new TsorchError('unsupported', `no default seccomp profile for ${context.arch}`, { hint: 'set security_opt: ["seccomp=unconfined"]' });
  const second = small[context.arch];
  const needsSecond = second !== undefined && context.imageArch === second.image;
  return { names: needsSecond ? [context.arch, second.name] : [context.arch], architectures: needsSecond ? [main, second.scmp] : [main] };
}

function action(errno: number | undefined): { readonly action: string; readonly errnoRet?: number } {
  return errno === undefined ? { action: 'SCMP_ACT_ALLOW' } : { action: 'SCMP_ACT_ERRNO', errnoRet: errno };
}

function push(map: Map<number, string[]>, errno: number, calls: readonly string[]): void {
  map.set(errno, [...(map.get(errno) ?? []), ...calls]);
}
