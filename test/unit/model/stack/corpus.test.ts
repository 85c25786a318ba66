/**
 * Real stack files from public repositories, kept outside this one: each loads, or is refused for a reason that is listed here,
 * and says what Docker's own loader says where both have something to say. Without the files there is nothing to test.
 */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { Compile } from 'typebox/schema';
import { parse } from 'yaml';
import { describe, expect, test } from 'vitest';
import { renderSchema } from '../../../../model/stack/schema/canonical.ts';
import { loadStack, printCompose, type Json, type JsonObject, type LoadResult } from '../../../../model/stack/load.ts';

const checker = Compile(JSON.parse(renderSchema()) as object);
const folder = join(import.meta.dirname, '../../../../../shared/stacks');
const there = existsSync(join(folder, 'SOURCES.tsv'));

interface Row {
  readonly file: string;
  readonly features: string;
  readonly required: readonly string[];
  readonly variables: readonly string[];
  readonly schema: string;
}

const rows: readonly Row[] = there
  ? readFileSync(join(folder, 'SOURCES.tsv'), 'utf8').trim().split('\n').slice(1).map((line) => {
      const [file = '', , , , , , , features = '', variables = '', required = '', schema = ''] = line.split('\t');
      return { file, features, schema, required: required.split(',').filter(Boolean), variables: variables.split(',').filter(Boolean) };
    })
  : [];

function read(row: Row): string {
  return readFileSync(join(folder, row.file), 'utf8');
}

function loadRow(row: Row, variables: readonly string[], over: readonly string[] = [], value = 'dummy'): LoadResult {
  return loadStack({
    files: [read(row), ...over].map((content, index) => ({ path: index === 0 ? row.file : 'over.yml', content })),
    env: { HOME: '/home/user', ...Object.fromEntries(variables.map((name) => [name, value])) }, workingDir: '/CASEDIR', projectName: 'case', profiles: ['*'],
    readFile: () => '',
  });
}

/** Keys that tsorch refuses, as docs/compose.md says. */
const refusals = [
  /build is refused: images are not built/, /driver: (fluentd|syslog) is refused: logs stay/, /ipv4_address is refused/,
  /the option encrypted is not supported/, /the hosts run linux, not wasi/,
];
/** An image or constraint that a variable without value leaves half written: Swarm refuses it later, we at once. */
const halfWritten = [/the value is missing/, /there is nothing between two slashes/];
/** Overrides of another file, which we do not have. */
const partial = [/the service \S+ has no image/, /there is no (service|network)/];
/** Mistakes of the files themselves, and extensions of a base that is not here. */
const mistakes: Readonly<Record<string, RegExp>> = {
  '162-docker-elk-extensions-filebeat-filebeat-compose.yml': /there is no (service|network) "(elk|elasticsearch)"/,
  '165-docker-elk-extensions-heartbeat-heartbeat-compose.yml': /there is no (service|network) "(elk|elasticsearch)"/,
  '282-swarm-stacks-vault-transit.yml': /\$\? is no variable/,
  '339-docker-swarm-apps-proxy-nginx-cache-docker-compose.yml': /"<" is not allowed in an image's name/,
  '345-docker-swarm-apps-traefik-app-compose.yml': /deploy.labels\[\d\]: labels\[\d\] must be KEY=VALUE, not a mapping/,
};

function unexplained(row: Row, result: LoadResult): readonly string[] {
  if (result.ok) return [];
  const reasons = [...refusals, ...(/partial-override|extends|include/.test(row.features) ? partial : []), ...(mistakes[row.file] ? [mistakes[row.file] as RegExp] : [])];
  const lines = result.errors.filter(({ severity }) => severity === 'error').map(({ at, path, message }) => `${at.line}:${at.column} ${path}: ${message}`);
  return lines.filter((line) => !reasons.some((reason) => reason.test(line)));
}

