/**
 * Paths made of other people's words. Names are checked here again although the API has checked them: whoever speaks to an
 * agent must not reach beyond its folders.
 */
import fs from 'node:fs/promises';
import path from 'node:path';
import { TsorchError } from '../../model/errors.ts';
import { isMissing } from '../state.ts';

/** The name as one path component. Throws `invalid`. */
export function safeName(what: string, name: string): string {
  if (name.length > 255 || !/^[A-Za-z0-9_][A-Za-z0-9_.-]*$/.test(name)) {
    throw new TsorchError('invalid', `${what} ${JSON.stringify(name)} cannot be a name`, { hint: 'use letters, digits, dots, dashes and underscores' });
  }
  return name;
}

/** An absolute path without `..` or NUL, normalised. Throws `invalid`. */
export function safePath(what: string, text: string): string {
  if (!text.startsWith('/') || text.includes('\0') || text.split('/').includes('..')) {
    throw new TsorchError('invalid', `${what} ${JSON.stringify(text)} must be an absolute path without ".."`);
  }
  return path.posix.normalize(text).replace(/(.)\/$/, '$1');
}

/** An existing directory or file below `root` that no symbolic link leads out of. Throws `invalid`. */
export async function inside(root: string, relative: string): Promise<string> {
  if (relative.startsWith('/') || relative.includes('\0') || relative.split('/').includes('..')) {
    throw new TsorchError('invalid', `subpath ${JSON.stringify(relative)} must stay inside the volume`);
  }
  const base = await fs.realpath(root);
  let real: string;
  try {
    real = await fs.realpath(path.join(base, relative));
  } catch (error) {
    if (isMissing(error)) throw new TsorchError('invalid', `the volume has no ${JSON.stringify(relative)}`, { hint: 'create it first, or drop subpath' });
    throw error;
  }
  if (real !== base && !real.startsWith(`${base}/`)) throw new TsorchError('invalid', `subpath ${JSON.stringify(relative)} leads out of the volume by a link`);
  return real;
}
