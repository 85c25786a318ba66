/**
 * New snapshots. A containerd that was killed between renaming a snapshot's directory into place and noting it in its database gives
 * the same number to the next one, finds the directory there, and fails for ever. The directory is nobody's: its number is just
 * being given out. It is removed, and the call made again.
 */
import { rm } from 'node:fs/promises';
import { isAbsolute } from 'node:path';

const orphan = /failed to rename: rename \S+ (\S+\/snapshots\/\d+): (?:file exists|directory not empty)/;

/** The directory that stands in the way, when that is what the error says; only below `/io.containerd.snapshotter.v1.`. */
export function orphanIn(error: unknown): string | null {
  const path = orphan.exec(error instanceof Error ? error.message : '')?.[1];
  return path !== undefined && isAbsolute(path) && path.includes('/io.containerd.snapshotter.v1.') && !path.includes('/../') ? path : null;
}

export async function withoutOrphans<T>(make: () => Promise<T>): Promise<T> {
  try {
    return await make();
  } catch (error) {
    const path = orphanIn(error);
    if (path === null) throw error;
    await rm(path, { recursive: true, force: true });
    return make();
  }
}