/** What Docker's loader makes of the file, and what ours does, in the words that both share. */
function compare(ours: JsonObject, theirs: JsonObject): void {
  expect(Object.keys(object(ours['services'])).toSorted()).toEqual(Object.keys(object(theirs['services'])).toSorted());
  for (const [name, service] of Object.entries(object(theirs['services']))) {
    const mine = object(object(ours['services'])[name]);
    const other = object(service);
    for (const key of ['image', 'command', 'entrypoint', 'environment', 'healthcheck', 'hostname', 'user', 'working_dir', 'cap_add', 'stop_grace_period', 'stop_signal', 'dns', 'labels'] as const) {
      expect({ [`${name}.${key}`]: plain(mine[key]) }).toEqual({ [`${name}.${key}`]: plain(other[key]) });
    }
    expect({ [`${name}.ports`]: list(mine['ports']).map(port) }).toEqual({ [`${name}.ports`]: list(other['ports']).map(port) });
    expect({ [`${name}.volumes`]: list(mine['volumes']).map(mount) }).toEqual({ [`${name}.volumes`]: list(other['volumes']).map(mount) });
    expect({ [`${name}.networks`]: Object.keys(object(mine['networks'])).toSorted() }).toEqual({ [`${name}.networks`]: networksOf(other) });
    for (const key of ['secrets', 'configs'] as const) expect({ [`${name}.${key}`]: list(mine[key]).map(grant) }).toEqual({ [`${name}.${key}`]: list(other[key]).map(grant) });
    expect({ [`${name}.deploy`]: plain(mine['deploy']) }).toEqual({ [`${name}.deploy`]: plain(other['deploy']) });
  }
  for (const section of ['volumes', 'secrets', 'configs']) expect(Object.keys(object(ours[section])).toSorted()).toEqual(Object.keys(object(theirs[section])).toSorted());
}

/** Docker's old loader leaves the default network unsaid. */
function networksOf(service: JsonObject): readonly string[] {
  const names = Object.keys(object(service['networks'])).toSorted();
  return names.length > 0 || (service['network_mode'] ?? 'bridge') !== 'bridge' ? names : ['default'];
}

function object(value: Json | undefined): JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? value as JsonObject : {};
}

function list(value: Json | undefined): readonly JsonObject[] {
  return Array.isArray(value) ? value.map(object) : [];
}

/** Numbers and texts of numbers are alike, and so are an empty thing and none. */
function plain(value: Json | undefined): Json {
  if (value === undefined || value === null) return null;
  if (Array.isArray(value)) return value.length === 0 ? null : value.map(plain);
  if (typeof value === 'object') {
    const entries = Object.entries(value).map(([key, item]) => [key, plain(item)] as const).filter(([, item]) => item !== null);
    return entries.length === 0 ? null : Object.fromEntries(entries);
  }
  // A line break at the start of a text got lost on Docker's way out.
  if (typeof value === 'string' && value.startsWith('\n')) return value.slice(1);
  return typeof value === 'string' && /^-?\d+(\.\d+)?$/.test(value) ? Number(value) : value === '' || value === false ? null : value;
}

function port(value: JsonObject): Json {
  return plain({ mode: value['mode'] ?? 'ingress', target: value['target'] ?? null, published: value['published'] ?? null, protocol: value['protocol'] ?? 'tcp' });
}

function mount(value: JsonObject): Json {
  return plain({ type: value['type'] ?? null, source: trim(value['source']), target: trim(value['target']), read_only: value['read_only'] ?? null });
}

