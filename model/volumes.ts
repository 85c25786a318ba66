/** Which named volumes a pod has. */
import type { MountSpec, PodTemplate } from './spec.ts';
import { parseBytes } from './stack/values/bytes.ts';

type VolumeMount = Extract<MountSpec, { kind: 'volume' }>;

/** The cluster-wide name of what a mount shows to the pod of a slot; undefined for an anonymous volume. */
export function volumeName(mount: VolumeMount, slot: number | string): string | undefined {
  // A global service has a volume of that name on every node as it is.
  return mount.volume !== undefined && mount.perReplica === true && typeof slot === 'number' ? slotVolume(mount.volume, slot) : mount.volume;
}

export function slotVolume(volume: string, slot: number): string {
  return `${volume}.${slot}`;
}

/** Names of the volumes that the pod of a slot mounts, init containers' too, sorted, each once. */
export function volumesOf(template: PodTemplate, slot: number | string): readonly string[] {
  return sortedNames(volumeMounts(template).flatMap((mount) => volumeName(mount, slot) ?? []));
}

/** Likewise, each with the name of the stack's volume that it is, or is made after. */
export function volumePairs(template: PodTemplate, slot: number | string): readonly (readonly [name: string, of: string])[] {
  const pairs = new Map(volumeMounts(template).flatMap((mount) => (mount.volume === undefined ? [] : [[volumeName(mount, slot) ?? mount.volume, mount.volume] as const])));
  return [...pairs].sort(([a], [b]) => (a < b ? -1 : 1));
}

/** The volumes that all pods of the template share, and those of which each slot has its own. */
export function volumesByKind(template: PodTemplate): { readonly shared: readonly string[]; readonly perReplica: readonly string[] } {
  const mounts = volumeMounts(template);
  const names = (wanted: boolean) => sortedNames(mounts.flatMap((mount) => (mount.volume !== undefined && (mount.perReplica === true) === wanted ? [mount.volume] : [])));
  return { shared: names(false), perReplica: names(true) };
}

function volumeMounts({ containers, initContainers = [] }: PodTemplate): readonly VolumeMount[] {
  return [...initContainers, ...containers].flatMap((container) => container.mounts.filter((mount) => mount.kind === 'volume'));
}

function sortedNames(names: readonly string[]): readonly string[] {
  return names.length > 1 ? [...new Set(names)].sort() : names;
}

/**
 * The name a plugin goes by on hosts: that of its socket. Docker's managed plugins are called like images, `rexray/dobs:1.0`, of which the
 * last part counts. Null when it cannot be a name.
 */
export function driverName(text: string): string | null {
  if (text === '' || text === 'default') return 'local';
  const [, name] = /^(?:[\w.-]+(?::\d+)?\/)*([A-Za-z0-9][A-Za-z0-9_.-]*)(?::[\w.-]+)?$/.exec(text) ?? [];
  return name ?? null;
}

/** What is wrong with options for the `local` driver; null when nothing is. */
export function localOptionsProblem(options: Readonly<Record<string, string>>): { readonly message: string; readonly hint: string } | null {
  const { type = '', o = '', device = '', size, ...others } = options;
  const [other] = Object.keys(others);
  if (other !== undefined) return { message: `the local driver knows no option ${other}`, hint: 'its options are type, o, device and size' };
  if (size !== undefined && !((parseBytes(size) ?? 0) > 0)) return { message: `${JSON.stringify(size)} is no size`, hint: 'write such as 10G' };
  if (type === '' && device === '' && o === '') return null;
  if (size !== undefined) return { message: 'size limits a directory, and not what is mounted', hint: type === 'tmpfs' ? 'write o: size=…' : 'leave size out' };
  const words = o.split(',');
  const bind = words.includes('bind') || words.includes('rbind');
  if (type === '' && !bind) return { message: 'driver_opts says what to mount, but not of which type', hint: 'add type, such as nfs, ext4 or tmpfs' };
  if (device === '' && type !== 'tmpfs' && type !== 'ramfs') return { message: `driver_opts says nothing of the device that is to be mounted as ${bind ? 'a bind' : type}`, hint: bind ? 'add device: a path on the host' : 'add device, such as ":/export" or /dev/sdb1' };
  if (/[\0\n]/.test(`${type}${o}${device}`)) return { message: 'driver_opts holds a line break or a NUL', hint: 'remove it' };
  return null;
}

const networkTypes: ReadonlySet<string> = new Set(['nfs', 'nfs4', 'cifs', 'smb3', 'ceph', 'glusterfs', '9p', 'fuse.glusterfs', 'fuse.sshfs', 'fuse.s3fs']);

/** The local driver mounts it from the network: it is the same on every node. */
export function isNetworkMount(driver: string, options: Readonly<Record<string, string>>): boolean {
  return driver === 'local' && networkTypes.has(options['type'] ?? '');
}
