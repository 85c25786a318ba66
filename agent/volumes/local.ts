/**
 * The `local` driver: a directory of this host, or what its options mount on one. `_data` appears all at once, so a volume that is there
 * is complete; only what is copied into a mounted file system, or into a volume that somebody has already, is marked while it is under way.
 */
import { lookup as resolve } from 'node:dns/promises';
import fs from 'node:fs/promises';
import path from 'node:path';
import { describeError, TsorchError } from '../../model/errors.ts';
import { isMissing, syncDirectory } from '../state.ts';
import { isEmpty } from './fill.ts';
import { mountPlan, withAddress } from './local-mount.ts';
import type { Mounter } from './mounter.ts';
import { dataOf } from './paths.ts';
import { beginQuota, changeQuota, sizeLimit } from './quota.ts';
import { readVolumeRecord, writeVolumeRecord } from './record.ts';
import { removeTree } from './remove-tree.ts';

export interface LocalOptions {
  readonly mounter: Mounter;
  readonly now: () => number;
}

/** What to fill a fresh volume with; null leaves it empty. */
export type Filling = ((directory: string) => Promise<void>) | null;

export class LocalDriver {
  readonly #mounter: Mounter;
  readonly #now: () => number;

  constructor(options: LocalOptions) {
    this.#mounter = options.mounter;
    this.#now = options.now;
  }

