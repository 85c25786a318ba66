import fs from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { linuxMounter } from '../../../../agent/volumes/mounter.ts';

let directory: string;
beforeEach(async () => {
  directory = await fs.mkdtemp(path.join(os.tmpdir(), 'tsorch-mounter-'));
});
afterEach(async () => {
  linuxMounter.unmount(directory);
  await fs.rm(directory, { recursive: true, force: true });
});

const isRoot = process.getuid?.() === 0;

test.runIf(isRoot)('secrets lie on a tmpfs of their own that only root can enter', async () => {
  linuxMounter.secretTmpfs(directory);
  expect(linuxMounter.isMounted(directory)).toBe(true);
  const [stat, fsStat] = [await fs.stat(directory), await fs.statfs(directory)];
  expect([stat.mode & 0o777, fsStat.type]).toEqual([0o700, 0x01021994]);
  await fs.writeFile(path.join(directory, 'secret'), 'x');
  linuxMounter.unmount(directory);
  linuxMounter.unmount(directory);
  expect([linuxMounter.isMounted(directory), await fs.readdir(directory)]).toEqual([false, []]);
});

test.runIf(isRoot)('mounts as the mount command does, and says why it cannot', async () => {
  await linuxMounter.mount({ type: 'tmpfs', options: 'size=1m,mode=0750', device: 'scratch' }, directory);
  expect((await fs.stat(directory)).mode & 0o777).toBe(0o750);
  linuxMounter.unmount(directory);
  await expect(linuxMounter.mount({ type: 'ext4', options: 'ro', device: '/dev/nothing-here' }, directory)).rejects.toMatchObject({ code: 'unavailable', message: expect.stringContaining('/dev/nothing-here') });
});
