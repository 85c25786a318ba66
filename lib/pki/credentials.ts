/**
 * Credentials on disk: `ca.pem`, `cert.pem`, `key.pem` in a directory for its owner alone. The three belong together, so a new
 * set is first written whole beside the old one; whoever reads finishes a replacement that was cut short.
 */
import { randomBytes } from 'node:crypto';
import { mkdir, open, readdir, readFile, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';

export interface Credentials {
  /** PEM, each; `cert` may be a chain, its own certificate first. */
  readonly ca: string;
  readonly cert: string;
  readonly key: string;
}

const files = { ca: 'ca.pem', cert: 'cert.pem', key: 'key.pem' } as const;
const parts = ['key', 'cert', 'ca'] as const;

/** A new set that is complete and on disk, but not in place yet. */
const next = '.next';
const draftPrefix = '.draft-';

/** Where programs that want file names find them. */
export function credentialFiles(directory: string): { readonly ca: string; readonly cert: string; readonly key: string } {
  return { ca: join(directory, files.ca), cert: join(directory, files.cert), key: join(directory, files.key) };
}

/** Null when any of the three is missing. */
export async function readCredentials(directory: string): Promise<Credentials | null> {
  await finish(directory);
  const [ca, cert, key] = await Promise.all([files.ca, files.cert, files.key].map((file) => readIfThere(join(directory, file))));
  return ca && cert && key ? { ca, cert, key } : null;
}

/** Replaces the set. After a crash at any point a reader gets the old one or the new one, never a mixture. */
export async function writeCredentials(directory: string, credentials: Credentials): Promise<void> {
  await mkdir(directory, { recursive: true, mode: 0o700 });
  await finish(directory);
  for (const name of await readdir(directory)) {
    if (name.startsWith(draftPrefix)) await rm(join(directory, name), { recursive: true, force: true });
  }
  const draft = join(directory, `${draftPrefix}${randomBytes(4).toString('hex')}`);
  await mkdir(draft, { mode: 0o700 });
  for (const part of parts) await writeSynced(join(draft, files[part]), credentials[part]);
  await rename(draft, join(directory, next));
  await syncDirectory(directory);
  await finish(directory);
}

/** A file of mode 0600, whole or not at all, on disk when this resolves. */
export async function writeSecret(path: string, content: string): Promise<void> {
  const temporary = `${path}.new`;
  await rm(temporary, { force: true });
  await writeSynced(temporary, content);
  await rename(temporary, path);
  await syncDirectory(join(path, '..'));
}

/** Moves a complete new set into place. */
async function finish(directory: string): Promise<void> {
  let moved = false;
  for (const part of parts) {
    try {
      await rename(join(directory, next, files[part]), join(directory, files[part]));
      moved = true;
    } catch (error) {
      if (!isMissing(error)) throw error;
    }
  }
  if (moved) await syncDirectory(directory);
  await rm(join(directory, next), { recursive: true, force: true });
}

async function writeSynced(path: string, content: string): Promise<void> {
  const file = await open(path, 'wx', 0o600);
  try {
    await file.writeFile(content);
    await file.sync();
  } finally {
    await file.close();
  }
}

/** Renames are on disk only when their directory is. */
async function syncDirectory(directory: string): Promise<void> {
  const handle = await open(directory, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

async function readIfThere(path: string): Promise<string | null> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    if (isMissing(error)) return null;
    throw error;
  }
}

function isMissing(error: unknown): boolean {
  return (error as NodeJS.ErrnoException).code === 'ENOENT';
}
