/**
 * Volumes of this host: named ones live until they are removed, anonymous ones and shared directories as long as their pod. What a
 * pod has is noted before it is mounted (attachments.ts), and let go of when the pod is released.
 */
import { createHash } from 'node:crypto';
import fs from 'node:fs/promises';
import path from 'node:path';
import type { Clock } from '../../lib/clock.ts';
import type { Assignment } from '../../model/assignment.ts';
import { TsorchError } from '../../model/errors.ts';
import type { ContainerSpec, MountSpec } from '../../model/spec.ts';
import { volumeName, volumesOf } from '../../model/volumes.ts';
import type { ImageHandle, Images, ResolvedMount } from '../runtime/port.ts';
import { isMissing } from '../state.ts';
import { Attachments } from './attachments.ts';
import { resolveBind } from './binds.ts';
import { fill, isEmpty } from './fill.ts';
import { type Filling, LocalDriver, withoutRoom } from './local.ts';
import type { Mounter } from './mounter.ts';
import { safeName, safePath } from './names.ts';
import { dataOf, shortDigest, VolumePaths } from './paths.ts';
import { isRefusal } from './plugins/client.ts';
import type { Plugins } from './plugins/plugins.ts';
import { readVolumeRecord, type VolumeRecord } from './record.ts';
import { removeTree } from './remove-tree.ts';
import { mountSubpath } from './subpath.ts';
import { Turns } from './turns.ts';
import { bytesUsed } from './usage.ts';

export interface VolumesOptions {
  readonly stateDir: string;
  readonly runDir: string;
  readonly images: Pick<Images, 'copyUp'>;
  readonly mounter: Mounter;
  readonly plugins: Pick<Plugins, 'get'>;
  readonly bootId: string;
  readonly clock: Clock;
  /** A pod was told to wait for a volume, and need not any more. */
  readonly ready?: (podId: string) => void;
}

type VolumeMount = Extract<MountSpec, { kind: 'volume' }>;
type PodMount = Extract<MountSpec, { kind: 'pod' }>;
type Settings = Assignment['volumes'][string];

/** A mount that takes longer is gone on with while the pod says that it waits. */
const patienceMs = 500;

const plainLocal: Settings = { driver: 'local', driverOpts: {} };

export interface FoundVolume extends VolumeRecord {
  readonly name: string;
  /** Pods of this host that have it. */
  readonly pods: readonly string[];
}

export class Volumes {
  readonly #options: VolumesOptions;
  readonly #paths: VolumePaths;
  readonly #attachments: Attachments;
  readonly #local: LocalDriver;
  /** One at a time per volume: two pods may meet a fresh one together. */
  readonly #turns = new Turns();
  /** Volumes that no pod may have now, and why. */
  readonly #sealed = new Map<string, string>();
  /** Mounts under way, and failed ones that nobody was told of yet, by pod and volume. */
  readonly #mounting = new Map<string, Promise<void>>();

  constructor(options: VolumesOptions) {
    this.#options = options;
    this.#paths = new VolumePaths(options.stateDir, options.runDir);
    this.#attachments = new Attachments(this.#paths);
    this.#local = new LocalDriver({ mounter: options.mounter, now: () => options.clock.now() });
  }

  get paths(): VolumePaths {
    return this.#paths;
  }

  /**
   * Mounts the pod's volumes that others provide: plugins and file systems of the network. Idempotent. What takes long is gone on with, and
   * `unavailable` says what is waited for; `ready` tells when to ask again.
   */
  async attach(assignment: Assignment): Promise<void> {
    const { pod, template } = assignment;
    await Promise.all(volumesOf(template, pod.slot).map(async (name) => {
      const settings = assignment.volumes[name] ?? plainLocal;
      // What is a directory here is quick, and is filled from the image when its container is prepared.
      if (settings.driver === 'local' && Object.keys(settings.driverOpts).length === 0) return;
      await this.#attachInTime(pod.id, name, settings);
    }));
  }

