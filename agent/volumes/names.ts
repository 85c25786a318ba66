/**
 * Paths made of other people's words. Names are checked here again although the API has checked them: whoever speaks to an
 * agent must not reach beyond its folders.
 */
import path from 'node:path';
import { TsorchError } from '../../model/errors.ts';

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
