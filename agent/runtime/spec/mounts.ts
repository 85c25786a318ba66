/** File systems a container sees: the kernel's own, then what the stack file asks for. */
import { TsorchError } from '../../../model/errors.ts';
import type { MountSpec } from '../../../model/spec.ts';
import type { ResolvedMount } from '../port.ts';
import type { OciMount } from './oci.ts';

export const initPath = '/sbin/tsorch-init';
const defaultShm = 64 << 20;

/** What is at /dev/shm: memory of its own, a directory of the host that it shares with others, or nothing. */
export type Shm = { readonly kind: 'own'; readonly size: number | undefined } | { readonly kind: 'shared'; readonly source: string } | { readonly kind: 'none' };

export interface MountRequest {
  readonly privileged: boolean;
  readonly readOnly: boolean;
  readonly shm: Shm;
  /** The host's /sys is shown: the kernel lets only the network namespace's owner mount another, which root of a user namespace on the host's network is not. */
  readonly hostSys: boolean;
  readonly resolved: readonly ResolvedMount[];
  /** Only `tmpfs` ones are used: volumes and binds come resolved. */
  readonly mounts: readonly MountSpec[];
  /** Host path of a static init; null without init. */
  readonly init: string | null;
}

/** In the order they are mounted: parents before children. A mount of the user's replaces a default at the same place. */
export function containerMounts(request: MountRequest): readonly OciMount[] {
  const wanted = [...request.resolved.map(resolvedMount), ...request.mounts.flatMap(tmpfsMount)];
  const seen = new Map<string, OciMount>();
  for (const mount of wanted) {
    if (!mount.destination.startsWith('/') || mount.destination === '/') {
      throw new TsorchError('invalid', `mount target ${JSON.stringify(mount.destination)} is not an absolute path below /`);
    }
    // Resolved mounts come first and win: a tmpfs that somebody resolved already is in both lists.
    if (!seen.has(mount.destination)) seen.set(mount.destination, mount);
  }
  const defaults = kernelMounts(request).filter((mount) => !seen.has(mount.destination));
  const sorted = [...seen.values()].map((mount, index) => ({ mount, index, depth: depth(mount) }));
  sorted.sort((a, b) => a.depth - b.depth || a.index - b.index);
  const init: OciMount[] = request.init === null ? [] : [{ destination: initPath, type: 'bind', source: request.init, options: ['bind', 'ro', 'nosuid', 'nodev'] }];
  return [...defaults, ...sorted.map((item) => item.mount), ...init];
}

/** A bind that shares mounts with the host needs a root that lets them pass. */
export function rootfsPropagation(mounts: readonly OciMount[]): 'rshared' | 'rslave' | undefined {
  const has = (...options: readonly string[]) => mounts.some((mount) => mount.options.some((option) => options.includes(option)));
  if (has('shared', 'rshared')) return 'rshared';
  return has('slave', 'rslave') ? 'rslave' : undefined;
}

function kernelMounts(request: MountRequest): readonly OciMount[] {
  const access = request.privileged ? 'rw' : 'ro';
  return [
    { destination: '/proc', type: 'proc', source: 'proc', options: ['nosuid', 'noexec', 'nodev'] },
    { destination: '/dev', type: 'tmpfs', source: 'tmpfs', options: ['nosuid', 'strictatime', 'mode=755', 'size=65536k'] },
    { destination: '/dev/pts', type: 'devpts', source: 'devpts', options: ['nosuid', 'noexec', 'newinstance', 'ptmxmode=0666', 'mode=0620', 'gid=5'] },
    { destination: '/dev/mqueue', type: 'mqueue', source: 'mqueue', options: ['nosuid', 'noexec', 'nodev'] },
    ...shmMount(request.shm),
    request.hostSys
      ? { destination: '/sys', type: 'bind', source: '/sys', options: ['rbind', 'nosuid', 'noexec', 'nodev', 'ro', 'rprivate'] }
      : { destination: '/sys', type: 'sysfs', source: 'sysfs', options: ['nosuid', 'noexec', 'nodev', access] },
    // Runtimes such as Java's size themselves by the limits they find here.
    { destination: '/sys/fs/cgroup', type: 'cgroup', source: 'cgroup', options: ['nosuid', 'noexec', 'nodev', 'relatime', access] },
  ];
}

function shmMount(shm: Shm): readonly OciMount[] {
  const guards = ['nosuid', 'noexec', 'nodev'];
  switch (shm.kind) {
    case 'own':
      return [{ destination: '/dev/shm', type: 'tmpfs', source: 'shm', options: [...guards, ...shmOptions(shm.size)] }];
    case 'shared':
      return [{ destination: '/dev/shm', type: 'bind', source: shm.source, options: ['rbind', ...guards, 'rprivate'] }];
    case 'none':
      return [];
  }
}

/** Of the tmpfs at /dev/shm; bytes, 64 MiB unless told. */
export function shmOptions(size: number | undefined): readonly string[] {
  return ['mode=1777', `size=${size ?? defaultShm}`];
}

function resolvedMount(mount: ResolvedMount): OciMount {
  const options = mount.type === 'bind' && !mount.options.some((o) => o === 'bind' || o === 'rbind') ? ['rbind', ...mount.options] : mount.options;
  const propagated = mount.type !== 'bind' || options.some((o) => /^r?(private|shared|slave)$/.test(o));
  return { destination: mount.target, type: mount.type, source: mount.source, options: propagated ? options : [...options, 'rprivate'] };
}

function tmpfsMount(mount: MountSpec): readonly OciMount[] {
  if (mount.kind !== 'tmpfs') return [];
  const defaults = [
    'nosuid',
    'noexec',
    'nodev',
    ...(mount.readOnly ? ['ro'] : []),
    ...(mount.size === undefined ? [] : [`size=${mount.size}`]),
    ...(mount.mode === undefined ? [] : [`mode=${mount.mode.toString(8)}`]),
  ];
  const options = mount.options ?? [];
  const replaced = new Set(options.map(subject));
  return [{ destination: mount.target, type: 'tmpfs', source: 'tmpfs', options: [...defaults.filter((option) => !replaced.has(subject(option))), ...options] }];
}

/** What an option is about: `exec` and `noexec` the same, `size=1m` and `size=2m` too. */
function subject(option: string): string {
  const name = option.split('=')[0] ?? option;
  if (name === 'rw') return 'ro';
  return name.replace(/^no(?=(exec|suid|dev|atime|diratime)$)/, '');
}

function depth(mount: OciMount): number {
  return mount.destination.split('/').filter((part) => part !== '').length;
}
