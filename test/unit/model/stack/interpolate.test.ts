import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { Diagnostics } from '../../../../model/stack/diagnostics.ts';
import { parseDotenv, type EnvFormat } from '../../../../model/stack/interpolate/dotenv.ts';
import { expand, type TemplateIssue } from '../../../../model/stack/interpolate/template.ts';
import { Source } from '../../../../model/stack/parse/source.ts';
import { containerOf, errorsOf, load, warningsOf, webStack } from './load.ts';

const variables: Readonly<Record<string, string>> = { A: 'alpha', EMPTY: '', _x1: 'under', lower: 'case', DOLLAR: '$A' };

function run(text: string): { readonly value: string; readonly unset: readonly string[]; readonly issues: readonly TemplateIssue[] } {
  const unset: string[] = [];
  const issues: TemplateIssue[] = [];
  const value = expand(text, { lookup: (name) => variables[name], unset: (name) => unset.push(name), fail: (issue) => issues.push(issue), limit: 100_000 });
  return { value, unset, issues };
}

describe('templates', () => {
  test.each([
    ['plain', 'plain'], ['$A', 'alpha'], ['${A}', 'alpha'], ['$A-$A', 'alpha-alpha'], ['$$A', '$A'], ['$$$A', '$alpha'], ['$$$$', '$$'], ['a$A.b', 'aalpha.b'], ['$_x1', 'under'], ['$lower', 'case'],
    ['${A:-d}', 'alpha'], ['${NO:-d}', 'd'], ['${EMPTY:-d}', 'd'], ['${EMPTY-d}', ''], ['${NO-d}', 'd'], ['${NO:-}', ''], ['${NO-a-b:-c}', 'a-b:-c'], ['${NO:-a?b}', 'a?b'],
    ['${A:+y}', 'y'], ['${EMPTY:+y}', ''], ['${EMPTY+y}', 'y'], ['${NO+y}', ''], ['${NO:+y}', ''],
    ['${A:?e}', 'alpha'], ['${EMPTY?e}', ''], ['${NO:-${A}}', 'alpha'], ['${NO:-x${NO2:-${A}y}z}', 'xalphayz'], ['${NO:-$$}', '$'], ['{${A}}', '{alpha}'], ['${A}}', 'alpha}'], ['$DOLLAR', '$A'],
    ['${NO:-a b\nc}', 'a b\nc'], ['${A:+${NO:-n}}', 'n'], ['${A:-${NO:?never}}', 'alpha'], ['${NO:+${NO2:?never}}', ''],
  ])('%j', (text, value) => expect(run(text)).toMatchObject({ value, issues: [] }));

  test('unset variables are said, but not those that are not needed', () => {
    expect(run('$NO ${NO2} ${A:-$NO3} ${NO4:-$NO5}').unset).toEqual(['NO', 'NO2', 'NO5']);
  });

  test.each([
    ['a $', 2, 'a $ stands alone at the end'], ['$1', 0, '$1 is no variable'], ['a ${', 2, '${ needs the name of a variable'], ['${A', 0, '${ is not closed'], ['${A:x}', 3, ': cannot stand after the variable A'],
    ['${}', 0, '${ needs the name of a variable'], ['${NO:?it is needed}', 0, 'the variable NO is not set: it is needed'], ['${EMPTY:?}', 0, 'the variable EMPTY is empty'], ['${NO?}', 0, 'the variable NO is not set'],
    ['${NO:-${NO2:?deep}}', 6, 'the variable NO2 is not set: deep'], ['${NO:-x', 0, '${ is not closed'], ['${A!}', 3, '! cannot stand after the variable A'],
  ])('%j fails', (text, offset, message) => expect(run(text).issues).toMatchObject([{ offset, message }]));

  test('nesting and length have limits', () => {
    const deep = `${'${A:-'.repeat(50)}x${'}'.repeat(50)}`;
    expect(run(deep).issues[0]?.message).toContain('nested deeper than');
    const issues: TemplateIssue[] = [];
    expand('$A'.repeat(1000), { lookup: () => 'x'.repeat(1000), unset: () => {}, fail: (issue) => issues.push(issue), limit: 10_000 });
    expect(issues[0]?.message).toContain('10000 characters in all, the limit');
  });

  test('doubled dollars are always the text again, and nothing makes it throw', () => {
    fc.assert(fc.property(fc.string(), (text) => {
      expect(run(text.replaceAll('$', '$$$$')).value).toBe(text);
    }));
    fc.assert(fc.property(fc.array(fc.constantFrom('$', '{', '}', 'A', 'NO', ':', '-', '?', '+', ' ')).map((parts) => parts.join('')), (text) => void run(text)), { numRuns: 3000 });
  });
});

