/** Keeps a host's images within its disk: looks once a minute, makes room for pulls, and says when the disk is short all the same. */
import { statfs } from 'node:fs/promises';
import path from 'node:path';
import type { Clock } from '../../lib/clock.ts';
import type { Log } from '../../lib/log.ts';
import { Loop } from '../../lib/loop.ts';
import { normaliseReference, readableName, withDigest } from '../../lib/oci/reference.ts';
import { isCode, TsorchError } from '../../model/errors.ts';
import { isRecord, readJson, writeWhole } from '../state.ts';
import type { ImageRecord, Images } from '../runtime/port.ts';
import { type CollectPolicy, collectPolicy, type DiskSpace, imagesToCollect, isDangling, isShort, reserveOf } from './collect.ts';

export interface CollectorOptions {
  readonly images: Pick<Images, 'list' | 'remove'>;
  /** Of images that pods have or shall have, or that are being pulled: as references, with or without digest. */
  readonly used: () => Iterable<UsedImage>;
  readonly stateDir: string;
  /** Of the disk that images are on. */
  readonly disk: () => Promise<DiskSpace>;
  readonly policy?: CollectPolicy;
  readonly clock: Clock;
  readonly log: Log;
  readonly signal: AbortSignal;
  /** The disk has become short, or is so no more. */
  readonly changed: () => void;
}

export interface UsedImage {
  readonly image: string;
  readonly imageDigest?: string | undefined;
}

export interface Collected {
  readonly references: readonly string[];
  readonly digest: string;
  /** Bytes, packed. */
  readonly size: number;
}

const lookMs = 60_000;
/** Times of use are written down when one is wrong by so much. */
const staleMs = 3600_000;

export class ImageCollector {
  readonly #options: CollectorOptions;
  readonly #loop: Loop;
  readonly #file: string;
  /** By digest, milliseconds since the epoch. */
  #lastUsed: Map<string, number> | null = null;
  #written = new Map<string, number>();
  #short = false;
  /** One at a time: what one is about to remove the other must not count on. */
  #turn: Promise<unknown> = Promise.resolve();

  constructor(options: CollectorOptions) {
    this.#options = options;
    this.#file = path.join(options.stateDir, 'images.json');
    const { clock, log, signal } = options;
    this.#loop = new Loop({ name: 'image collection', clock, log, signal, run: () => this.#look(), maxBackoffMs: lookMs });
    this.#loop.mark();
  }

  /** The disk is so full that the node shall take no new pods. */
  get isShort(): boolean {
    return this.#short;
  }

  get done(): Promise<void> {
    return this.#loop.done;
  }

  /** Before so many bytes come. Makes room where it may; throws `exhausted` when there is not enough. */
  async admit(bytes: number): Promise<void> {
    await this.#inTurn(async () => {
      if (await this.#fits(bytes)) return;
      await this.#collect(bytes);
      if (await this.#fits(bytes)) return;
      const { available, capacity } = await this.#options.disk();
      this.#loop.mark();
      throw new TsorchError('exhausted', `there is no room for it: about ${megabytes(bytes)} are needed, ${megabytes(available)} of ${megabytes(capacity)} are free, and ${megabytes(reserveOf({ available, capacity }))} of them are kept for what runs`, {
        hint: 'free disk space on the node: tsorch image prune -a, or remove volumes',
      });
    });
  }

