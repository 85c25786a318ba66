/** Device nodes of this host that containers are given. */
import { lstat, readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { TsorchError } from '../../model/errors.ts';
import type { ContainerSpec } from '../../model/spec.ts';
import { isCdiName } from './cdi/resolve.ts';
import type { HostDevice } from './spec/facts.ts';

/** Made afresh in every container, or mounts. */
const skipped: ReadonlySet<string> = new Set(['/dev/pts', '/dev/shm', '/dev/mqueue', '/dev/fd', '/dev/console', '/dev/.lxc', '/dev/.udev', '/dev/hugepages']);

/** The stack file's devices, directories with all in them; every device of the host when privileged. Throws `invalid`. */
export async function resolveDevices(spec: Pick<ContainerSpec, 'devices' | 'privileged'>): Promise<readonly HostDevice[]> {
  const asked = await Promise.all(
    spec.devices.filter(({ source }) => !isCdiName(source)).map(async ({ source, target, permissions }) => {
      if (!/^[rwm]{1,3}$/.test(permissions)) throw new TsorchError('invalid', `device ${source}: permissions ${JSON.stringify(permissions)} are not of "rwm"`);
      const found = await walk(source, target, permissions);
      if (found.length === 0) throw new TsorchError('invalid', `device ${source}: there is no such device on this host`, { hint: 'check the path, or place the service on hosts that have it' });
      return found;
    }),
  );
  const all = spec.privileged ? await walk('/dev', '/dev', 'rwm') : [];
  const byPath = new Map([...all, ...asked.flat()].map((device) => [device.path, device]));
  return [...byPath.values()].sort((a, b) => (a.path < b.path ? -1 : 1));
}

/** One device of the host, with links followed. Throws `invalid` when there is none. */
export async function hostDevice(source: string, path: string, permissions: string): Promise<HostDevice> {
  const info = await stat(source).catch(() => null);
  if (!info?.isCharacterDevice() && !info?.isBlockDevice()) throw new TsorchError('invalid', `there is no device ${source} on this host`, { hint: 'check the path, or place the service on hosts that have it' });
  return device(path, info, permissions);
}

async function walk(source: string, target: string, permissions: string): Promise<readonly HostDevice[]> {
  // What the user names may be a link (/dev/disk/by-id/…); what is found below a directory counts only itself.
  const info = await stat(source).catch(() => null);
  if (info === null) return [];
  if (info.isCharacterDevice() || info.isBlockDevice()) return [device(target, info, permissions)];
  if (!info.isDirectory()) return [];
  const entries = (await readdir(source)).filter((name) => !skipped.has(join(source, name)));
  const found = await Promise.all(
    entries.map(async (name) => {
      const path = join(source, name);
      const entry = await lstat(path).catch(() => null);
      return entry === null || entry.isSymbolicLink() ? [] : await walk(path, join(target, name), permissions);
    }),
  );
  return found.flat();
}

function device(path: string, info: { readonly rdev: number; readonly mode: number; readonly uid: number; readonly gid: number; isBlockDevice(): boolean }, permissions: string): HostDevice {
  return {
    path,
    type: info.isBlockDevice() ? 'b' : 'c',
    ...deviceNumbers(info.rdev),
    mode: info.mode & 0o7777,
    uid: info.uid,
    gid: info.gid,
    permissions,
  };
}

/** glibc's dev_t: the minor is split around the major. */
export function deviceNumbers(device: number): { readonly major: number; readonly minor: number } {
  const rdev = BigInt(device);
  return { major: Number(((rdev >> 8n) & 0xfffn) | ((rdev >> 32n) & ~0xfffn)), minor: Number((rdev & 0xffn) | ((rdev >> 12n) & ~0xffn & 0xffffffffn)) };
}
