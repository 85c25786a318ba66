/** Where a copy goes, by docker's rules: what a slash at an end means, and what there is already. Pure. */
import { posix } from 'node:path';
import { TsorchError } from '../../model/errors.ts';

export type Place =
  /** Standard input or output, as a tar stream. */
  | { readonly kind: 'stream' }
  | { readonly kind: 'local'; readonly path: string }
  | { readonly kind: 'pod'; readonly target: string; readonly path: string };

/** `-`, `POD:PATH`, or a path of this machine; one with a colon in it is written `./a:b`. */
export function parsePlace(word: string): Place {
  if (word === '-') return { kind: 'stream' };
  const colon = word.indexOf(':');
  if (colon <= 0 || word.startsWith('/') || word.startsWith('.')) return { kind: 'local', path: word };
  const path = word.slice(colon + 1);
  if (path === '') throw new TsorchError('invalid', `${word}: the path after the colon is missing`, { hint: `write such as ${word}/etc/hosts` });
  return { kind: 'pod', target: word.slice(0, colon), path };
}

export interface End {
  readonly path: string;
  /** null: nothing is there. */
  readonly type: 'directory' | 'file' | null;
}

export interface Landing {
  /** The directory that the archive is extracted into. */
  readonly directory: string;
  /** What its top is called there; `.` puts a directory's content into it. */
  readonly as: string;
}

/** `not-found` when a directory that must be there is not, `invalid` for a directory onto a file. */
export function landing(source: End, destination: End): Landing {
  const contents = /(^|\/)\.$/.test(source.path);
  const base = posix.basename(posix.resolve('/', source.path));
  if (destination.type === 'directory') return { directory: destination.path, as: contents || base === '' ? '.' : base };
  if (destination.type === 'file' && source.type === 'directory') throw new TsorchError('invalid', `${destination.path} is a file: a directory cannot be copied onto it`);
  if (/\/\.?$/.test(destination.path) && source.type !== 'directory') {
    throw destination.type === 'file'
      ? new TsorchError('invalid', `${destination.path} is no directory`)
      : new TsorchError('not-found', `there is no directory ${destination.path}`, { hint: 'make it first, or leave the / at the end away' });
  }
  const path = destination.path.replace(/\/+\.?$/, '') || '/';
  return { directory: posix.dirname(path), as: posix.basename(path) };
}
