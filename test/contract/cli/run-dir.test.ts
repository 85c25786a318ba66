import { mkdir, mkdtemp, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { openRunDir, removeRunDir } from '../../../cli/programs/run-dir.ts';
import { silentLog } from '../../../lib/log.ts';
import { isMountPoint, listMounts, mount, unmountAll } from '../../../lib/linux/mount.ts';

const memory = (directory: string) => listMounts().filter(({ target, type }) => target === directory && type === 'tmpfs');

describe.skipIf(process.getuid?.() !== 0)('the run directory of a host', () => {
  let base: string;
  let directory: string;
  beforeEach(async () => {
    // What is below /var/tmp is on a disk, by its meaning.
    base = await mkdtemp('/var/tmp/tsorch-test-run-');
    directory = join(base, 'host');
  });
  afterEach(async () => {
    unmountAll(directory);
    unmountAll(base);
    await rm(base, { recursive: true, force: true });
  });

  it('is made in memory, once, and found by the next start', async () => {
    await openRunDir(directory, silentLog);
    expect(memory(directory)).toHaveLength(1);
    expect((await stat(directory)).mode & 0o777).toBe(0o711);
    await writeFile(join(directory, 'note'), 'kept');
    await openRunDir(directory, silentLog);
    expect(memory(directory)).toHaveLength(1);
    await removeRunDir(directory);
    expect(memory(directory)).toHaveLength(0);
    await expect(stat(directory)).rejects.toThrow('ENOENT');
  });

  it('is left where it is when it is in memory, or in use, already', async () => {
    mount('tmpfs', base, 'tmpfs');
    await openRunDir(directory, silentLog);
    expect(isMountPoint(directory)).toBe(false);
    unmountAll(base);
    await mkdir(directory, { recursive: true });
    await writeFile(join(directory, 'note'), 'of an earlier start');
    await openRunDir(directory, silentLog);
    expect(isMountPoint(directory)).toBe(false);
    await removeRunDir(directory);
    await expect(stat(directory)).rejects.toThrow('ENOENT');
  });

  it('takes no mount away that is not its own', async () => {
    await mkdir(directory);
    mount('somebody', directory, 'tmpfs');
    await openRunDir(directory, silentLog);
    await expect(removeRunDir(directory)).rejects.toThrow('EBUSY');
    expect(memory(directory)).toHaveLength(1);
  });
});
