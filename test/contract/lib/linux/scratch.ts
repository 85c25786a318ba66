/** Directories and network namespaces for tests. What a killed run left is swept by the next. */
import fs from 'node:fs';
import path from 'node:path';
import { removeNetns, createNetns } from '../../../../lib/linux/netns.ts';
import { listMounts, unmountAll } from '../../../../lib/linux/mount.ts';

const base = '/tmp';
const prefix = 't-net-';

/** A directory of our own, `/tmp/t-net-<pid>-<name>`. */
export function scratchDir(name: string): string {
  sweep();
  const dir = path.join(base, `${prefix}${process.pid}-${name}`);
  fs.mkdirSync(dir, { recursive: true });
  return dir;
}

export function removeScratchDir(dir: string): void {
  for (const mount of listMounts().toReversed()) if (mount.target.startsWith(`${dir}/`)) unmountAll(mount.target);
  fs.rmSync(dir, { recursive: true, force: true });
}

/** A namespace pinned in `dir`, closed and unpinned by `using`. */
export function scratchNetns(dir: string, name: string): Disposable & { readonly path: string; readonly fd: number } {
  const pin = path.join(dir, name);
  const fd = createNetns(pin);
  return {
    path: pin,
    fd,
    [Symbol.dispose]() {
      fs.closeSync(fd);
      removeNetns(pin);
    },
  };
}

function sweep(): void {
  for (const name of fs.readdirSync(base)) {
    const pid = Number(new RegExp(`^${prefix}(\\d+)-`).exec(name)?.[1]);
    if (pid > 0 && !fs.existsSync(`/proc/${pid}`)) removeScratchDir(path.join(base, name));
  }
}
