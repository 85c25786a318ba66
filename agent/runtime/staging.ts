/**
 * Mounts that a container's creation needs on the host and nobody afterwards: by the time it is created it has copies of its own.
 * Each container has a directory `<runDir>/mounts/<id>` for them, which is taken down when the creation is over, and by the next
 * agent when this one is killed.
 */
import { mkdir, readdir, rmdir, unlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { hasErrno } from '../../lib/linux/libc.ts';
import { listMounts, unmountAll } from '../../lib/linux/mount.ts';

export class Staging {
  readonly directory: string;

  constructor(runDir: string, id: string) {
    this.directory = join(stagingDirectory(runDir), id);
  }

  /** Where the mount of this name will be. */
  path(name: string): string {
    return join(this.directory, name);
  }

  /** Makes the mount point; returns its path. */
  async point(name: string, kind: 'directory' | 'file' = 'directory'): Promise<string> {
    const path = this.path(name);
    await mkdir(this.directory, { recursive: true, mode: 0o700 });
    if (kind === 'directory') await mkdir(path, { recursive: true });
    else await writeFile(path, '');
    return path;
  }

  async takeDown(): Promise<void> {
    await takeDown(this.directory);
  }
}

/** Takes down what an agent that was killed left. Call it before the first container is made. */
export async function sweepStaging(runDir: string): Promise<void> {
  const directory = stagingDirectory(runDir);
  for (const name of await namesIn(directory)) await takeDown(join(directory, name));
}

function stagingDirectory(runDir: string): string {
  return join(runDir, 'mounts');
}

/** The last mounted first. Mount points are empty, and removed as such: nothing is ever deleted through a mount. */
async function takeDown(directory: string): Promise<void> {
  const targets = listMounts().map((mount) => mount.target).filter((target) => target === directory || target.startsWith(`${directory}/`));
  for (const target of targets.reverse()) unmountAll(target);
  for (const name of await namesIn(directory)) await unlink(join(directory, name)).catch(() => rmdir(join(directory, name)));
  await rmdir(directory).catch((error: unknown) => {
    if (!hasErrno(error, 'ENOENT')) throw error;
  });
}

async function namesIn(directory: string): Promise<readonly string[]> {
  return await readdir(directory).catch((error: unknown) => {
    if (hasErrno(error, 'ENOENT')) return [];
    throw error;
  });
}
