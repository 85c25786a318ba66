/** No key works on paper alone: every one that the table says works has a row in test/cluster/keys, or is named as proved by another test. */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import type { Field, Shape } from '../../../../model/stack/schema/shape.ts';
import { top } from '../../../../model/stack/schema/top.ts';
import type { ComposeModel } from '../../../../model/stack/types.ts';
import { stackFile } from '../../../cluster/keys/compose.ts';
import { elsewhere } from '../../../cluster/keys/elsewhere.ts';
import type { Theme } from '../../../cluster/keys/row.ts';
import { themes } from '../../../cluster/keys/themes.ts';
import { errorsOf, load } from './load.ts';

const root = join(import.meta.dirname, '../../../..');
const rows = themes.flatMap((theme) => theme.rows);
const inRows = new Set(rows.flatMap((row) => row.keys));

/** Every key that works, with all the places it stands at: what is the same in a service and a sidecar is one thing. */
function working(): ReadonlyMap<Field, readonly string[]> {
  const found = new Map<Field, string[]>();
  const walk = (shape: Shape, place: string): void => {
    if (shape.kind === 'list' || shape.kind === 'map' || shape.kind === 'short') return walk(shape.of, place);
    if (shape.kind !== 'object') return undefined;
    for (const [key, field] of Object.entries(shape.keys)) {
      if (field.verdict.kind !== 'works') continue;
      const path = place === '' ? key : `${place}.${key}`;
      found.set(field, [...(found.get(field) ?? []), path]);
      walk(field.shape, path);
    }
    return undefined;
  };
  walk(top, '');
  return found;
}

const fields = working();
const paths = new Set([...fields.values()].flat());

describe('every key that works', () => {
  test('is proved: by a row, or elsewhere', () => {
    const missing = [...fields.values()].filter((places) => !places.some((path) => inRows.has(path) || Object.hasOwn(elsewhere, path))).map(([first]) => first);
    expect(missing, 'give each a row in test/cluster/keys, or a test of its own in elsewhere.ts').toEqual([]);
  });

  test('is one of the table: neither rows nor the list name others', () => {
    expect([...inRows, ...Object.keys(elsewhere)].filter((key) => !paths.has(key))).toEqual([]);
  });

  test('is not on the list when a row has it', () => {
    expect(Object.keys(elsewhere).filter((key) => inRows.has(key))).toEqual([]);
  });

  test.each(Object.entries(elsewhere))('%s is spoken of in %s', (key, file) => {
    expect(existsSync(join(root, file)), `${file} is there`).toBe(true);
    expect(readFileSync(join(root, file), 'utf8')).toContain(key.split('.').at(-1));
  });
});

describe('the rows', () => {
  test('have names of their own', () => {
    for (const theme of themes) {
      const titles = theme.rows.map(({ keys, form }) => `${keys.join(', ')}: ${form ?? ''}`);
      expect(titles.filter((title, at) => titles.indexOf(title) !== at), theme.name).toEqual([]);
    }
  });

  test.each(themes)('say their keys, in stacks that load: $name', (theme) => {
    const files = Object.fromEntries(Object.entries(theme.files ?? {}).map(([name, text]) => [`/work/shop/${name}`, text]));
    const options = { env: { MACHINE: '10.0.0.1', ...theme.env }, on: files, profiles: profilesOf(theme) };
    expect(errorsOf(stackFile(theme), options)).toEqual([]);
    const result = load(stackFile(theme), options);
    const said = result.ok ? placesIn(result.compose) : new Set();
    for (const row of theme.rows) {
      const unsaid = row.keys.filter((key) => !said.has(key) && !consumed.test(key) && !String(row.see).includes(key.split('.').at(-1) ?? ''));
      expect(unsaid, `${row.keys[0]}: ${row.form ?? ''}`).toEqual([]);
    }
  });
});

/** Done with when the files have become one. */
const consumed = /^include|^name$|\.(extends|env_file|label_file)(\.|$)/;

function profilesOf({ flags = [] }: Theme): readonly string[] {
  return flags.flatMap((flag, at) => (flags[at - 1] === '--profile' ? [flag] : []));
}

/** Paths of the long syntax, as the table has them: without lists and names in between. */
function placesIn(compose: ComposeModel): ReadonlySet<string> {
  const found = new Set<string>();
  const walk = (value: unknown, shape: Shape, place: string): void => {
    if (shape.kind === 'list' || shape.kind === 'map' || shape.kind === 'short') {
      const inner = shape.kind === 'short' ? [value] : Object.values(value ?? {});
      for (const each of inner) walk(each, shape.of, place);
    }
    if (shape.kind !== 'object') return;
    for (const [key, each] of Object.entries(value ?? {})) {
      const field = shape.keys[key];
      if (!field) continue;
      const path = place === '' ? key : `${place}.${key}`;
      found.add(path);
      walk(each, field.shape, path);
    }
  };
  walk(compose, top, '');
  return found;
}
