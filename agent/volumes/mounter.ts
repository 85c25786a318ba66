/** The mounts that volumes and secrets need, as a port: tests put a recorder here. */
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { listMounts, mount, mountFlag, unmountAll } from '../../lib/linux/mount.ts';
import { TsorchError } from '../../model/errors.ts';

export interface Mounter {
  isMounted(target: string): boolean;
  /** A small file system in memory, for root alone, never swapped out where the kernel can promise that. */
  secretTmpfs(target: string): void;
  /** What `mount -t type -o options device target` does, helpers (`mount.nfs`) included. */
  mount(type: string, options: string, device: string, target: string): Promise<void>;
  /** All mounts on `target`; none is fine. */
  unmount(target: string): void;
}

export const linuxMounter: Mounter = {
  isMounted: (target) => listMounts().some((m) => m.target === target),
  secretTmpfs(target) {
    const flags = mountFlag.noSuid | mountFlag.noDevices | mountFlag.noExecute;
    try {
      mount('tmpfs', target, 'tmpfs', flags, 'mode=0700,size=64m,noswap');
    } catch {
      // noswap came with Linux 6.4.
      mount('tmpfs', target, 'tmpfs', flags, 'mode=0700,size=64m');
    }
  },
  async mount(type, options, device, target) {
    try {
      await promisify(execFile)('mount', ['-t', type, ...(options ? ['-o', options] : []), '--', device, target], { timeout: 60_000 });
    } catch (cause) {
      const said = (cause as { stderr?: string }).stderr?.trim();
      throw new TsorchError('unavailable', `mounting ${device} (${type}) failed: ${said || (cause as Error).message}`, { cause });
    }
  },
  unmount: (target) => unmountAll(target),
};
