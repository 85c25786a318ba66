/** Paths of Linux hosts, handled as text. */

export function isAbsolute(path: string): boolean {
  return path.startsWith('/');
}

/** `/a/./b/../c/` → `/a/c`. Never climbs above `/`. */
export function normalise(path: string): string {
  const parts: string[] = [];
  for (const part of path.split('/')) {
    if (part === '' || part === '.') continue;
    if (part === '..') parts.pop();
    else parts.push(part);
  }
  return `/${parts.join('/')}`;
}

/** `path` seen from the absolute directory `base`; `~` is `home`. */
export function resolvePath(base: string, path: string, home?: string): string {
  if (home !== undefined && (path === '~' || path.startsWith('~/'))) return normalise(`${home}/${path.slice(1)}`);
  return normalise(isAbsolute(path) ? path : `${base}/${path}`);
}

export function dirname(path: string): string {
  return normalise(path.slice(0, Math.max(0, path.lastIndexOf('/'))));
}

export function basename(path: string): string {
  return path.slice(path.lastIndexOf('/') + 1);
}

export function hasParentSegment(path: string): boolean {
  return path.split('/').includes('..');
}
