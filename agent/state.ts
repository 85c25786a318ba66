/**
 * The agent's files on disk. All are small JSON, each replaced as a whole: a crash leaves the old one or the new one, and
 * what cannot be read (a disk that lied about its flush) counts as not there.
 *
 * ```
 * <state>/epoch.json        the highest leader epoch obeyed
 * <state>/network.json      the last Welcome and the peers, for a start without a master
 * <state>/pods/<id>.json    a pod's record, see pods/record.ts
 * <state>/pods/<id>/        its anonymous volumes, and notes of the named ones it has, see volumes/paths.ts
 * <state>/volumes/<name>/   named volumes
 * <state>/logs/<id>/        output, also of pods that are gone
 * <state>/reserve           nothing, kept for when the disk is full, see state-reserve.ts
 * ```
 */
import fs from 'node:fs/promises';
import path from 'node:path';

/** Replaces a file. With `sync` it has reached the disk, name and all, when the promise resolves. */
export async function writeWhole(file: string, content: string | Uint8Array, options: { readonly sync: boolean; readonly mode?: number } = { sync: true }): Promise<void> {
  const temporary = `${file}.tmp`;
  const handle = await fs.open(temporary, 'w', options.mode ?? 0o600);
  try {
    await handle.writeFile(content);
    if (options.sync) await handle.sync();
  } finally {
    await handle.close();
  }
  await fs.rename(temporary, file);
  if (options.sync) await syncDirectory(path.dirname(file));
}

export async function syncDirectory(directory: string): Promise<void> {
  const handle = await fs.open(directory, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** The file's JSON; undefined when it is absent or torn. Other errors are thrown. */
export async function readJson(file: string): Promise<unknown> {
  let text: string;
  try {
    text = await fs.readFile(file, 'utf8');
  } catch (error) {
    if (isMissing(error)) return undefined;
    throw error;
  }
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

export async function removeFile(file: string): Promise<void> {
  await fs.rm(file, { force: true });
}

export function isMissing(error: unknown): boolean {
  return (error as NodeJS.ErrnoException | null)?.code === 'ENOENT';
}

/** Of our own files, or in what containerd says of its. */
export function isDiskFull(error: unknown): boolean {
  for (let cause = error; cause instanceof Error; cause = cause.cause) {
    const { code } = cause as NodeJS.ErrnoException;
    if (code === 'ENOSPC' || code === 'EDQUOT' || /no space left on device|disk quota exceeded/i.test(cause.message)) return true;
  }
  return false;
}

/** A whole number from 0 on that is exact. */
export function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}

export function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** Whether there is something at the path, links followed. */
export async function isThere(file: string): Promise<boolean> {
  try {
    await fs.stat(file);
    return true;
  } catch (error) {
    if (isMissing(error)) return false;
    throw error;
  }
}
