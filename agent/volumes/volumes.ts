/**
 * Volumes of this host: named ones live until they are removed, anonymous ones as long as their pod. A fresh volume takes
 * content and ownership from the image's directory that it covers.
 */
import { createHash } from 'node:crypto';
import fs from 'node:fs/promises';
import path from 'node:path';
import type { Assignment } from '../../model/assignment.ts';
import { TsorchError } from '../../model/errors.ts';
import type { ContainerSpec, MountSpec } from '../../model/spec.ts';
import type { ImageHandle, Images, ResolvedMount } from '../runtime/port.ts';
import { isMissing, syncDirectory } from '../state.ts';
import type { Mounter } from './mounter.ts';
import { inside, safeName, safePath } from './names.ts';

export interface VolumesOptions {
  readonly stateDir: string;
  readonly images: Pick<Images, 'copyUp'>;
  readonly mounter: Mounter;
}

type VolumeMount = Extract<MountSpec, { kind: 'volume' }>;
type BindMount = Extract<MountSpec, { kind: 'bind' }>;

export class Volumes {
  readonly #options: VolumesOptions;
  /** One at a time per volume: two pods may meet a fresh one together. */
  readonly #busy = new Map<string, Promise<unknown>>();

  constructor(options: VolumesOptions) {
    this.#options = options;
  }

  /**
   * The container's volumes and binds, ready to be mounted, and anonymous volumes for what its image declares. (tmpfs mounts
   * are the runtime's.) `invalid` when one cannot be: a bind without its source, a bad name, an unknown driver.
   */
  async prepare(assignment: Assignment, container: ContainerSpec, image: ImageHandle): Promise<readonly ResolvedMount[]> {
    const mounts: ResolvedMount[] = [];
    for (const mount of container.mounts) {
      if (mount.kind === 'volume') mounts.push(await this.#volume(assignment, container, image, mount));
      else if (mount.kind === 'bind') mounts.push(await bind(mount));
    }
    const covered = new Set(container.mounts.map((mount) => safePath('mount target', mount.target)));
    for (const declared of image.config.volumes) {
      const target = safePath("the image's volume", declared);
      if (covered.has(target)) continue;
      mounts.push(await this.#volume(assignment, container, image, { kind: 'volume', target, readOnly: false, noCopy: false }));
    }
    return mounts;
  }

  /** Removes the pod's anonymous volumes. */
  async release(podId: string): Promise<void> {
    await fs.rm(path.join(this.#options.stateDir, 'pods', safeName('pod', podId)), { recursive: true, force: true });
  }

  async list(): Promise<readonly string[]> {
    try {
      const found = await fs.readdir(path.join(this.#options.stateDir, 'volumes'), { withFileTypes: true });
      return found.filter((entry) => entry.isDirectory()).map((entry) => entry.name);
    } catch (error) {
      if (isMissing(error)) return [];
      throw error;
    }
  }

  /** Deletes a named volume and its data. Succeeds when there is none. */
  async remove(name: string): Promise<void> {
    const directory = this.#named(name);
    await this.#exclusively(directory, async () => {
      this.#options.mounter.unmount(path.join(directory, '_data'));
      await fs.rm(directory, { recursive: true, force: true });
    });
  }

  async #volume(assignment: Assignment, container: ContainerSpec, image: ImageHandle, mount: VolumeMount): Promise<ResolvedMount> {
    const target = safePath('mount target', mount.target);
    const directory = mount.volume === undefined ? this.#anonymous(assignment.pod.id, container.name, target) : this.#named(mount.volume);
    const data = path.join(directory, '_data');
    await this.#exclusively(directory, async () => {
      await this.#materialise(directory, mount.noCopy ? null : () => this.#copyUp(image, target, path.join(directory, '_data.new')));
      if (mount.volume !== undefined) await this.#driver(mount.volume, assignment.volumes[mount.volume], data);
    });
    const source = mount.subpath === undefined ? data : await inside(data, mount.subpath);
    return { source, target, type: 'bind', options: ['rbind', mount.readOnly ? 'ro' : 'rw', 'rprivate'] };
  }

  /** Makes `_data`, all at once: a volume that is there is complete. */
  async #materialise(directory: string, fill: (() => Promise<void>) | null): Promise<void> {
    const data = path.join(directory, '_data');
    if (await exists(data)) return;
    const fresh = path.join(directory, '_data.new');
    await fs.rm(fresh, { recursive: true, force: true });
    await fs.mkdir(fresh, { recursive: true, mode: 0o755 });
    await fill?.();
    await fs.rename(fresh, data);
    await syncDirectory(directory);
  }

  async #copyUp(image: ImageHandle, target: string, into: string): Promise<void> {
    await this.#options.images.copyUp?.(image, target, into);
  }

  /** The `local` driver with its options mounts something on the volume's directory, as Docker's does. */
  async #driver(name: string, volume: Assignment['volumes'][string] | undefined, data: string): Promise<void> {
    const driver = volume?.driver ?? 'local';
    if (driver !== 'local') throw new TsorchError('unsupported', `volume ${name} wants the driver ${driver}, this node has only "local"`);
    const { type = '', o = '', device = '' } = volume?.driverOpts ?? {};
    if (type === '' && device === '') return;
    if (this.#options.mounter.isMounted(data)) return;
    await this.#options.mounter.mount(type || 'none', o, device || type, data);
  }

  #named(name: string): string {
    return path.join(this.#options.stateDir, 'volumes', safeName('volume', name));
  }

  #anonymous(podId: string, container: string, target: string): string {
    const digest = createHash('sha256').update(`${container}\0${target}`).digest('hex').slice(0, 16);
    return path.join(this.#options.stateDir, 'pods', safeName('pod', podId), digest);
  }

  async #exclusively(key: string, work: () => Promise<void>): Promise<void> {
    const before = this.#busy.get(key) ?? Promise.resolve();
    const mine = before.then(work, work);
    this.#busy.set(key, mine);
    try {
      await mine;
    } finally {
      if (this.#busy.get(key) === mine) this.#busy.delete(key);
    }
  }
}

async function bind(mount: BindMount): Promise<ResolvedMount> {
  const source = safePath('bind source', mount.source);
  if (!(await exists(source))) {
    if (!mount.createHostPath) throw new TsorchError('invalid', `${source} is not on this node`, { hint: 'create it there, or set bind.create_host_path' });
    await fs.mkdir(source, { recursive: true });
  }
  return { source, target: safePath('mount target', mount.target), type: 'bind', options: ['rbind', mount.readOnly ? 'ro' : 'rw', mount.propagation] };
}

async function exists(file: string): Promise<boolean> {
  try {
    await fs.stat(file);
    return true;
  } catch (error) {
    if (isMissing(error)) return false;
    throw error;
  }
}
