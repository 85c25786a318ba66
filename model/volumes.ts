/** Which named volumes a pod has. */
import type { MountSpec, PodTemplate } from './spec.ts';

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

/** What is wrong with options for the `local` driver; null when nothing is. */
export function localOptionsProblem(options: Readonly<Record<string, string>>): { readonly message: string; readonly hint: string } | null {
  const { type = '', o = '', device = '', ...others } = options;
  const [other] = Object.keys(others);
  if (other === 'size') return { message: 'the local driver keeps no quotas, size cannot be limited', hint: 'use type: tmpfs with o: size=…, or a device of that size' };
  if (other !== undefined) return { message: `the local driver knows no option ${other}`, hint: 'its options are type, o and device' };
  if (type === '' && device === '' && o === '') return null;
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
