/** The mounts that volumes and secrets need, as a port: tests put a recorder here. */
import { execFile } from 'node:child_process';
import fs from 'node:fs';
import { bindMount, listMounts, mount, mountFlag, setPropagation, unmountAll, type Mount } from '../../lib/linux/mount.ts';
import { hasErrno } from '../../lib/linux/libc.ts';
import { TsorchError } from '../../model/errors.ts';
import { explainMount, type MountPlan } from './local-mount.ts';

export interface Mounter {
  isMounted(target: string): boolean;
  /** Mount points at `directory` and below it. */
  mountsBelow(directory: string): readonly string[];
  /** The mount that `path` is on: its mount point and how mounts below it spread. */
  mountOf(path: string): { readonly target: string; readonly propagation: Mount['propagation'] } | undefined;
  /** A small file system in memory, for root alone, never swapped out where the kernel can promise that. */
  secretTmpfs(target: string): void;
  /** A file system in memory for everybody; `size` in bytes, half of the memory unless told. */
  tmpfs(target: string, size: number | undefined): void;
  /** Shows `source`, and what is mounted below it, at `target`. */
  bind(source: string, target: string): void;
  /** Mounts what a volume's options say. Throws `unavailable` or `timeout` with the reason. */
  mount(plan: MountPlan, target: string): Promise<void>;
  /** Whether what is at `path` answers: asked by a child, since a file system that is dead or far away may hold the asker for ever. */
  answers(path: string): Promise<boolean>;
  /** All mounts on `target`; none is fine. */
  unmount(target: string): void;
}

const mountMs = 60_000;
const answerMs = 5_000;

export const linuxMounter: Mounter = {
  isMounted: (target) => listMounts().some((m) => m.target === target),
  mountsBelow: (directory) => listMounts().map((m) => m.target).filter((target) => target === directory || target.startsWith(`${directory}/`)),
  mountOf(path) {
    const covering = listMounts().filter(({ target }) => target === '/' || target === path || path.startsWith(`${target}/`));
    return covering.reduce<Mount | undefined>((best, each) => (best === undefined || each.target.length >= best.target.length ? each : best), undefined);
  },
  secretTmpfs(target) {
    const flags = mountFlag.noSuid | mountFlag.noDevices | mountFlag.noExecute;
    try {
      mount('tmpfs', target, 'tmpfs', flags, 'mode=0700,size=64m,noswap');
    } catch (error) {
      if (!hasErrno(error, 'EINVAL')) throw error;
      // noswap came with Linux 6.4.
      mount('tmpfs', target, 'tmpfs', flags, 'mode=0700,size=64m');
    }
  },
  tmpfs(target, size) {
    mount('tmpfs', target, 'tmpfs', mountFlag.noSuid | mountFlag.noDevices, `mode=0777${size === undefined ? '' : `,size=${size}`}`);
  },
  bind(source, target) {
    bindMount(source, target, { recursive: true });
    // What is mounted below later is the container's own business.
    setPropagation(target, 'private', true);
  },
  async mount(plan, target) {
    // A server that does not answer holds the caller of mount(2) for minutes: that is a child, not this process.
    const own = /^(nfs4?|cifs|smb3)$/.test(plan.type) || !fs.existsSync(`/sbin/mount.${plan.type}`);
    const args = [...(own ? ['--internal-only'] : []), '-t', plan.type, ...(plan.options === '' ? [] : ['-o', plan.options]), '--', plan.device, target];
    const failure = await run('mount', args, mountMs);
    if (failure) throw explainMount(plan, { ...failure, device: !plan.device.startsWith('/') || fs.existsSync(plan.device), type: !own || isKnownType(plan.type) });
  },
  answers: async (path) => (await run('stat', ['-t', '--', path], answerMs)) === null,
  unmount: (target) => unmountAll(target),
};

/** After a failed mount: the kernel has loaded by then what it can. */
function isKnownType(type: string): boolean {
  return type === 'none' || fs.readFileSync('/proc/filesystems', 'utf8').split('\n').some((line) => line.split('\t')[1] === type);
}

/** Null when it succeeded. One that cannot even be killed is left to itself: it hangs in the kernel. */
function run(command: string, args: readonly string[], timeoutMs: number): Promise<{ readonly said: string; readonly timedOut: boolean } | null> {
  return new Promise((resolve, reject) => {
    const child = execFile(command, args, { env: { ...process.env, LC_ALL: 'C' } }, (error, stdout, stderr) => {
      clearTimeout(timer);
      if (error && (error as NodeJS.ErrnoException).code === 'ENOENT') reject(new TsorchError('unsupported', `this node has no ${command} command`, { hint: 'apt-get install mount' }));
      else resolve(error ? { said: `${stderr}${stdout}`, timedOut: false } : null);
    });
    const timer = setTimeout(() => {
      child.kill('SIGKILL');
      child.unref();
      resolve({ said: '', timedOut: true });
    }, timeoutMs);
  });
}
