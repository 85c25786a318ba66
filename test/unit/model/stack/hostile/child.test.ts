/**
 * All that is hostile, in a process of its own with a bounded heap: an error with a place, and the process lives on. That each takes
 * less than a second is for `test/bench/hostile.ts` to show: here, beside other tests, only what grows without bound is told apart.
 */
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { cases } from './inputs.ts';

/** Megabytes. The texts of ten megabytes, which are the caller's, are in it. */
const heap = 256;

interface Line {
  readonly name: string;
  readonly ms: number;
  readonly errors: readonly { readonly at: { readonly file: string; readonly line: number; readonly column: number }; readonly message: string }[];
  readonly longest: number;
}

const child = spawnSync(process.execPath, [`--max-old-space-size=${heap}`, '--max-semi-space-size=8', join(import.meta.dirname, 'child.ts')], { encoding: 'utf8', timeout: 300_000, maxBuffer: 64 * 1024 * 1024 });
const lines = new Map(child.stdout.split('\n').filter(Boolean).map((text) => JSON.parse(text) as Line).map((line) => [line.name, line]));

test('the process lives to the end', () => {
  expect({ status: child.status, stderr: child.stderr.slice(0, 2000) }).toEqual({ status: 0, stderr: '' });
  expect(lines.size).toBe(cases.length);
});

describe('each', () => {
  test.each(cases)('$name', ({ name, says }) => {
    const line = lines.get(name);
    expect(line).toBeDefined();
    if (!line) return;
    if (says) expect(line.errors.map(({ message }) => message).join('\n')).toMatch(says);
    else expect(line.errors).toEqual([]);
    for (const { at } of line.errors) expect(at.line >= 1 && at.column >= 1 && at.file !== '').toBe(true);
    // What a terminal gets is bounded too.
    expect(line.errors.length).toBeLessThanOrEqual(201);
    expect(line.longest).toBeLessThan(2000);
    // Of processor time, on a machine that may be busy with ten other things.
    expect(line.ms).toBeLessThan(10_000);
  });
});
