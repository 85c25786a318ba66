/**
 * Which OCI runtime makes the containers: crun when it is there, because it starts them in half the time, else runc.
 *
 * On a hybrid host crun refuses to work while any controller is still on cgroup v2. `claimControllers` mounts such
 * controllers on v1, under the source name `tsorch`, by which any of our agents can tell them later and the last one to
 * leave unmounts them.
 */
import { access, constants, mkdir, readdir, readFile, rmdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { Clock } from '../../lib/clock.ts';
import { mount, unmount } from '../../lib/linux/mount.ts';
import type { Log } from '../../lib/log.ts';
import { describeError, TsorchError } from '../../model/errors.ts';
import { type CgroupLayout, readCgroupLayout } from './cgroup.ts';
import { parseMounts } from './mountinfo.ts';

const mountSource = 'tsorch';
export const runcShim = 'io.containerd.runc.v2';

/** The shim and, for runc's, the binary it runs. */
export interface OciRuntime {
  readonly shim: string;
  readonly binary: string | null;
}

export interface RuntimeChoice {
  /** `crun`, `runc` or a path; absent: the better one that works. */
  readonly prefer?: string;
  readonly log: Log;
  readonly clock: Clock;
}

/** The host's default. Throws `unsupported` when there is none. */
export async function chooseRuntime(choice: RuntimeChoice): Promise<OciRuntime> {
  if (choice.prefer !== undefined) {
    const binary = await findBinary(choice.prefer);
    if (binary === null) throw new TsorchError('unsupported', `there is no OCI runtime ${choice.prefer} on this host`, { hint: `install it, or leave the option out` });
    if (binary.endsWith('crun')) await claimControllers(await readCgroupLayout(), choice.clock);
    return { shim: runcShim, binary };
  }
  const [crun, runc] = await Promise.all([findBinary('crun'), findBinary('runc')]);
  if (crun !== null) {
    try {
      await claimControllers(await readCgroupLayout(), choice.clock);
      return { shim: runcShim, binary: crun };
    } catch (error) {
      if (runc === null) throw error;
      choice.log.warn('crun cannot work with the cgroups of this host, using runc', { error });
    }
  }
  if (runc === null) throw new TsorchError('unsupported', 'this host has no OCI runtime', { hint: 'install the package "crun" or "runc"' });
  return { shim: runcShim, binary: runc };
}

/** What people call runtimes that have shims of their own. */
const shims: Readonly<Record<string, string>> = {
  runsc: 'io.containerd.runsc.v1', gvisor: 'io.containerd.runsc.v1', kata: 'io.containerd.kata.v2', 'kata-runtime': 'io.containerd.kata.v2', 'kata-qemu': 'io.containerd.kata-qemu.v2',
  wasmtime: 'io.containerd.wasmtime.v1', wasmedge: 'io.containerd.wasmedge.v1', spin: 'io.containerd.spin.v2',
};

/** A container's own `runtime:`. Throws `unsupported` for one that is not here. */
export async function namedRuntime(name: string): Promise<OciRuntime> {
  const shim = shims[name] ?? name;
  if (/^io\.containerd\.[a-z0-9.-]+$/.test(shim)) return { shim: await presentShim(shim, name), binary: null };
  const binary = await findBinary(name);
  if (binary === null) throw new TsorchError('unsupported', `runtime ${JSON.stringify(name)} is not on this host`, { hint: 'known are crun, runc, the path of an OCI runtime, runsc, kata, and the name of a containerd shim (io.containerd.….v1)' });
  return { shim: runcShim, binary };
}

/** containerd looks for `containerd-shim-kata-v2` when it is told io.containerd.kata.v2, and says little when it is not there. */
async function presentShim(shim: string, name: string): Promise<string> {
  const parts = shim.split('.');
  const program = `containerd-shim-${parts.at(-2)}-${parts.at(-1)}`;
  if ((await findBinary(program)) === null) throw new TsorchError('unsupported', `runtime ${JSON.stringify(name)} is not on this host: there is no ${program}`, { hint: 'install it where containerd finds it, such as /usr/local/bin, or place the service on hosts that have it' });
  return shim;
}

async function findBinary(name: string): Promise<string | null> {
  const candidates = name.startsWith('/')
    ? [name]
    : /^[\w.-]+$/.test(name)
      ? ['/usr/local/sbin', '/usr/local/bin', '/usr/sbin', '/usr/bin', '/sbin', '/bin'].map((directory) => join(directory, name))
      : [];
  for (const path of candidates) {
    if (await access(path, constants.X_OK).then(() => true, () => false)) return path;
  }
  return null;
}

/**
 * Leaves cgroup v2 without controllers on a hybrid host. Safe when several agents do it at once: the directory's maker
 * mounts, the others wait for it. Throws `unsupported` when a controller cannot be moved.
 */
export async function claimControllers(layout: CgroupLayout, clock: Clock): Promise<void> {
  if (layout.mode !== 'hybrid' || layout.v2 === null) return;
  const base = parentOf(layout.v1[0]?.directory ?? '/sys/fs/cgroup/cpu');
  for (const controller of await controllersOn(layout.v2)) {
    const directory = join(base, controller);
    const mine = await mkdir(directory).then(() => true, () => false);
    const until = clock.monotonic() + (mine ? 0 : 1000);
    while (clock.monotonic() < until && (await controllersOn(layout.v2)).includes(controller)) await clock.sleep(20);
    if (!(await controllersOn(layout.v2)).includes(controller)) continue;
    try {
      mount(mountSource, directory, 'cgroup', 0, controller);
    } catch (error) {
      if (mine) await rmdir(directory).catch(() => {});
      throw new TsorchError('unsupported', `cgroup controller ${controller} is on v2 and cannot be mounted on v1: ${describeError(error)}`, { cause: error });
    }
  }
}

/**
 * Keeps what `claimControllers` mounted: a directory of this host's prefix in each says that somebody uses it, also while no
 * container is there. (Another host of this machine may have unmounted it just before.)
 */
export async function holdControllers(prefix: string, clock: Clock): Promise<void> {
  for (;;) {
    const mounts = parseMounts(await readFile('/proc/self/mountinfo', 'utf8')).filter((m) => m.type === 'cgroup' && m.source === mountSource);
    if (mounts.length === 0) return;
    for (const { target } of mounts) await mkdir(join(target, prefix), { recursive: true });
    const after = parseMounts(await readFile('/proc/self/mountinfo', 'utf8'));
    if (mounts.every(({ target }) => after.some((m) => m.type === 'cgroup' && m.target === target))) return;
    await claimControllers(await readCgroupLayout(), clock);
  }
}

/** Undoes `claimControllers` where no agent uses it any more. */
export async function releaseControllers(log: Log): Promise<void> {
  const mounts = parseMounts(await readFile('/proc/self/mountinfo', 'utf8'));
  for (const { target } of mounts.filter((m) => m.type === 'cgroup' && m.source === mountSource)) {
    const entries = await readdir(target, { withFileTypes: true }).catch(() => []);
    if (entries.some((entry) => entry.isDirectory())) continue;
    try {
      unmount(target);
      await rmdir(target);
    } catch (error) {
      log.warn('a cgroup mount of ours stays', { target, error });
    }
  }
}

async function controllersOn(v2: string): Promise<readonly string[]> {
  const text = await readFile(join(v2, 'cgroup.controllers'), 'utf8').catch(() => '');
  return text.split(/\s+/).filter((name) => name !== '');
}

function parentOf(path: string): string {
  return path.slice(0, path.lastIndexOf('/'));
}
