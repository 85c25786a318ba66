/** Whose names are whose: what the next run may take away, and what it must leave. */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { abandoned, othersHave, own } from '../own.ts';

let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'tsorch-own-'));
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

test('what the dead and this process have left is found; what the living have, and names like it, are not', () => {
  const dead = spawnSync('true').pid;
  const living = process.ppid;
  for (const name of [own('t-a'), `t-a-${dead}`, `t-a-${living}`, `t-a-b-${dead}`, `t-ab-${dead}`, 't-a-', 't-a-x1', `t-a-${dead}-1`, `pre-t-a-${dead}.json`, `pre-t-a-${living}.yml`]) writeFileSync(join(directory, name), '');
  expect(abandoned(directory, 't-a').toSorted()).toEqual([own('t-a'), `t-a-${dead}`].toSorted());
  expect(abandoned(directory, 't-a', '', '-1')).toEqual([`t-a-${dead}`]);
  expect(abandoned(directory, 't-a', 'pre-', '.json')).toEqual([`t-a-${dead}`]);
  expect([othersHave(directory, 't-a'), othersHave(directory, 't-a', 'pre-', '.json'), othersHave(directory, 't-a', 'pre-', '.yml')]).toEqual([true, false, true]);
  expect(abandoned(join(directory, 'none'), 't-a')).toEqual([]);
});
