/** A master's id: made once, kept in its state directory, so that a restarted master is the same one. */
import { randomBytes } from 'node:crypto';
import { link, mkdir, readFile, unlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { TsorchError } from '../model/errors.ts';

/** Reads `<stateDir>/master-id`, or makes it. Throws `internal` when the file holds something else. */
export async function masterId(stateDir: string): Promise<string> {
  const file = join(stateDir, 'master-id');
  const found = await read(file);
  if (found !== null) return found;
  await mkdir(stateDir, { recursive: true, mode: 0o700 });
  const draft = `${file}.${randomBytes(4).toString('hex')}`;
  await writeFile(draft, `${randomBytes(5).toString('hex')}\n`, { mode: 0o600, flush: true });
  try {
    // Unlike a rename, this leaves a file alone that somebody else has just made.
    await link(draft, file).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== 'EEXIST') throw error;
    });
  } finally {
    await unlink(draft);
  }
  return (await read(file))!;
}

async function read(file: string): Promise<string | null> {
  const text = await readFile(file, 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return null;
    throw error;
  });
  if (text === null) return null;
  if (!/^[0-9a-z]{4,40}\n?$/.test(text)) throw new TsorchError('internal', `${file} does not hold a master's id`, { hint: 'delete it, and a new one is made' });
  return text.trim();
}
