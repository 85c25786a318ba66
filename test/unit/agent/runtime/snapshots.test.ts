import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { orphanIn, withoutOrphans } from '../../../../agent/runtime/snapshots.ts';

let root: string;
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'snapshots-'));
});
afterEach(() => rm(root, { recursive: true, force: true }));

const message = (path: string) => `containerd Snapshots/Prepare: failed to rename: rename ${path.replace(/\d+$/, 'new-17')} ${path}: file exists`;

test('only a numbered directory of a snapshotter is an orphan', () => {
  const path = '/state/io.containerd.snapshotter.v1.overlayfs/snapshots/8';
  expect(orphanIn(new Error(message(path)))).toBe(path);
  for (const text of ['file exists', message('/etc/snapshots/8'), message('/a/io.containerd.snapshotter.v1.overlayfs/../../b/snapshots/8'), message('io.containerd.snapshotter.v1.overlayfs/snapshots/8')]) {
    expect(orphanIn(new Error(text)), text).toBeNull();
  }
});

test('the directory in the way is removed and the call made once more', async () => {
  const path = join(root, 'io.containerd.snapshotter.v1.overlayfs/snapshots/8');
  await mkdir(join(path, 'fs'), { recursive: true });
  const made = await withoutOrphans(async () => {
    if (existsSync(path)) throw new Error(message(path));
    return 'made';
  });
  expect(made).toBe('made');
});

test('other failures, and the same one again, are told', async () => {
  let calls = 0;
  await expect(withoutOrphans(async () => { calls++; throw new Error('no space left'); })).rejects.toThrow('no space left');
  expect(calls).toBe(1);
  const path = join(root, 'io.containerd.snapshotter.v1.overlayfs/snapshots/9');
  await expect(withoutOrphans(async () => { calls++; throw new Error(message(path)); })).rejects.toThrow('file exists');
  expect(calls).toBe(3);
});
