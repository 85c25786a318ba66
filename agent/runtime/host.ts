/** Reads what the spec builder must know of this host. */
import { existsSync, readFileSync } from 'node:fs';
import { access, readFile } from 'node:fs/promises';
import { release } from 'node:os';
import { join } from 'node:path';
import { amd64Variant, type Platform, platformOf } from '../../lib/oci/platform.ts';
import type { CgroupLayout } from './cgroup.ts';
import type { HostFacts } from './spec/facts.ts';
import { parseHardLimits } from './spec/rlimits.ts';

const initPaths = ['/usr/bin/tini-static', '/usr/local/bin/tini-static', '/usr/bin/catatonit', '/usr/libexec/podman/catatonit'];
const CAP_SYS_RESOURCE = 24n;
const ociArch: Readonly<Partial<Record<NodeJS.Architecture, string>>> = { x64: 'amd64', ia32: '386', arm64: 'arm64', arm: 'arm', ppc64: 'ppc64le', riscv64: 'riscv64', s390x: 's390x' };

/** The architecture as OCI images name it. */
export const hostArch = ociArch[process.arch] ?? process.arch;

let platform: Platform | undefined;

/** What images this host runs. */
export function hostPlatform(): Platform {
  return (platform ??= { ...platformOf(hostArch), ...(hostArch === 'amd64' ? { variant: amd64Variant(processorFlags()) } : {}) });
}

/** Names of architectures in the kernel's registry of interpreters, where they differ. */
const emulators: Readonly<Record<string, string>> = { amd64: 'x86_64', '386': 'i386', arm64: 'aarch64' };

/** Whether the kernel hands programs of this platform to an emulator. */
export function isEmulated({ os, architecture }: Platform): boolean {
  return os === 'linux' && /^\w+$/.test(architecture) && existsSync(`/proc/sys/fs/binfmt_misc/qemu-${emulators[architecture] ?? architecture}`);
}

function processorFlags(): ReadonlySet<string> {
  return new Set(/^flags\s*:(.*)$/m.exec(readFileSync('/proc/cpuinfo', 'utf8'))?.[1]?.trim().split(/\s+/));
}

export async function readHostFacts(layout: CgroupLayout): Promise<HostFacts> {
  const [limits, status, nrOpen, oom, apparmor, selinux, swapLimits, inits] = await Promise.all([
    readFile('/proc/self/limits', 'utf8'),
    readFile('/proc/self/status', 'utf8'),
    readFile('/proc/sys/fs/nr_open', 'utf8'),
    readFile('/proc/self/oom_score_adj', 'utf8'),
    readFile('/sys/module/apparmor/parameters/enabled', 'utf8').catch(() => 'N'),
    exists('/sys/fs/selinux/enforce'),
    swapAccounting(layout),
    Promise.all(initPaths.map(exists)),
  ]);
  const mask = (name: string) => BigInt(`0x${new RegExp(`^${name}:\\s*([0-9a-f]+)$`, 'm').exec(status)?.[1] ?? '0'}`);
  const [major = 0, minor = 0] = release().split(/[.-]/).map(Number);
  return {
    arch: hostArch,
    emulated: Object.values(ociArch).filter((architecture) => architecture !== hostArch && isEmulated({ os: 'linux', architecture })),
    kernel: [major, minor],
    cgroup: layout.mode,
    swapLimits,
    hardLimits: parseHardLimits(limits),
    nrOpen: Number(nrOpen),
    mayRaise: (mask('CapEff') & (1n << CAP_SYS_RESOURCE)) !== 0n,
    capabilities: mask('CapBnd'),
    oomScoreAdj: Number(oom),
    apparmor: apparmor.trim() === 'Y' && (await exists('/sys/kernel/security/apparmor')),
    selinux,
    init: initPaths[inits.indexOf(true)] ?? null,
  };
}

async function swapAccounting(layout: CgroupLayout): Promise<boolean> {
  const memory = layout.v1.find((hierarchy) => hierarchy.controllers.includes('memory'));
  if (memory) return await exists(join(memory.directory, 'memory.memsw.limit_in_bytes'));
  // The root of cgroup v2 has no limit files of its own.
  if (layout.v2 === null) return false;
  const own = /^0::(.*)$/m.exec(await readFile('/proc/self/cgroup', 'utf8'))?.[1] ?? '/';
  if (own !== '/') return await exists(join(layout.v2, own, 'memory.swap.max'));
  const controllers = await readFile(join(layout.v2, 'cgroup.controllers'), 'utf8').catch(() => '');
  return controllers.split(/\s+/).includes('memory');
}

async function exists(path: string): Promise<boolean> {
  return await access(path).then(
    () => true,
    () => false,
  );
}
