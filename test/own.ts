/**
 * Names of what tests put on the machine. They end in the process's id, so that runs at once do not meet, and so that the next run
 * knows what a killed one left.
 */
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync } from 'node:fs';
import { listMounts, unmountAll } from '../lib/linux/mount.ts';

/** `t-pods` → `t-pods-4711`: of this process. */
export function own(base: string): string {
  return `${base}-${process.pid}`;
}

/**
 * What of this base has no owner any more, by the entries of a directory: names that dead processes gave themselves by `own`, and this
 * process's own of an earlier turn. `before` and `after` are what stands around the name there.
 */
export function abandoned(directory: string, base: string, before = '', after = ''): readonly string[] {
  return owners(directory, base, before, after).filter((pid) => pid === process.pid || !existsSync(`/proc/${pid}`)).map((pid) => `${base}-${pid}`);
}

/** Whether another process that lives has one of this base there. */
export function othersHave(directory: string, base: string, before = '', after = ''): boolean {
  return owners(directory, base, before, after).some((pid) => pid !== process.pid && existsSync(`/proc/${pid}`));
}

function owners(directory: string, base: string, before: string, after: string): readonly number[] {
  if (!existsSync(directory)) return [];
  return readdirSync(directory).flatMap((entry) => {
    if (!entry.startsWith(`${before}${base}-`) || !entry.endsWith(after)) return [];
    const pid = entry.slice(before.length + base.length + 1, entry.length - after.length);
    return /^\d+$/.test(pid) ? [Number(pid)] : [];
  });
}

/** Everything that is mounted in a directory, the latest first. */
export function unmountBelow(directory: string): void {
  for (const { target } of listMounts().filter((mount) => mount.target.startsWith(`${directory}/`)).toReversed()) unmountAll(target);
}

export interface OwnNetns extends Disposable {
  readonly name: string;
  readonly path: string;
}

const pins = '/run/netns';

/** A network namespace as `ip netns` has them, with loopback up. */
export function ownNetns(base: string): OwnNetns {
  for (const name of abandoned(pins, base)) execFileSync('ip', ['netns', 'del', name]);
  mkdirSync(pins, { recursive: true });
  const name = own(base);
  execFileSync('ip', ['netns', 'add', name]);
  execFileSync('ip', ['-n', name, 'link', 'set', 'lo', 'up']);
  return { name, path: `${pins}/${name}`, [Symbol.dispose]: () => void execFileSync('ip', ['netns', 'del', name]) };
}
