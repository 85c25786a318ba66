/**
 * A volume goes from host to host. The source offers it to one node, for one move, for as long as a master holds the stream open; the target
 * fetches it from there, compares it with what was read, and makes it a volume. Until then nothing of it is one.
 */
import { execFile } from 'node:child_process';
import fs from 'node:fs/promises';
import path from 'node:path';
import { promisify } from 'node:util';
import { TsorchError } from '../../../model/errors.ts';
import { isMissing, syncDirectory } from '../../state.ts';
import type { Mounter } from '../mounter.ts';
import { safeName } from '../names.ts';
import { dataOf } from '../paths.ts';
import { sizeLimit } from '../quota.ts';
import { readVolumeRecord, type VolumeRecord, writeVolumeRecord } from '../record.ts';
import { removeTree } from '../remove-tree.ts';
import type { Volumes } from '../volumes.ts';
import type { Position } from './format.ts';
import { receiveVolume, sendVolume, verifyVolume } from './run.ts';

export interface MoverOptions {
  readonly volumes: Volumes;
  readonly mounter: Mounter;
  readonly bootId: string;
}

export interface Offer {
  readonly name: string;
  /** The move's id. */
  readonly move: string;
  /** Id of the node that may have it. */
  readonly to: string;
}

/** What the source says of a volume whose data nobody has made yet. */
export interface Offered {
  readonly exists: boolean;
  readonly record: VolumeRecord;
}

export interface Incoming {
  readonly name: string;
  readonly move: string;
  readonly offered: Offered;
  readonly driverOpts: Readonly<Record<string, string>>;
  readonly open: (from: Position) => AsyncIterable<Uint8Array>;
  readonly progress: (step: { readonly phase: 'copying' | 'verifying'; readonly bytes: number; readonly entries?: number }) => void;
  readonly signal: AbortSignal;
}

export class VolumeMover {
  readonly #options: MoverOptions;
  readonly #offers = new Map<string, Offer>();

  constructor(options: MoverOptions) {
    this.#options = options;
  }

  /** Keeps pods from the volume while `use` runs, and lets one node read it. `conflict` when a pod has it, or it is no plain directory. */
  async offer(offer: Offer, use: (offered: Offered) => Promise<void>): Promise<void> {
    const { volumes, mounter } = this.#options;
    await volumes.sealed(offer.name, 'is being moved to another node', async () => {
      const directory = volumes.paths.volume(offer.name);
      const data = dataOf(directory);
      if (mounter.mountsBelow(directory).length > 0) throw new TsorchError('conflict', `something is mounted in volume ${offer.name}, which is not its data to be moved`);
      const exists = await fs.lstat(data).then(() => true, () => false);
      this.#offers.set(offer.name, offer);
      try {
        await use({ exists, record: await readVolumeRecord(directory) });
      } finally {
        if (this.#offers.get(offer.name) === offer) this.#offers.delete(offer.name);
      }
    });
  }

  /** For the node that it was offered to, and nobody else. */
  open(node: string, name: string, move: string, from: Position, signal: AbortSignal): AsyncIterable<Uint8Array> {
    const offer = this.#offers.get(name);
    if (!offer || offer.move !== move || offer.to !== node) throw new TsorchError('forbidden', `volume ${name} is not offered to node ${node}`);
    return sendVolume(dataOf(this.#options.volumes.paths.volume(name)), from, signal);
  }

  /** Resolves when the volume is here, whole and on the disk. Safe to repeat: what is here is not fetched again. */
  async receive({ name, move, offered, driverOpts, open, progress, signal }: Incoming): Promise<void> {
    const { volumes, bootId, mounter } = this.#options;
    await volumes.sealed(name, 'is on its way here', async () => {
      const directory = volumes.paths.volume(name);
      const incoming = path.join(directory, incomingName(move));
      if (await this.#isHere(name, move, directory)) return;
      if (!offered.exists) return;
      for (const other of await namesIn(directory)) if (other.startsWith('incoming-') && other !== incomingName(move)) await removeTree(path.join(directory, other), mounter);
      await fs.mkdir(directory, { recursive: true, mode: 0o755 });
      const limit = sizeLimit(driverOpts);
      const quota = limit === null ? null : { name, directory, bytes: limit };
      await receiveVolume({ incoming, bootId, quota, open, progress: ({ bytes, entries }) => progress({ phase: 'copying', bytes, entries }), signal });
      // Compared as the disk has it.
      await promisify(execFile)('sync', ['-f', incoming]);
      await verifyVolume(incoming, (bytes) => progress({ phase: 'verifying', bytes }), signal).catch(async (error: unknown) => {
        // A copy that is wrong is of no use: the next try begins anew.
        if (!signal.aborted) await removeTree(incoming, mounter);
        throw error;
      });
      signal.throwIfAborted();
      await writeVolumeRecord(directory, { ...offered.record, driver: 'local', options: driverOpts, move }, true);
      await fs.rename(path.join(incoming, 'data'), dataOf(directory));
      await syncDirectory(directory);
      await removeTree(incoming, mounter);
    });
  }

  /** Takes back what a move brought here, and nothing else: a volume that was here is not touched. */
  async discard(name: string, move: string): Promise<void> {
    const { volumes, mounter } = this.#options;
    const whole = await volumes.sealed(name, 'is being tidied', async () => {
      const directory = volumes.paths.volume(name);
      if (!(await fs.lstat(directory).then(() => true, () => false))) return false;
      await removeTree(path.join(directory, incomingName(move)), mounter);
      const record = await readVolumeRecord(directory);
      const data = await fs.lstat(dataOf(directory)).then(() => true, () => false);
      return record.move === move || !data;
    });
    if (whole) await volumes.remove(name, 'local');
  }

  /** True when the move has brought it already. `conflict` when there is another one of that name. */
  async #isHere(name: string, move: string, directory: string): Promise<boolean> {
    const record = await readVolumeRecord(directory);
    const entries = await namesIn(dataOf(directory)).catch(() => null);
    if (entries === null) return false;
    const there = await fs.lstat(dataOf(directory)).then(() => true, () => false);
    if (!there) return false;
    if (record.move === move) return true;
    if (entries.length > 0) throw new TsorchError('conflict', `there is another volume ${name} on the node it is to move to`, { hint: 'see what it is, and remove it there by hand' });
    await fs.rmdir(dataOf(directory));
    return false;
  }
}

function incomingName(move: string): string {
  return `incoming-${safeName('move', move)}`;
}

async function namesIn(directory: string): Promise<readonly string[]> {
  try {
    return await fs.readdir(directory);
  } catch (error) {
    if (isMissing(error)) return [];
    throw error;
  }
}
