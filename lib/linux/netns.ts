/**
 * Network namespaces. A namespace belongs to a thread, so the main thread can step into another for the length of a
 * synchronous function, and must be back before anything else runs.
 *
 * A pin is a bind mount of the namespace on a file; it keeps the namespace alive without a process. Copies of the pin in other
 * mount namespaces (containers, a separately started containerd) do not keep it alive: unlinking the file unmounts them there.
 */
import fs from 'node:fs';
import type { KoffiFunc } from 'koffi';
import { check, cloneNewNet, hasErrno, libc } from './libc.ts';
import { bindMount, unmountAll } from './mount.ts';

const threadNetns = '/proc/thread-self/ns/net';
const nsfsMagic = 0x6e736673;

let home: number | undefined;
let current: number | undefined;

/** The namespace this thread began in: a descriptor that stays open. */
export function homeNetns(): number {
  if (home === undefined) {
    home = fs.openSync(threadNetns, 'r');
    current = home;
    warmUp();
  }
  return home;
}

type Synchronous<T> = T extends PromiseLike<unknown> ? never : unknown;

/**
 * Calls `run` inside the namespace and returns what it returns. Whatever it opens (sockets) stays there; `/proc/sys/net` and
 * child processes started by it are the namespace's too. Nothing asynchronous may begin inside, so promises are refused.
 * Ends the process when the way back is barred: everything after would happen in the wrong namespace.
 */
export function inNetns<T>(fd: number, run: () => T & Synchronous<T>): T {
  homeNetns();
  const before = current as number;
  check(libc.setns(fd, cloneNewNet), 'setns');
  current = fd;
  let result: T;
  try {
    result = run();
  } finally {
    returnTo(before);
  }
  if (isThenable(result)) throw new TypeError('inNetns: the function returned a promise; what runs in a namespace must be synchronous');
  return result;
}

/**
 * A new namespace pinned at `path`; returns an open descriptor of it, the caller's to close. Throws EEXIST when a namespace
 * is pinned there; a file that is none (left by a process killed half-way, or by a reboot) is used.
 */
export function createNetns(path: string): number {
  homeNetns();
  const before = current as number;
  if (isNetns(path)) throw Object.assign(new Error(`a network namespace is pinned at ${path} already`), { code: 'EEXIST' });
  fs.closeSync(fs.openSync(path, 'a', 0o444));
  check(libc.unshare(cloneNewNet), 'unshare');
  try {
    bindMount(threadNetns, path);
    return fs.openSync(threadNetns, fs.constants.O_RDONLY);
  } finally {
    returnTo(before);
  }
}

/** Opens a pinned namespace; undefined when there is none at `path`. */
export function openNetns(path: string): number | undefined {
  return isNetns(path) ? fs.openSync(path, 'r') : undefined;
}

/** Whether a namespace is pinned at `path`: neither absent nor a plain file. */
export function isNetns(path: string): boolean {
  try {
    return fs.statfsSync(path).type === nsfsMagic;
  } catch (error) {
    if (hasErrno(error, 'ENOENT')) return false;
    throw error;
  }
}

/**
 * Unpins. The kernel takes the namespace down, with all its links, when the last process and socket in it are gone too; it does
 * so in the background. Succeeds when there is nothing.
 */
export function removeNetns(path: string): void {
  unmountAll(path);
  fs.rmSync(path, { force: true });
}

function returnTo(fd: number): void {
  if (libc.setns(fd, cloneNewNet) < 0) {
    fs.writeSync(2, 'cannot return to the network namespace of the process: giving up\n');
    process.abort();
  }
  current = fd;
}

/**
 * Threads are born in the namespace of the thread that starts them and stay there. The pools that Node and koffi start at
 * first use are therefore started before any namespace is entered; both start their threads at once.
 */
function warmUp(): void {
  fs.stat('/', () => {});
  (libc.gettid as unknown as KoffiFunc<() => number>).async(() => {});
}

function isThenable(value: unknown): boolean {
  return typeof value === 'object' && value !== null && 'then' in value && typeof value.then === 'function';
}
