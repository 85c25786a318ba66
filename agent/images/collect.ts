/** Which images of a host go: those that nobody has used for long, and, when the disk is filling up, the ones unused longest. Pure. */
import type { ImageRecord } from '../runtime/port.ts';

export interface CollectPolicy {
  /** Part of the disk in use, 0 to 1: above `high` images go until it is at `low`. */
  readonly high: number;
  readonly low: number;
  /** Milliseconds: nothing younger, or used since, goes. */
  readonly minAgeMs: number;
  /** Unused for so long, it goes whatever room there is. */
  readonly maxAgeMs: number;
}

export const collectPolicy: CollectPolicy = { high: 0.85, low: 0.8, minAgeMs: 120_000, maxAgeMs: 30 * 86_400_000 };

/** Bytes. */
export interface DiskSpace {
  readonly capacity: number;
  /** For new files. */
  readonly available: number;
}

export interface CollectInput {
  readonly images: readonly ImageRecord[];
  readonly isUsed: (image: ImageRecord) => boolean;
  /** When the image was last seen in use, or first seen at all; milliseconds since the epoch. */
  readonly lastUsed: (image: ImageRecord) => number;
  readonly now: number;
  readonly disk: DiskSpace;
  /** Bytes that shall be free beside what the policy asks for. */
  readonly need?: number;
  readonly policy: CollectPolicy;
}

/**
 * In the order in which they go. Only what came from a registry: what was loaded or pushed by hand may be had from nowhere else. What an
 * image frees is counted packed: less than it is, for its layers are unpacked too, and more, for others may share them.
 */
export function imagesToCollect({ images, isUsed, lastUsed, now, disk, need = 0, policy }: CollectInput): readonly ImageRecord[] {
  const idle = images
    .filter((image) => image.from === 'registry' && !isUsed(image) && now - lastUsed(image) >= policy.minAgeMs)
    .toSorted((a, b) => lastUsed(a) - lastUsed(b) || (a.digest < b.digest ? -1 : 1));
  const old = idle.filter((image) => now - lastUsed(image) >= policy.maxAgeMs);
  let excess = bytesOver(disk, need, policy) - old.reduce((sum, { size }) => sum + size, 0);
  const going = [...old];
  for (const image of idle) {
    if (excess <= 0) break;
    if (going.includes(image)) continue;
    going.push(image);
    excess -= image.size;
  }
  return going;
}

function bytesOver({ capacity, available }: DiskSpace, need: number, { high, low }: CollectPolicy): number {
  const used = capacity - available + need;
  return used > capacity * high ? used - capacity * low : 0;
}

/** Kept free for what else is written on the disk: records, logs, volumes, what containers write. */
export function reserveOf({ capacity }: DiskSpace): number {
  return Math.min(capacity * 0.05, 4 * 2 ** 30);
}

/** A node this short of disk takes no new pods. Once it was, it takes more to be well again. */
export function isShort({ capacity, available }: DiskSpace, before: boolean): boolean {
  const least = Math.min(capacity * 0.1, 8 * 2 ** 30);
  return available < (before ? least * 1.25 : least);
}

/** Names that people gave or asked for, as opposed to the one by digest that each pull makes. */
export function isDangling({ references }: ImageRecord): boolean {
  return references.every((name) => name.includes('@') || name.startsWith('sha256:'));
}