  /**
   * The container's volumes, shared directories and binds, ready to be mounted, and anonymous volumes for what its image declares. (tmpfs
   * mounts are the runtime's.) `invalid` when one cannot be: a bind without its source, a bad name or option.
   */
  async prepare(assignment: Assignment, container: ContainerSpec, image: ImageHandle): Promise<readonly ResolvedMount[]> {
    const mounts: ResolvedMount[] = [];
    for (const mount of container.mounts) {
      if (mount.kind === 'volume') mounts.push(await this.#volume(assignment, container, image, mount));
      else if (mount.kind === 'pod') mounts.push(await this.#shared(assignment.pod.id, mount));
      else if (mount.kind === 'bind') mounts.push(await resolveBind(mount, this.#options.mounter));
    }
    const covered = new Set(container.mounts.map((mount) => safePath('mount target', mount.target)));
    for (const declared of image.config.volumes) {
      const target = safePath("the image's volume", declared);
      if (covered.has(target)) continue;
      mounts.push(await this.#volume(assignment, container, image, { kind: 'volume', target, readOnly: false, noCopy: false }));
    }
    return mounts;
  }

  /** Lets go of all that the pod has: named volumes are unmounted, its own are deleted. Rejects, to be tried again, while a driver does not let go. */
  async release(podId: string): Promise<void> {
    await this.#unmountOwn(podId);
    for (const [key, work] of this.#mounting) {
      if (!key.startsWith(`${podId}/`)) continue;
      await work.catch(() => {});
      this.#mounting.delete(key);
    }
    for (const [name] of await this.#attachments.volumesOf(podId)) await this.#turns.take(name, () => this.#detach(podId, name));
    await removeTree(this.#paths.pod(podId), this.#options.mounter);
  }

  /** Volumes that nobody has any more are unmounted, and what was being deleted when the agent died is deleted. Once, at the start. */
  async settle(): Promise<void> {
    for (const entry of await names(this.#paths.volumes)) {
      if (entry.startsWith('.gone-')) await removeTree(path.join(this.#paths.volumes, entry), this.#options.mounter);
      else if (isName(entry)) {
        await this.#turns.take(entry, async () => {
          if ((await this.#attachments.podsOf(entry)).length === 0) await this.#local.close(this.#paths.volume(entry));
        });
      }
    }
  }

  /** Named volumes that have something on this host. */
  async list(): Promise<readonly FoundVolume[]> {
    const found = (await names(this.#paths.volumes)).filter(isName);
    const attached = await this.#attachments.volumes();
    return await Promise.all([...new Set([...found, ...attached])].sort().map(async (name) => {
      const pods = await this.#attachments.podsOf(name);
      const [first] = pods;
      const driver = first === undefined ? undefined : (await this.#attachments.get(first, name))?.driver;
      const record = await readVolumeRecord(this.#paths.volume(name));
      return { name, ...record, ...(driver === undefined ? {} : { driver }), pods };
    }));
  }

  /** Bytes that its data takes here; null when they are not this host's: another file system's, or a plugin's. */
  async usage(name: string): Promise<number | null> {
    const data = dataOf(this.#paths.volume(name));
    const there = await fs.stat(data).then((stat) => stat.isDirectory(), () => false);
    return there && !this.#options.mounter.isMounted(data) ? await bytesUsed(data) : null;
  }

  /** Makes it before anybody mounts it. Idempotent. */
  async create(name: string, { driver, driverOpts }: Settings): Promise<void> {
    await this.#turns.take(name, async () => {
      if (driver === 'local') await this.#local.create(name, this.#paths.volume(name), driverOpts);
      else await (await this.#options.plugins.get(driver)).ensure(name, driverOpts);
    });
  }

  /**
   * Deletes a named volume and its data. Succeeds when there is none; `conflict` while a pod of this host has it. `forget` takes it off
   * this host and leaves what a plugin has of it alone: it is another host's to remove.
   */
  async remove(name: string, driver: string, options: { readonly forget?: boolean } = {}): Promise<void> {
    await this.#turns.take(name, async () => {
      await this.#mustBeFree(name);
      if (driver !== 'local' && options.forget !== true) await (await this.#options.plugins.get(driver)).remove(name);
      const directory = this.#paths.volume(name);
      if (await isThere(directory)) await this.#local.remove(directory, path.join(this.#paths.volumes, `.gone-${shortDigest(`${name}\0${this.#options.clock.now()}`)}`));
    });
  }

  /** Runs while no pod can have the volume. `conflict` when one has it. */
  async sealed<T>(name: string, why: string, use: () => Promise<T>): Promise<T> {
    await this.#turns.take(name, async () => {
      await this.#mustBeFree(name);
      if (this.#sealed.has(name)) throw new TsorchError('conflict', `volume ${name} ${this.#sealed.get(name)} already`);
      this.#sealed.set(name, why);
    });
    try {
      return await use();
    } finally {
      this.#sealed.delete(name);
    }
  }

  async #mustBeFree(name: string): Promise<void> {
    const pods = await this.#attachments.podsOf(name);
    if (pods.length > 0) throw new TsorchError('conflict', `volume ${name} is mounted by ${pods.length === 1 ? 'pod' : 'pods'} ${pods.join(', ')} of this node`);
  }

  async #volume(assignment: Assignment, container: ContainerSpec, image: ImageHandle, mount: VolumeMount): Promise<ResolvedMount> {
    const { id, slot } = assignment.pod;
    const target = safePath('mount target', mount.target);
    const name = volumeName(mount, slot);
    const user = container.user ?? image.config.user;
    const seed = (directory: string) => fill(directory, { images: this.#options.images, image, path: target, user });
    // With a subpath the image's directory is covered by that part alone.
    const filling = mount.noCopy || mount.subpath !== undefined ? null : seed;
    const root = name === undefined
      ? await this.#turns.take(`${id}/${container.name}`, () => this.#local.open('', this.#paths.anonymous(id, container.name, target), {}, filling, { shared: false, labels: mount.labels ?? {} }))
      : await this.#turns.take(name, () => this.#attach(id, name, assignment.volumes[name] ?? plainLocal, filling));
    const source = mount.subpath === undefined ? root : await this.#subpath(id, container.name, target, root, mount.subpath, mount.noCopy ? null : seed);
    return { source, target, type: 'bind', options: ['rbind', mount.readOnly ? 'ro' : 'rw', 'rprivate'] };
  }

  async #attachInTime(podId: string, name: string, settings: Settings): Promise<void> {
    const key = `${podId}/${name}`;
    let waits = false;
    let work = this.#mounting.get(key);
    if (!work) {
      work = this.#turns.take(name, () => this.#attach(podId, name, settings, null)).then(() => {});
      this.#mounting.set(key, work);
      const over = () => {
        if (waits) this.#options.ready?.(podId);
      };
      work.then(over, over);
    }
    const enough = new AbortController();
    try {
      const done = await Promise.race([work.then(() => true), this.#options.clock.sleep(patienceMs, enough.signal).then(() => false, () => true)]);
      if (!done) {
        waits = true;
        throw waitingFor(name, settings);
      }
      this.#mounting.delete(key);
    } catch (error) {
      if (!waits) this.#mounting.delete(key);
      throw error;
    } finally {
      enough.abort();
    }
  }

  /** Within the volume's turn. The directory that shows it. */
  async #attach(podId: string, name: string, settings: Settings, filling: Filling): Promise<string> {
    try {
      return await this.#show(podId, name, settings, filling);
    } catch (error) {
      throw withoutRoom(error, name);
    }
  }

  async #show(podId: string, name: string, { driver, driverOpts }: Settings, filling: Filling): Promise<string> {
    const sealed = this.#sealed.get(name);
    if (sealed !== undefined) throw new TsorchError('unavailable', `volume ${name} ${sealed}`);
    const { bootId, plugins, mounter } = this.#options;
    const known = await this.#attachments.get(podId, name);
    const others = (await this.#attachments.podsOf(name)).some((pod) => pod !== podId);
    const id = createHash('sha256').update(`${podId}\0${name}`).digest('hex');
    const note = (at: string | null) => this.#attachments.put(podId, name, { driver, id, mountpoint: at, bootId });
    if (driver === 'local') {
      if (!known) await note(null);
      return await this.#local.open(name, this.#paths.volume(name), driverOpts, filling, { shared: others });
    }
    let mountpoint = known?.bootId === bootId && known.driver === driver ? known.mountpoint : null;
    // A plugin that was started anew may have lost what it had mounted.
    if (mountpoint !== null && !(await mounter.answers(mountpoint))) mountpoint = null;
    if (mountpoint === null) {
      const plugin = await plugins.get(driver);
      await plugin.ensure(name, driverOpts);
      await note(null);
      mountpoint = await plugin.mount(name, id);
      if (!(await mounter.answers(mountpoint))) throw new TsorchError('unavailable', `the volume driver ${driver} says that ${name} is mounted at ${mountpoint}, where nothing is`);
      await note(mountpoint);
    }
    if (filling && !others && (await isEmpty(mountpoint))) await filling(mountpoint);
    return mountpoint;
  }

  /** Within the volume's turn. */
  async #detach(podId: string, name: string): Promise<void> {
    const attachment = await this.#attachments.get(podId, name);
    if (!attachment) return;
    const { driver, id, mountpoint, bootId } = attachment;
    if (driver !== 'local') {
      try {
        const plugin = await this.#options.plugins.get(driver);
        // It was asked and may be at it still: asked once more, it is certain.
        if (mountpoint === null && bootId === this.#options.bootId) await plugin.mount(name, id);
        await plugin.unmount(name, id);
      } catch (error) {
        // What was mounted before a reboot, or never, a plugin need not know.
        if (bootId === this.#options.bootId && (!isRefusal(error) || (mountpoint !== null && this.#options.mounter.isMounted(mountpoint)))) throw error;
      }
    } else if ((await this.#attachments.podsOf(name)).length === 1) await this.#local.close(this.#paths.volume(name));
    await this.#attachments.remove(podId, name);
  }

  async #subpath(podId: string, container: string, target: string, root: string, relative: string, seed: Filling): Promise<string> {
    const at = path.join(this.#paths.mounts(podId), `sub-${shortDigest(`${container}\0${target}`)}`);
    await fs.mkdir(this.#paths.mounts(podId), { recursive: true, mode: 0o711 });
    const made = await mountSubpath({ root, relative, target: at }, this.#options.mounter);
    if (made) await seed?.(at);
    return at;
  }

  /** A directory for all of the pod's containers, whoever they run as. */
  async #shared(podId: string, mount: PodMount): Promise<ResolvedMount> {
    const { mounter } = this.#options;
    const target = safePath('mount target', mount.target);
    const name = safeName('pod directory', mount.name);
    const source = mount.medium === 'memory' ? path.join(this.#paths.mounts(podId), `memory-${name}`) : this.#paths.shared(podId, name);
    await this.#turns.take(source, async () => {
      await fs.mkdir(source, { recursive: true, mode: 0o711 });
      if (mount.medium === 'memory' && !mounter.isMounted(source)) mounter.tmpfs(source, mount.size);
      if (mount.medium !== 'memory') await fs.chmod(source, 0o777);
    });
    return { source, target, type: 'bind', options: ['rbind', mount.readOnly ? 'ro' : 'rw', 'rprivate'] };
  }

  async #unmountOwn(podId: string): Promise<void> {
    const directory = this.#paths.mounts(podId);
    for (const entry of await names(directory)) {
      const point = path.join(directory, entry);
      this.#options.mounter.unmount(point);
      // Never recursively: were it still mounted, that would be somebody's data.
      await fs.rmdir(point).catch((error: NodeJS.ErrnoException) => (error.code === 'ENOTDIR' ? fs.unlink(point) : Promise.reject(error)));
    }
    await fs.rmdir(directory).catch((error: unknown) => {
      if (!isMissing(error)) throw error;
    });
  }
}

function waitingFor(name: string, { driver, driverOpts }: Settings): TsorchError {
  const who = driver === 'local' ? `${driverOpts['device'] ?? ''} (${driverOpts['type'] ?? 'bind'})` : `the volume driver ${driver}`;
  return new TsorchError('unavailable', `waiting for ${who} to mount volume ${name}`);
}

function isName(entry: string): boolean {
  return /^[A-Za-z0-9_]/.test(entry);
}

async function isThere(file: string): Promise<boolean> {
  return await fs.stat(file).then(() => true, () => false);
}

async function names(directory: string): Promise<readonly string[]> {
  try {
    return await fs.readdir(directory);
  } catch (error) {
    if (isMissing(error)) return [];
    throw error;
  }
}
