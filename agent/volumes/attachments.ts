/**
 * Which pod has which volume. On disk before a driver is asked to mount, gone after it has unmounted: whatever happens in between is
 * found again. Kept in memory besides, so that asking costs nothing.
 */
import fs from 'node:fs/promises';
import path from 'node:path';
import { isMissing, isRecord, readJson, removeFile, writeWhole } from '../state.ts';
import { safeName } from './names.ts';
import type { VolumePaths } from './paths.ts';

export interface Attachment {
  readonly driver: string;
  /** By which a plugin tells this mount from others. */
  readonly id: string;
  /** What the driver answered; null while it was being asked. */
  readonly mountpoint: string | null;
  /** The boot in which it was asked. */
  readonly bootId: string;
}

export class Attachments {
  readonly #paths: VolumePaths;
  /** By volume, by pod. */
  readonly #byVolume = new Map<string, Map<string, Attachment>>();
  readonly #loaded: Promise<void>;

  constructor(paths: VolumePaths) {
    this.#paths = paths;
    this.#loaded = this.#load();
    this.#loaded.catch(() => {});
  }

  async get(podId: string, volume: string): Promise<Attachment | undefined> {
    await this.#loaded;
    return this.#byVolume.get(volume)?.get(podId);
  }

  /** Pods that have the volume. */
  async podsOf(volume: string): Promise<readonly string[]> {
    await this.#loaded;
    return [...(this.#byVolume.get(volume)?.keys() ?? [])];
  }

  /** Volumes that the pod has. */
  async volumesOf(podId: string): Promise<readonly (readonly [string, Attachment])[]> {
    await this.#loaded;
    return [...this.#byVolume].flatMap(([volume, pods]) => {
      const found = pods.get(podId);
      return found ? [[volume, found] as const] : [];
    });
  }

  /** Volumes that any pod has. */
  async volumes(): Promise<readonly string[]> {
    await this.#loaded;
    return [...this.#byVolume.keys()];
  }

  async put(podId: string, volume: string, attachment: Attachment): Promise<void> {
    await this.#loaded;
    const directory = this.#paths.attached(podId);
    await fs.mkdir(directory, { recursive: true, mode: 0o700 });
    // Not flushed: after a power cut nothing is mounted any more, and plugins are told again at the pod's next start or its end.
    await writeWhole(path.join(directory, fileOf(volume)), JSON.stringify(attachment), { sync: false });
    const pods = this.#byVolume.get(volume);
    if (pods) pods.set(podId, attachment);
    else this.#byVolume.set(volume, new Map([[podId, attachment]]));
  }

  async remove(podId: string, volume: string): Promise<void> {
    await this.#loaded;
    await removeFile(path.join(this.#paths.attached(podId), fileOf(volume)));
    const pods = this.#byVolume.get(volume);
    pods?.delete(podId);
    if (pods?.size === 0) this.#byVolume.delete(volume);
  }

  async #load(): Promise<void> {
    for (const podId of await namesIn(this.#paths.pods)) {
      if (podId.includes('.')) continue;
      for (const file of await namesIn(this.#paths.attached(podId))) {
        if (!file.endsWith('.json')) continue;
        const volume = file.slice(0, -'.json'.length);
        const value = await readJson(path.join(this.#paths.attached(podId), file));
        // One that is torn was being written: the driver had not been asked, or will be asked again.
        const attachment = isRecord(value) && typeof value['driver'] === 'string' ? (value as unknown as Attachment) : { driver: 'local', id: '', mountpoint: null, bootId: '' };
        const pods = this.#byVolume.get(volume);
        if (pods) pods.set(podId, attachment);
        else this.#byVolume.set(volume, new Map([[podId, attachment]]));
      }
    }
  }
}

function fileOf(volume: string): string {
  return `${safeName('volume', volume)}.json`;
}

async function namesIn(directory: string): Promise<readonly string[]> {
  try {
    return await fs.readdir(directory);
  } catch (error) {
    if (isMissing(error) || (error as NodeJS.ErrnoException).code === 'ENOTDIR') return [];
    throw error;
  }
}
