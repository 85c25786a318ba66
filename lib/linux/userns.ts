/**
 * User namespaces, pinned like network namespaces (netns.ts). Node has threads, and a process with threads cannot enter one: a
 * namespace is born in a helper, `unshare` or `nsenter` of util-linux, that is gone again when it is pinned.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import { LinuxError } from './libc.ts';
import { bindMount, unmountAll } from './mount.ts';
import { isNetns } from './netns.ts';

/** A new one in which ids from 0 to `size` are `start` and so on outside, pinned at `path`. One that is pinned there stays. */
export async function createUserns(path: string, start: number, size: number): Promise<void> {
  if (isUserns(path)) return;
  await inHelper(['unshare', '--user', '--', 'cat'], (pid) => {
    const mapping = `0 ${start} ${size}\n`;
    fs.writeFileSync(`/proc/${pid}/uid_map`, mapping);
    fs.writeFileSync(`/proc/${pid}/gid_map`, mapping);
    pin(`/proc/${pid}/ns/user`, path);
  });
}

/** A network namespace that belongs to the pinned user namespace, whose root may then do there what root may. Pinned at `path`. */
export async function createNetnsOf(users: string, path: string): Promise<void> {
  if (isNetns(path)) return;
  await inHelper(['nsenter', `--user=${users}`, '--', 'unshare', '--net', '--', 'cat'], (pid) => pin(`/proc/${pid}/ns/net`, path));
}

/** Whether a namespace is pinned at `path`: neither absent nor a plain file. */
export function isUserns(path: string): boolean {
  return isNetns(path);
}

/** Unpins. Succeeds when there is nothing. */
export function removeUserns(path: string): void {
  unmountAll(path);
  fs.rmSync(path, { force: true });
}

function pin(namespace: string, path: string): void {
  fs.closeSync(fs.openSync(path, 'a', 0o444));
  bindMount(namespace, path);
}

/** `argv` ends in `cat`: what it says back it says in its new namespace, and it lives until its input ends, also when this process is killed. */
async function inHelper(argv: readonly [string, ...string[]], use: (pid: number) => void): Promise<void> {
  const [program, ...args] = argv;
  const child = spawn(program, args, { stdio: ['pipe', 'pipe', 'pipe'] });
  let said = '';
  child.stderr.on('data', (chunk: Buffer) => { said += chunk.toString(); });
  child.stdin.on('error', () => {});
  const over = new Promise<void>((resolve) => child.once('close', () => resolve()));
  const failed = once(child, 'error').then(([error]) => Promise.reject(error as Error));
  failed.catch(() => {});
  try {
    child.stdin.write('\n');
    const early = over.then(() => Promise.reject(new LinuxError(program, 1, said.trim() || 'it ended early')));
    early.catch(() => {});
    await Promise.race([once(child.stdout, 'data'), failed, early]);
    use(child.pid ?? 0);
  } finally {
    child.kill('SIGKILL');
    if (child.pid !== undefined) await over;
  }
}