  /** Removes what nobody uses: what has lost its tag, or with `all` everything. */
  async prune(all: boolean): Promise<readonly Collected[]> {
    return await this.#inTurn(async () => {
      const images = await this.#options.images.list();
      const isUsed = this.#uses();
      return await this.#remove(images.filter((image) => !isUsed(image) && (all || isDangling(image))), 'nobody uses it');
    });
  }

  async #look(): Promise<number> {
    await this.#inTurn(async () => {
      await this.#collect(0);
      const disk = await this.#options.disk();
      const short = isShort(disk, this.#short);
      if (short === this.#short) return;
      this.#short = short;
      this.#options.log[short ? 'warn' : 'info'](short ? 'the disk is nearly full: no new pods until there is room' : 'the disk has room again', { free: megabytes(disk.available) });
      this.#options.changed();
    });
    return lookMs;
  }

  async #collect(need: number): Promise<void> {
    const { images: port, disk, policy = collectPolicy, clock } = this.#options;
    const images = await port.list();
    const isUsed = this.#uses();
    const lastUsed = await this.#times(images, isUsed);
    const going = imagesToCollect({ images, isUsed, lastUsed: ({ digest }) => lastUsed.get(digest) ?? clock.now(), now: clock.now(), disk: await disk(), need, policy });
    for (const image of going) {
      const aged = clock.now() - (lastUsed.get(image.digest) ?? 0) >= policy.maxAgeMs;
      await this.#remove([image], aged ? 'unused for long' : 'room is needed');
      if (aged || need === 0) continue;
      // Packed sizes are a guess: what was really freed counts.
      if (await this.#fits(need)) break;
    }
  }

  /** Asked again for each: a pod may have come meanwhile. */
  async #remove(images: readonly ImageRecord[], why: string): Promise<readonly Collected[]> {
    const removed: Collected[] = [];
    for (const { digest, references, size } of images) {
      if (this.#uses()({ digest, references, size })) continue;
      try {
        await this.#options.images.remove(digest);
        removed.push({ references, digest, size });
        this.#options.log.info('image removed', { image: references.map(readableName).join(' ') || digest, why });
      } catch (error) {
        if (!isCode(error, 'not-found')) throw error;
      }
    }
    return removed;
  }

  #uses(): (image: Pick<ImageRecord, 'references' | 'digest' | 'size'>) => boolean {
    const names = new Set<string>();
    for (const { image, imageDigest } of this.#options.used()) {
      if (imageDigest !== undefined) names.add(imageDigest);
      try {
        const full = withDigest(image, imageDigest);
        names.add(full);
        const digest = full.split('@')[1];
        if (digest === undefined) names.add(normaliseReference(image));
        else names.add(digest);
      } catch (error) {
        if (!isCode(error, 'invalid')) throw error;
      }
    }
    return ({ digest, references }) => names.has(digest) || references.some((name) => names.has(name));
  }

  async #times(images: readonly ImageRecord[], isUsed: (image: ImageRecord) => boolean): Promise<ReadonlyMap<string, number>> {
    const { clock } = this.#options;
    const before = (this.#lastUsed ??= this.#written = parseTimes(await readJson(this.#file).catch(() => null)));
    const now = clock.now();
    const times = new Map(images.map((image) => [image.digest, isUsed(image) ? now : Math.max(before.get(image.digest) ?? 0, image.since ?? 0) || now]));
    this.#lastUsed = times;
    const stale = times.size !== this.#written.size || [...times].some(([digest, at]) => Math.abs(at - (this.#written.get(digest) ?? 0)) > staleMs);
    if (stale) {
      // Without it ages begin anew with the next agent: no reason to fail.
      await writeWhole(this.#file, JSON.stringify(Object.fromEntries(times)), { sync: false }).then(() => void (this.#written = times), (error: unknown) => this.#options.log.warn('times of images not written', { error }));
    }
    return times;
  }

  async #fits(bytes: number): Promise<boolean> {
    const disk = await this.#options.disk();
    return disk.available - bytes >= reserveOf(disk);
  }

  async #inTurn<T>(task: () => Promise<T>): Promise<T> {
    const turn = this.#turn.then(task, task);
    this.#turn = turn.catch(() => {});
    return await turn;
  }
}

/** Of the file system that the directory is on. */
export async function diskSpace(directory: string): Promise<DiskSpace> {
  const { bsize, blocks, bfree, bavail } = await statfs(directory);
  // What is kept for root is nobody's: neither used nor free.
  return { capacity: bsize * (blocks - bfree + bavail), available: bsize * bavail };
}

function parseTimes(value: unknown): Map<string, number> {
  return new Map(Object.entries(isRecord(value) ? value : {}).flatMap(([digest, at]) => (typeof at === 'number' ? [[digest, at] as const] : [])));
}

function megabytes(bytes: number): string {
  return bytes >= 1e10 ? `${(bytes / 1e9).toFixed(1)} GB` : `${Math.ceil(bytes / 1e6)} MB`;
}
