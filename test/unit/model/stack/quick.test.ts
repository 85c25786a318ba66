/** The quick reader against the `yaml` package: where it does not give up, the trees are the same, to the last offset. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { stringify } from 'yaml';
import { describe, expect, test } from 'vitest';
import { Diagnostics } from '../../../../model/stack/diagnostics.ts';
import { defaultLimits } from '../../../../model/stack/load.ts';
import { plainValue } from '../../../../model/stack/parse/plain.ts';
import { parseQuick } from '../../../../model/stack/parse/quick.ts';
import { Source } from '../../../../model/stack/parse/source.ts';
import type { Node } from '../../../../model/stack/parse/tree.ts';
import { parseFull } from '../../../../model/stack/parse/yaml.ts';

/** A tree as plain values, without the source that all its nodes share, and without what only the quick reader notes. */
function picture(node: Node): unknown {
  const { source: _, ...rest } = node;
  if (rest.kind === 'scalar') return rest;
  const common = { kind: rest.kind, offset: rest.offset, tag: rest.tag };
  if (rest.kind === 'seq') return { ...common, items: rest.items.map(picture) };
  return { ...common, entries: [...rest.entries].map(([key, entry]) => [key, entry.key.offset, picture(entry.value)]) };
}

/** Whether the quick reader read it; then the other did too, and the same. */
function same(text: string): boolean {
  const source = new Source('x.yml', text);
  const quick = parseQuick(source, defaultLimits);
  if (!quick) return false;
  const sink = new Diagnostics(10);
  const full = parseFull(source, defaultLimits, sink);
  expect(sink.sorted().map(({ at, message }) => `${at.line}:${at.column} ${message}`)).toEqual([]);
  expect(full?.length).toBe(1);
  expect(picture(quick)).toEqual(picture((full as readonly Node[])[0] as Node));
  return true;
}

test.each([
  'a: 1', 'a: 1\n', 'a:\n  b: c\n  d:\n', 'a:\n- b\n- c\nd: e\n', 'a:\n  - b: 1\n    c: 2\n  - d\n', 'a: [b, "c", \'d\', {e: f, g: [h]}, ]\n', 'a: {}\nb: []\n', '# c\na: b # d\n\n# e\nc: "x # y"\n', 'a:\n  # first\n  b: c\n', 'a: # here\n  b: c\n',
  'a:\n  - - x\n    - y\n  - z\n', '"a b": c\n\'d\': e\n', 'a : b\n', 'url: http://x:80/y\n', 'a: |\n  x\n   y\n\n  z\n\n\nb: c\n', 'a: |-\n  x\n', 'a: |\n  x', '- a\n- b', 'a: "x\\n\\"y\\""\n', 'a: \'it\'\'s\'\n', 'a: -1\nb: 0x1f\nc: 0o17\nd: .5\ne: 1e3\nf: ~\n',
  'a:\n  -\n    b: c\n  -\n  - d\n', 'a: [::1, -1, a:b, http://x]\n', 'a: b\n  ', 'a: -x\n', 'a: - b', 'a: b: c', 'a: b\n c: d', 'a:\n  b: 1\n c: 2', 'a: [b', 'a: "b', 'a: "b" c', 'a: b\na: c', '? a', 'a: &x b', 'a: *x', 'a: !t b', 'a: >\n  x\n', 'a: |+\n  x\n\n',
  '---\na: b', 'a: b\n---\nc: d', 'a: b\n...\n', '%YAML 1.2', 'a: b\n  c\n', 'a:\tb', '[a]: b', 'a: [b]: c', 'a: {b}', 'a: {b: }', 'a: {b:}', 'a: [,]', '"a":b', 'a: [a b, c]', 'a: [b: c]', 'a:\n    - b\n  - c\n', 'a:\n  b:\n  - c\n  d: e\n', 'a:#b', 'a: b#c', 'a: #b\n', '- a: b\n  c: d\n', 'a:\n-b: c', 'a: @x', 'a: |\n', 'a: |\n\n  x\n', 'a: |\n  x\n y: z\n',
  'a: ? b\n', 'a: :b\n', 'a: b:\n', 'a: [b, #c\n]', '<<: a', '? ? a', ': a', 'a:  b  \n', 'a:   # c\n', 'a:\n\n\n  b:   c\n', '', ' a: b\n', ' a: b\nc: d\n', 'a: |  \n  x\n', 'a: | # c\n  x\n', 'a: |\n  x\n# c\nb: 1\n', 'a: |\n  # x\n', 'a:\n  - |\n    x\n  - y\n', 'a:\n  - "b: c"\n  - "d": e\n', 'a:\n- b: c\n  d: e\n-  f: g\n   h: i\n',
])('%j', (text) => {
  same(text);
});