  /**
   * The volume in `directory`, made and mounted as needed. `shared`: a pod has it already. `labels` for anonymous ones. Throws what
   * mounting and copying throw: `unavailable`, `timeout`, `exhausted` when the disk is full.
   */
  async open(name: string, directory: string, options: Readonly<Record<string, string>>, filling: Filling, state: { readonly shared: boolean; readonly labels?: Readonly<Record<string, string>> }): Promise<string> {
    const data = dataOf(directory);
    const plan = mountPlan(name, options);
    try {
      if (plan) await this.#mount(name, directory, options, state.shared);
      else if (await exists(data)) await this.#resize(name, directory, options);
      else await this.#make(directory, options, filling, state.labels);
      // A mounted file system may be another one each time, and one that hangs is not to be looked into.
      if (plan && !(await this.#mounter.answers(data))) throw new TsorchError('unavailable', `volume ${name}: ${plan.device} (${plan.type}) is mounted but does not answer`, { hint: 'check that its server can be reached from this node' });
      if (filling) await this.#fillEmpty(directory, filling, plan !== null);
      return data;
    } catch (error) {
      throw withoutRoom(error, name);
    }
  }

  /** Makes the directory only, for a volume that nobody mounts yet. */
  async create(name: string, directory: string, options: Readonly<Record<string, string>>): Promise<void> {
    const plan = mountPlan(name, options);
    if (!plan && (await exists(dataOf(directory)))) return this.#resize(name, directory, options);
    if (!plan) return this.#make(directory, options, null, undefined);
    await fs.mkdir(dataOf(directory), { recursive: true, mode: 0o755 });
    if (!(await exists(path.join(directory, 'volume.json')))) await writeVolumeRecord(directory, { driver: 'local', options, createdAt: this.#now() }, true);
  }

  /** The size may be another one than when it was made. */
  async #resize(name: string, directory: string, options: Readonly<Record<string, string>>): Promise<void> {
    const record = await readVolumeRecord(directory);
    const [before, now] = [sizeLimit(record.options), sizeLimit(options)];
    if (before === now) return;
    // What was made without a limit belongs to no project, and what is in it cannot be counted any more.
    if (before === null) throw new TsorchError('unsupported', `volume ${name} was made without a size and cannot be given one`, { hint: 'leave size out, or copy its data to a new volume' });
    changeQuota(name, directory, dataOf(directory), now ?? 0);
    await writeVolumeRecord(directory, { ...record, options }, true);
  }

  /** The last pod has left. */
  async close(directory: string): Promise<void> {
    const { options } = await readVolumeRecord(directory);
    if (mountPlan('', options)) this.#mounter.unmount(dataOf(directory));
  }

  /** Takes a mount off, and says whether what is left may be deleted: `conflict` when something that is not ours is mounted there. */
  async remove(directory: string, trash: string): Promise<void> {
    await this.close(directory);
    const mounts = this.#mounter.mountsBelow(directory);
    if (mounts.length > 0) throw new TsorchError('conflict', `${mounts[0]} is mounted there by somebody else`, { hint: 'unmount it on that node' });
    try {
      await fs.rename(directory, trash);
    } catch (error) {
      if (isMissing(error)) return;
      throw error;
    }
    await syncDirectory(path.dirname(directory));
    await removeTree(trash, this.#mounter);
  }

  async #make(directory: string, options: Readonly<Record<string, string>>, filling: Filling, labels: Readonly<Record<string, string>> | undefined): Promise<void> {
    const fresh = path.join(directory, '_data.new');
    await removeTree(fresh, this.#mounter);
    await fs.mkdir(fresh, { recursive: true, mode: 0o755 });
    try {
      const limit = sizeLimit(options);
      if (limit !== null) beginQuota(path.basename(directory), directory, fresh, limit);
      await filling?.(fresh);
      await writeVolumeRecord(directory, { driver: 'local', options, createdAt: this.#now(), ...(labels === undefined ? {} : { labels }), ...(filling ? { filled: true } : {}) });
      await fs.rename(fresh, dataOf(directory));
      await syncDirectory(directory);
    } catch (error) {
      // Half a copy on a full disk would keep it full.
      await removeTree(fresh, this.#mounter).catch(() => {});
      throw error;
    }
  }

  async #mount(name: string, directory: string, options: Readonly<Record<string, string>>, shared: boolean): Promise<void> {
    const data = dataOf(directory);
    const record = await readVolumeRecord(directory);
    const plan = mountPlan(name, options);
    if (!plan) return;
    if (this.#mounter.isMounted(data)) {
      if (sameOptions(record.options, options)) return;
      if (shared) throw new TsorchError('conflict', `volume ${name} is mounted here with other options`, { hint: 'stop the pods that have it first' });
      this.#mounter.unmount(data);
    }
    await fs.mkdir(data, { recursive: true, mode: 0o755 });
    await writeVolumeRecord(directory, { ...record, driver: 'local', options, createdAt: record.createdAt || this.#now() });
    await this.#mounter.mount(await withAddress(plan, (host) => addressOf(name, host)), data);
  }

  /** Content goes into what is there but holds nothing, as with Docker, and anew into what was being filled when the agent died. */
  async #fillEmpty(directory: string, filling: (directory: string) => Promise<void>, always: boolean): Promise<void> {
    const data = dataOf(directory);
    const { filling: begun, ...record } = await readVolumeRecord(directory);
    if (!begun && ((record.filled && !always) || !(await isEmpty(data)))) return;
    await writeVolumeRecord(directory, { ...record, filling: true }, true);
    await filling(data);
    await writeVolumeRecord(directory, { ...record, filled: true });
  }
}

function sameOptions(a: Readonly<Record<string, string>>, b: Readonly<Record<string, string>>): boolean {
  return ['type', 'o', 'device'].every((key) => (a[key] ?? '') === (b[key] ?? ''));
}

async function addressOf(volume: string, host: string): Promise<string> {
  try {
    return (await resolve(host)).address;
  } catch (cause) {
    throw new TsorchError('unavailable', `volume ${volume}: this node finds no address for ${host}: ${(cause as NodeJS.ErrnoException).code ?? describeError(cause)}`, { cause, hint: 'check the name in driver_opts, or write the address' });
  }
}

/** A full disk is said as such, wherever it was met. */
export function withoutRoom(error: unknown, name: string): unknown {
  const code = (error as NodeJS.ErrnoException).code;
  if (code !== 'ENOSPC' && code !== 'EDQUOT') return error;
  return new TsorchError('exhausted', `there is no room on this node's disk for volume ${name}`, { cause: error, hint: 'free some there; it is tried again' });
}

async function exists(file: string): Promise<boolean> {
  try {
    await fs.lstat(file);
    return true;
  } catch (error) {
    if (isMissing(error)) return false;
    throw error;
  }
}
