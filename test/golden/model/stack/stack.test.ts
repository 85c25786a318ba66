/** Whole stacks, whole answers: the resolved document, the specs, and what people see when all is wrong. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { formatDiagnostic, loadStack, printCompose, type LoadResult } from '../../../../model/stack/load.ts';

const files: Readonly<Record<string, string>> = { '/srv/shop/password.txt': 'correct horse', '/srv/shop/api.env': 'WORKERS=4\nBIND="0.0.0.0:8000" # everywhere\n' };

function load(names: readonly string[], profiles: readonly string[] = []): LoadResult {
  return loadStack({
    files: names.map((path) => ({ path, content: readFileSync(join(import.meta.dirname, path), 'utf8') })),
    env: { TAG: '1.4', TOKEN: 'abc' }, profiles, workingDir: '/srv/shop', readFile: (path) => files[path] ?? null,
  });
}

test('shop', async () => {
  const result = load(['shop.yml']);
  expect(result.ok ? [] : result.errors.map((error) => formatDiagnostic(error))).toEqual([]);
  if (!result.ok) return;
  await expect(printCompose(result.compose, 'yaml')).toMatchFileSnapshot('shop.config.yml');
  await expect(`${JSON.stringify(result.stack, null, 2)}\n`).toMatchFileSnapshot('shop.stack.json');
});

test('shop with an override and a profile', async () => {
  const result = load(['shop.yml', 'shop.override.yml'], ['debug']);
  expect(result.ok ? [] : result.errors.map((error) => formatDiagnostic(error))).toEqual([]);
  if (result.ok) await expect(printCompose(result.compose, 'yaml')).toMatchFileSnapshot('shop.override.config.yml');
});

test('wrong', async () => {
  const result = load(['wrong.yml']);
  expect(result.ok).toBe(false);
  if (!result.ok) await expect(`${result.errors.map((error) => formatDiagnostic(error)).join('\n')}\n`).toMatchFileSnapshot('wrong.txt');
});
