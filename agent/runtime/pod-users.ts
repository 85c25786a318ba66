/**
 * User namespaces of pods, pinned at `<runDir>/userns/<pod>.<first id>`: the names say which ids are given out. A pod's network
 * namespace and its containers with `userns: private` belong to it.
 */
import { mkdir, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { createUserns, isUserns, removeUserns } from '../../lib/linux/userns.ts';
import { hasErrno } from '../../lib/linux/libc.ts';
import { TsorchError } from '../../model/errors.ts';
import { pathSegment } from './ids.ts';
import { allocateIds, idsPerPod } from './spec/user-ids.ts';

export interface Users {
  /** Of the pin. */
  readonly path: string;
  /** The first of its ids outside; `idsPerPod` follow. */
  readonly start: number;
}

export class PodUsers {
  readonly #directory: string;
  readonly #users = new Map<string, Promise<Users>>();
  readonly #taken = new Set<number>();

  private constructor(directory: string) {
    this.#directory = directory;
  }

  /** Takes up what an earlier agent pinned; what is left of an earlier boot is removed. */
  static async open(runDir: string): Promise<PodUsers> {
    const directory = join(runDir, 'userns');
    const users = new PodUsers(directory);
    for (const name of await namesIn(directory)) {
      const [, pod, start] = /^(.+)\.(\d+)$/.exec(name) ?? [];
      const path = join(directory, name);
      if (pod !== undefined && isUserns(path)) users.#keep(pod, Promise.resolve({ path, start: Number(start) }), Number(start));
      else removeUserns(path);
    }
    return users;
  }

  /** The pod's; made when there is none. `unsupported` when this host cannot. */
  of(podId: string): Promise<Users> {
    const name = pathSegment(podId);
    const known = this.#users.get(name);
    if (known) return known;
    const start = allocateIds(podId, this.#taken);
    const path = join(this.#directory, `${name}.${start}`);
    const making = make(path, start);
    this.#keep(name, making, start);
    making.catch(() => this.#forget(name, start));
    return making;
  }

  /** When no container of the pod is left. Succeeds when there is nothing. */
  async release(podId: string): Promise<void> {
    const name = pathSegment(podId);
    const users = await this.#users.get(name)?.catch(() => undefined);
    if (!users) return;
    removeUserns(users.path);
    this.#forget(name, users.start);
  }

  #keep(name: string, users: Promise<Users>, start: number): void {
    this.#users.set(name, users);
    this.#taken.add(start);
  }

  #forget(name: string, start: number): void {
    this.#users.delete(name);
    this.#taken.delete(start);
  }
}

async function make(path: string, start: number): Promise<Users> {
  try {
    await mkdir(join(path, '..'), { recursive: true, mode: 0o700 });
    await createUserns(path, start, idsPerPod);
    return { path, start };
  } catch (cause) {
    throw new TsorchError('unsupported', `userns_mode: private: this host makes no user namespace: ${(cause as Error).message}`, { cause, hint: 'see user.max_user_namespaces, or leave userns_mode out' });
  }
}

async function namesIn(directory: string): Promise<readonly string[]> {
  return await readdir(directory).catch((error: unknown) => {
    if (hasErrno(error, 'ENOENT')) return [];
    throw error;
  });
}
