import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { contextPath, dropContext, readContexts, saveContext, type ContextFile } from '../../../cli/context/file.ts';
import { chooseContext, masterUrl } from '../../../cli/context/resolve.ts';

describe('the file', () => {
  let directory: string;
  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), 'ts-context-'));
  });
  afterEach(() => rm(directory, { recursive: true, force: true }));

  test('keeps contexts, the last one current, for its owner alone', async () => {
    const path = join(directory, 'a/b/context.json');
    await saveContext(path, 'one', { master: 'https://10.0.0.1:7443', ca: 'CA', cert: 'C', key: 'K' });
    await saveContext(path, 'two', { master: 'https://10.0.0.2:7443' });
    expect(await readContexts(path)).toEqual({ current: 'two', contexts: { one: { master: 'https://10.0.0.1:7443', ca: 'CA', cert: 'C', key: 'K' }, two: { master: 'https://10.0.0.2:7443' } } });
    expect((await stat(path)).mode & 0o777).toBe(0o600);
    expect(await dropContext(path, 'two')).toBe(true);
    expect(await readContexts(path)).toMatchObject({ current: null, contexts: { one: {} } });
    expect(await dropContext(path, 'two')).toBe(false);
  });

  test('an absent file is an empty one, a broken one says so', async () => {
    const path = join(directory, 'context.json');
    expect(await readContexts(path)).toEqual({ current: null, contexts: {} });
    await writeFile(path, '{"current":');
    await expect(readContexts(path)).rejects.toThrow('is not JSON');
    expect(await readFile(path, 'utf8')).toBe('{"current":');
  });

  test('its place', () => {
    expect(contextPath({ TSORCH_CONFIG: '/x/y.json', HOME: '/h' })).toBe('/x/y.json');
    expect(contextPath({ XDG_CONFIG_HOME: '/c', HOME: '/h' })).toBe('/c/tsorch/context.json');
    expect(contextPath({ HOME: '/h' })).toBe('/h/.config/tsorch/context.json');
  });
});

describe('which master', () => {
  const file: ContextFile = { current: 'a', contexts: { a: { master: 'https://10.0.0.1:7443', key: 'A' }, b: { master: 'https://10.0.0.2:7443', key: 'B' } } };

  test.each([
    ['the current context', {}, {}, { master: 'https://10.0.0.1:7443', key: 'A' }],
    ['--context', { context: 'b' }, { TSORCH_CONTEXT: 'a' }, { master: 'https://10.0.0.2:7443', key: 'B' }],
    ['TSORCH_CONTEXT', {}, { TSORCH_CONTEXT: 'b' }, { master: 'https://10.0.0.2:7443', key: 'B' }],
    ['--master finds the credentials of its context', { master: '10.0.0.2' }, {}, { master: 'https://10.0.0.2:7443', key: 'B' }],
    ['--master of another master of the same cluster', { master: 'https://10.0.0.9:1' }, {}, { master: 'https://10.0.0.9:1', key: 'A' }],
    ['--master before TSORCH_MASTER', { master: '10.0.0.2' }, { TSORCH_MASTER: '10.0.0.1' }, { master: 'https://10.0.0.2:7443', key: 'B' }],
    ['TSORCH_MASTER', {}, { TSORCH_MASTER: 'https://10.0.0.2:7443' }, { master: 'https://10.0.0.2:7443', key: 'B' }],
  ])('%s', (_name, choice, env, expected) => {
    expect(chooseContext(choice, env, file)).toEqual(expected);
  });

  test('none', () => {
    expect(() => chooseContext({}, {}, { current: null, contexts: {} })).toThrow('no master to talk to');
    expect(() => chooseContext({}, {}, { ...file, current: null })).toThrow('no master to talk to');
    expect(() => chooseContext({ context: 'c' }, {}, file)).toThrow('no context named c');
  });

  test.each([
    ['10.0.0.5', 'https://10.0.0.5:7443'],
    ['example.org:443', 'https://example.org'],
    ['https://example.org', 'https://example.org:7443'],
    ['https://[fd00::1]:9', 'https://[fd00::1]:9'],
    ['http://127.0.0.1:8080', 'http://127.0.0.1:8080'],
  ])('%s is %s', (text, expected) => {
    expect(masterUrl(text)).toBe(expected);
  });

  test.each(['http://10.0.0.5', 'ftp://x', 'https://x/path', 'a b'])('%s is refused', (text) => {
    expect(() => masterUrl(text)).toThrow(/not a master|this machine only/);
  });
});
