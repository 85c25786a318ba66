/** Mounts of this process's mount namespace. */
import fs from 'node:fs';
import { check, hasErrno, LinuxError, lastErrno, libc } from './libc.ts';
import { constants } from 'node:os';

export const mountFlag = {
  readOnly: 1, noSuid: 2, noDevices: 4, noExecute: 8, remount: 32, bind: 4096, move: 8192, recursive: 16384,
  unbindable: 1 << 17, private: 1 << 18, slave: 1 << 19, shared: 1 << 20,
} as const;
const detachFlag = 2;

/** Mounts a file system: `mount('tmpfs', '/run/x', 'tmpfs', mountFlag.noSuid, 'mode=0700')`. */
export function mount(source: string, target: string, type: string, flags = 0, data: string | null = null): void {
  check(libc.mount(source, target, type, flags, data), `mount ${type} on ${target}`);
}

/** Makes `target` show what `source` is; with `recursive` also what is mounted below it. */
export function bindMount(source: string, target: string, options: { readonly recursive?: boolean; readonly readOnly?: boolean } = {}): void {
  const flags = mountFlag.bind | (options.recursive ? mountFlag.recursive : 0);
  check(libc.mount(source, target, null, flags, null), `bind ${source} on ${target}`);
  // The kernel ignores read-only in the first call.
  if (options.readOnly) check(libc.mount(null, target, null, mountFlag.bind | mountFlag.remount | mountFlag.readOnly, null), `remount ${target}`);
}

/** Whether mounts made below `target` appear in copies of it (other mount namespaces), and theirs here. */
export function setPropagation(target: string, propagation: 'private' | 'slave' | 'shared' | 'unbindable', recursive = false): void {
  check(libc.mount(null, target, null, mountFlag[propagation] | (recursive ? mountFlag.recursive : 0), null), `make ${target} ${propagation}`);
}

/**
 * Takes the topmost mount off `target`, at once even when it is in use (the kernel lets go when the last user does). Returns false
 * when nothing is mounted there.
 */
export function unmount(target: string): boolean {
  if (libc.umount2(target, detachFlag) === 0) return true;
  const errno = lastErrno();
  if (errno === constants.errno.EINVAL || errno === constants.errno.ENOENT) return false;
  throw new LinuxError(`unmount ${target}`, errno);
}

/** Takes all the mounts off `target`. */
export function unmountAll(target: string): void {
  while (unmount(target));
}

export interface Mount {
  readonly id: number;
  readonly parent: number;
  /** Which part of the file system is shown: `/` for all of it. */
  readonly root: string;
  readonly target: string;
  readonly options: readonly string[];
  readonly propagation: 'private' | 'slave' | 'shared' | 'unbindable';
  readonly type: string;
  readonly source: string;
}

/** In order of mounting; of several on one target the last is what one sees. */
export function listMounts(): readonly Mount[] {
  return parseMountinfo(fs.readFileSync('/proc/thread-self/mountinfo', 'utf8'));
}

/** Whether `target` itself is a mount point. */
export function isMountPoint(target: string): boolean {
  try {
    const path = fs.realpathSync(target);
    return listMounts().some((m) => m.target === path);
  } catch (error) {
    if (hasErrno(error, 'ENOENT')) return false;
    throw error;
  }
}

/** Reads the format of /proc/pid/mountinfo: `36 35 98:0 /root /target rw,noatime shared:1 - ext3 /dev/root rw,errors=continue`. */
export function parseMountinfo(text: string): readonly Mount[] {
  const mounts: Mount[] = [];
  for (const line of text.split('\n')) {
    const fields = line.split(' ');
    const dash = fields.indexOf('-', 6);
    if (dash === -1) continue;
    const [id, parent, , root, target, options] = fields as [string, string, string, string, string, string];
    mounts.push({
      id: Number(id),
      parent: Number(parent),
      root: unescape(root),
      target: unescape(target),
      options: options.split(','),
      propagation: propagationOf(fields.slice(6, dash)),
      type: fields[dash + 1] ?? '',
      source: unescape(fields[dash + 2] ?? ''),
    });
  }
  return mounts;
}

function propagationOf(tags: readonly string[]): Mount['propagation'] {
  if (tags.some((t) => t.startsWith('shared:'))) return 'shared';
  if (tags.some((t) => t.startsWith('master:'))) return 'slave';
  return tags.includes('unbindable') ? 'unbindable' : 'private';
}

/** Blanks, tabs, line ends and backslashes stand there in octal. */
function unescape(text: string): string {
  return text.replaceAll(/\\([0-7]{3})/g, (_, octal: string) => String.fromCharCode(Number.parseInt(octal, 8)));
}