function trim(value: Json | undefined): Json {
  // Paths beside the case's folder were resolved where Docker ran.
  return typeof value === 'string' ? value.replace(/(?<=.)\/$/, '').replace(/^\/tmp\/hw\//, '/') : value ?? null;
}

function grant(value: JsonObject): Json {
  return plain({ source: value['source'] ?? null, target: value['target'] ?? null, mode: value['mode'] ?? null, uid: value['uid'] ?? null });
}

describe.skipIf(!there)('real stacks', () => {
  test.each(rows)('$file', (row) => {
    let result = loadRow(row, row.required);
    if (!result.ok && result.errors.some(({ message }) => halfWritten.some((reason) => reason.test(message)))) result = loadRow(row, row.variables);
    // Some of the variables are paths.
    if (!result.ok && result.errors.some(({ message }) => message.includes('no volume "dummy/'))) result = loadRow(row, row.variables, [], '/dummy');
    expect(unexplained(row, result)).toEqual([]);
    if (!result.ok) return;
    expect(checker.Errors(result.compose)[1]).toEqual([]);
    expect(row.schema === 'ok' || /None/.test(row.schema)).toBe(true);

    const printed = printCompose(result.compose, 'yaml');
    const again = loadStack({ files: [{ path: 'again.yml', content: printed }], env: {}, workingDir: '/elsewhere', profiles: ['*'], readFile: () => '' });
    expect(again).toMatchObject({ ok: true });
    if (again.ok) expect(again.stack).toEqual(result.stack);
  });

  test('most of them load', () => {
    const loaded = rows.filter((row) => loadRow(row, row.variables).ok || loadRow(row, row.variables, [], '/dummy').ok);
    expect(loaded.length).toBeGreaterThanOrEqual(100);
  });

  const compared = rows.filter((row) => existsSync(join(folder, 'stack-config', row.file)) && !mistakes[row.file]);
  test.each(compared)('$file as Docker has it', (row) => {
    const theirs = parse(readFileSync(join(folder, 'stack-config', row.file), 'utf8'), { maxAliasCount: -1 }) as JsonObject;
    // What we refuse is taken away, so that the rest can be compared.
    const services = Object.entries(object(theirs['services']));
    const over = `services:\n${services.map(([name, service]) => `  ${JSON.stringify(name)}: { build: !reset null, logging: !reset null, platform: !reset null${'image' in object(service) ? '' : ', image: none'} }\n`).join('')}`;
    const result = loadRow(row, row.required, services.length > 0 ? [over] : []);
    if (!result.ok) {
      expect(result.errors.filter(({ message, severity }) => severity === 'error' && ![...refusals, ...halfWritten, ...partial].some((reason) => reason.test(message)))).toEqual([]);
      return;
    }
    const ours = { ...result.compose, services: Object.fromEntries(Object.entries(result.compose.services).map(([name, service]) => [name, 'image' in object(object(theirs['services'])[name]) ? service : { ...service, image: '' }])) };
    compare(ours, theirs);
  });

  test('mutants: a result or errors at places, whatever is changed', () => {
    const texts = rows.map(read).filter((text) => text.length < 8000);
    const bits = ['', ' ', '  ', '\n', ':', '- ', '"', "'", '{', '}', '[', ']', '$', '${', '&a ', '*a', '!reset ', '#', '\t', '|', '>', ',', '0', '-1', 'null', '<<: ', '../', '\u0000', '%', '@'];
    const edit = fc.record({ at: fc.nat(), remove: fc.nat(20), insert: fc.constantFrom(...bits) });
    fc.assert(fc.property(fc.nat(texts.length - 1), fc.array(edit, { minLength: 1, maxLength: 6 }), (index, edits) => {
      let text = texts[index] ?? '';
      for (const { at, remove, insert } of edits) text = text.slice(0, at % (text.length + 1)) + insert + text.slice((at % (text.length + 1)) + remove);
      const result = loadStack({ files: [{ path: 'mutant.yml', content: text }], env: {}, workingDir: '/CASEDIR', readFile: () => '' });
      const lines = text.split('\n').length;
      for (const { at } of result.ok ? result.warnings : result.errors) expect(at.line >= 1 && at.line <= lines && at.column >= 1).toBe(true);
      if (!result.ok) expect(result.errors.length).toBeGreaterThan(0);
    }), { numRuns: 1500 });
  });
});

test.skipIf(there)('the real stacks are not here; nothing was tested with them', () => {
  expect(rows).toEqual([]);
});
