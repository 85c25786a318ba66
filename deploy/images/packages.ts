/** Debian packages as files: what to fetch, fetched once, unpacked without being installed. */
import { execFile } from 'node:child_process';
import { access, mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { TsorchError } from '../../model/errors.ts';

const run = promisify(execFile);

export interface DebianPackage {
  readonly name: string;
  /** File name in the archive: carries name, version and architecture. */
  readonly file: string;
}

/**
 * Options that make apt resolve against an empty system with nothing downloaded: it leaves out what it finds installed or
 * fetched, and the answer must be the whole closure every time.
 */
async function emptySystem(cache: string): Promise<string[]> {
  const empty = join(cache, 'empty');
  await mkdir(join(empty, 'partial'), { recursive: true });
  const status = join(cache, 'empty-status');
  await writeFile(status, '');
  return ['-o', `Dir::State::Status=${status}`, '-o', `Dir::Cache::archives=${empty}/`, '-o', 'APT::Sandbox::User=root', '-o', 'Debug::NoLocking=true'];
}

/** The packages and all they depend on, without those left out. Order is apt's: stable for the same archive state. */
export async function resolvePackages(names: readonly string[], leftOut: readonly RegExp[], cache: string): Promise<DebianPackage[]> {
  const options = await emptySystem(cache);
  let stdout: string;
  try {
    ({ stdout } = await run('apt-get', ['install', '-y', '--no-install-recommends', '--print-uris', '-qq', ...options, ...names], { maxBuffer: 16 * 1024 * 1024 }));
  } catch (cause) {
    throw new TsorchError('unavailable', `apt cannot resolve ${names.join(', ')}`, { cause, hint: 'run apt-get update, and see that Debian packages can be reached' });
  }
  const found = stdout.split('\n').flatMap((line) => {
    const [, file] = /^'[^']*' (\S+\.deb) /.exec(line) ?? [];
    return file === undefined ? [] : [{ name: file.slice(0, file.indexOf('_')), file }];
  });
  return found.filter((candidate) => !leftOut.some((pattern) => pattern.test(candidate.name)));
}

/** Fetches what the cache does not have, verified by apt, and returns the paths of the .deb files. */
export async function fetchPackages(packages: readonly DebianPackage[], cache: string): Promise<string[]> {
  await mkdir(join(cache, 'archives'), { recursive: true });
  const paths = packages.map(({ file }) => join(cache, 'archives', file));
  const missing: string[] = [];
  for (const [i, path] of paths.entries()) {
    await access(path).catch(() => missing.push(packages[i]?.name ?? ''));
  }
  if (missing.length > 0) {
    try {
      await run('apt-get', ['download', '-qq', '-o', 'APT::Sandbox::User=root', ...missing], { cwd: join(cache, 'archives'), maxBuffer: 16 * 1024 * 1024 });
    } catch (cause) {
      throw new TsorchError('unavailable', `cannot download Debian packages: ${missing.join(', ')}`, { cause, hint: 'see that Debian packages can be reached, and run apt-get update' });
    }
  }
  return paths;
}

/** Unpacks into a tree with one /usr: a package's own `/lib` must not replace the link to `/usr/lib`. */
export async function unpackPackage(path: string, directory: string): Promise<void> {
  await run('bash', ['-c', 'set -o pipefail; dpkg-deb --fsys-tarfile "$1" | tar -x --keep-directory-symlink -C "$2"', 'unpack', path, directory]);
}