test('it does read what it is for', () => {
  expect(same('services:\n  web:\n    image: nginx:1 # pinned\n    command: ["a", b]\n    ports:\n      - "80:80"\n    environment:\n      A: "1"\n    configs:\n      - source: x\n        target: /y\n')).toBe(true);
});

test('values of any shape, as the package writes them', () => {
  const value = fc.letrec<{ tree: unknown }>((tie) => ({
    tree: fc.oneof({ depthSize: 'small' }, fc.string({ unit: 'grapheme-ascii', maxLength: 12 }), fc.constantFrom('null', 'true', '1', '1.5', '-', '- a', 'a: b', '# x', ' ', 'a\nb', 'a\n', "it's", '"q"', '<<', '0x1', '~', '!x', '&y', '*z'), fc.integer(), fc.double({ noNaN: true }), fc.boolean(), fc.constant(null),
      fc.array(tie('tree'), { maxLength: 4 }), fc.dictionary(fc.string({ unit: 'grapheme-ascii', minLength: 1, maxLength: 8 }), tie('tree'), { maxKeys: 4 })),
  })).tree;
  let read = 0;
  fc.assert(fc.property(fc.dictionary(fc.constantFrom('a', 'b', 'c d'), value, { minKeys: 1 }), fc.constantFrom(0, 40), fc.boolean(), (object, lineWidth, indentSeq) => {
    if (same(stringify(object, { lineWidth, indentSeq, aliasDuplicateObjects: false }))) read += 1;
  }), { numRuns: 1500 });
  expect(read).toBeGreaterThan(500);
});

test('soup', () => {
  const pieces = fc.constantFrom('a', 'b', 'a: ', 'b: ', 'c:', '- ', '-', '\n', '\n  ', '\n    ', '\n ', ' ', '"', "'", '"x"', "'y'", '[', ']', '{', '}', ', ', ',', ': ', ':', '#', ' # c', '|', '|-', '1', '~', '\\', 'x y', '\n\n', '""', '?', '? ', '&', '*', '!', '%', '@', '`', '>', '<<: ', '---', '=', '\u00a0', '\u00e9', '\u3000', '\ud83d\ude00', '\u0085', '\u2028', '\t');
  let read = 0;
  fc.assert(fc.property(fc.array(pieces, { maxLength: 14 }).map((parts) => `a: ${parts.join('')}`), (text) => {
    if (same(text)) read += 1;
  }), { numRuns: 8000 });
  expect(read).toBeGreaterThan(300);
});

test('structured soup', () => {
  const line = fc.tuple(fc.nat(4), fc.constantFrom('', '- ', '- - ', '-  '), fc.constantFrom('', 'k: ', 'l:', 'm: ', '"q": '), fc.constantFrom('', 'v', '"v"', '[a, b]', '{a: b}', '|', '|-', '# c', 'v # c', 'x: y', '[]', '- z', 'v:', "'s'", 'v\u00a0', '\u00a0'));
  let read = 0;
  fc.assert(fc.property(fc.array(line, { minLength: 1, maxLength: 8 }), (lines) => {
    if (same(`top:\n${lines.map(([depth, bullet, key, value]) => ' '.repeat(depth) + bullet + key + value).join('\n')}`)) read += 1;
  }), { numRuns: 8000 });
  expect(read).toBeGreaterThan(200);
});

test('numbers and words', () => {
  const part = fc.constantFrom('+', '-', '0', '1', '9', '.', 'e', 'E', 'x', 'o', 'inf', '.inf', '.nan', 'null', 'true', 'False', '~', '_', ':', 'a');
  fc.assert(fc.property(fc.array(part, { maxLength: 6 }).map((parts) => parts.join('')), (text) => void same(`a: ${text}\nb: [${text}]`)), { numRuns: 3000 });
  expect(plainValue('0644')).toBe(644);
});

const folder = join(import.meta.dirname, '../../../../../shared/stacks');
describe.skipIf(!existsSync(folder))('real stacks', () => {
  test('most are read, and the same', () => {
    const files = readdirSync(folder).filter((file) => file.endsWith('.yml'));
    const read = files.filter((file) => same(readFileSync(join(folder, file), 'utf8')));
    expect(read.length).toBeGreaterThan(files.length / 2);
  });
});

test('time grows with the text, not with its square', () => {
  // Each would take minutes if every line were searched to the end of the file.
  for (const line of ['k%: v', '- v %', 'k%: "v"', 'k%: [a]', 'k%:', '- a: b', '"k%": v', "- 'x %'"]) {
    const block = line.startsWith('-') ? 'top:\n' : '';
    same(block + Array.from({ length: 10_000 }, (_, index) => line.replace('%', String(index))).join('\n'));
  }
  same(`a: "${'\\n'.repeat(100_000)}"`);
  same(`a: [${'x, '.repeat(50_000)}]`);
}, 60_000);