describe('in stacks', () => {
  test('positions inside scalars, plain and quoted', () => {
    expect(errorsOf(webStack('command: echo ${A:?set A}'))).toEqual(['4:19 services.web.command: the variable A is not set: set A; set A in the environment or in .env']);
    expect(errorsOf(webStack('command: ["echo", "x ${A!}"]'))).toEqual(['4:29 services.web.command[1]: ! cannot stand after the variable A; the operators are :- - :? ? :+ +']);
  });

  test('an unset variable warns once, keys stay as they are', () => {
    expect(warningsOf(webStack('environment:\n  $KEY: $NO\n  OTHER: $NO'))).toEqual(['5:13 services.web.environment["$KEY"]: the variable NO is not set; it is taken as empty']);
  });

  test('the process wins over env files, later files over earlier ones, and files see what is above', () => {
    const options = { env: { A: 'process' }, envFiles: [{ path: '.env', content: 'A=file\nB=one\nC=$B-$A\nD=x' }, { path: 'more.env', content: 'B=two\nD="$B"' }] };
    expect(containerOf('environment: { A: $A, B: $B, C: $C, D: $D }', options).env).toEqual({ A: 'process', B: 'two', C: 'one-process', D: 'one' });
  });

  test('values that become numbers and booleans', () => {
    expect(load(webStack('deploy: { replicas: "${N}" }\ninit: ${I}'), { env: { N: '3', I: 'yes' } })).toMatchObject({ ok: true, stack: { services: { web: { mode: { replicas: 3 }, template: { containers: [{ init: true }] } } } } });
    expect(errorsOf(webStack('deploy: { replicas: "${N}" }'), { env: { N: 'many' } })).toEqual(['4:25 services.web.deploy.replicas: replicas must be a whole number, not "many"']);
  });

  test('COMPOSE_PROJECT_NAME is the name of the stack, wherever it comes from', () => {
    const stack = `name: ${'${BASE:-shop}'}-x\n${webStack('environment: { P: $COMPOSE_PROJECT_NAME }')}`;
    expect(load(stack)).toMatchObject({ ok: true, stack: { name: 'shop-x', services: { web: { template: { containers: [{ env: { P: 'shop-x' } }] } } } } });
    expect(load(stack, { projectName: 'given' })).toMatchObject({ ok: true, stack: { name: 'given', services: { web: { template: { containers: [{ env: { P: 'given' } }] } } } } });
    expect(load(stack, { env: { COMPOSE_PROJECT_NAME: 'fromenv' } })).toMatchObject({ ok: true, stack: { name: 'fromenv' } });
  });
});

describe('dotenv', () => {
  function dotenv(text: string, format: EnvFormat = 'dotenv'): { readonly values: Record<string, string | null>; readonly errors: readonly string[] } {
    const sink = new Diagnostics(100);
    const values = parseDotenv(new Source('.env', text), format, (name) => variables[name], 10_000, sink);
    return { values: Object.fromEntries(values), errors: sink.sorted().map(({ at, message }) => `${at.line}:${at.column} ${message}`) };
  }

  test.each<[string, Record<string, string | null>]>([
    ['K=v', { K: 'v' }], ['K = v ', { K: 'v' }], ['export K=v', { K: 'v' }], ['K: v', { K: 'v' }], ['K=', { K: '' }], ['\uFEFFK=v', { K: 'v' }], ['K=v\r\nL=w\r\n', { K: 'v', L: 'w' }],
    ['# c\n\n  K=v # c', { K: 'v' }], ['K=v#no', { K: 'v#no' }], ['K=#c', { K: '' }], ['K="v # no" # c', { K: 'v # no' }], ["K='v'", { K: 'v' }],
    ["K='$A \\n'", { K: '$A \\n' }], ["K='it\\'s'", { K: "it's" }], ['K="$A"', { K: 'alpha' }], ['K=$A', { K: 'alpha' }], ['K="a\\nb\\t\\"\\\\ \\$A"', { K: 'a\nb\t"\\ $A' }],
    ['K="a\nb"', { K: 'a\nb' }], ['K=1\nL=${K}2', { K: '1', L: '12' }], ['K=x=y', { K: 'x=y' }], ['A', { A: 'alpha' }], ['NO', { NO: null }], ['K.a-b=1', { 'K.a-b': '1' }], ['K=a"b"', { K: 'a"b"' }],
    ['1K=v\na[1]=c\nárv-TÜK.x=ő', { '1K': 'v', 'a[1]': 'c', 'árv-TÜK.x': 'ő' }], ['K="\\a\\v\\033[1m\\q\\ x"', { K: '\u0007\v\u001b[1m\\q\\ x' }],
    ['A=own\nL=$A', { A: 'own', L: 'alpha' }],
  ])('%j', (text, values) => expect(dotenv(text)).toEqual({ values, errors: [] }));

  test.each([
    ['K="a', '1:3 the " is not closed'], ['=v', '1:1 a line must be KEY=VALUE, not "=v"'], ['%K=v', '1:1 a line must be KEY=VALUE, not "%K=v"'], ['K v', '1:2 after the key K must come ='], ['K="a" b', '1:6 text after the closing quote'],
    ['A=1\nK=${NO:?x}', '2:3 the variable NO is not set: x'],
  ])('%j fails', (text, error) => expect(dotenv(text).errors).toEqual([error]));

  test('raw is to the letter', () => {
    expect(dotenv('K="$A" # x\n# c\nL= v ', 'raw').values).toEqual({ K: '"$A" # x', L: ' v ' });
  });

  test('never throws', () => {
    fc.assert(fc.property(fc.array(fc.constantFrom('K', '=', '"', "'", '$', '{', '}', '\n', '\\', '#', ' ', 'export ', ':')).map((parts) => parts.join('')), (text) => void dotenv(text)), { numRuns: 3000 });
  });
});
