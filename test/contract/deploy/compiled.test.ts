/** The compiled copy of this checkout: made, run, and left aside when a source is newer. */
import { execFileSync } from 'node:child_process';
import { appendFileSync, cpSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, symlinkSync, utimesSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { nodeEnv, nodeFlags } from '../../../deploy/compiled/program.ts';

const root = resolve(import.meta.dirname, '../../..');
const folders = ['agent', 'bin', 'cli', 'deploy', 'lib', 'master', 'model', 'proto', 'proxy'];
let copy: string;

/** Another checkout, so that this one's copy stays as it is. */
beforeAll(() => {
  copy = mkdtempSync(join(tmpdir(), 'tsorch-compiled-'));
  for (const folder of folders) cpSync(join(root, folder), join(copy, folder), { recursive: true });
  for (const file of ['package.json', 'package-lock.json']) cpSync(join(root, file), join(copy, file));
  symlinkSync(join(root, 'node_modules'), join(copy, 'node_modules'));
});
afterAll(() => rmSync(copy, { recursive: true, force: true }));

function node(...args: string[]): string {
  return execFileSync(join(root, 'node_modules/.bin/node'), ['--disable-warning=ExperimentalWarning', ...args], { cwd: copy, encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
}

const build = () => node('deploy/compiled/build.ts').trim();
const programs = () => readdirSync(join(copy, 'dist')).filter((name) => /^[0-9a-f]{12}$/.test(name));

/** What the command line says went wrong, and where, for a call that cannot work. */
function failure(env: NodeJS.ProcessEnv = {}): string {
  try {
    return execFileSync(join(copy, 'bin/tsorch'), ['nodes', '--debug', '--master', 'https://127.0.0.1:9'], { cwd: '/', encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'], env: { ...process.env, TSORCH_CONFIG: join(copy, 'none.json'), ...env } });
  } catch (error) {
    return (error as { stderr: string }).stderr;
  }
}

describe('the compiled copy', () => {
  it('is made once for the same sources, and the older one goes', () => {
    const first = build();
    expect(existsSync(join(copy, first, 'cli/main.js'))).toBe(true);
    expect(build()).toBe(`${first} (there already)`);
    appendFileSync(join(copy, 'cli/exit.ts'), '\n// changed\n');
    const second = build();
    expect(second).not.toBe(first);
    expect(programs()).toEqual([second.replace('dist/', '')]);
  });

  it('says the same as the sources, in their terms', () => {
    build();
    const [compiled, source] = [failure(), failure({ TSORCH_SOURCE: '1' })];
    const frames = (text: string) => Array.from(text.matchAll(/((?:cli|model|lib)\/[\w/-]+\.ts:\d+)/g), ([, at]) => at);
    expect(frames(source).length).toBeGreaterThan(0);
    expect(frames(compiled)).toEqual(frames(source));
  });

  it('is left aside when a source is newer', () => {
    build();
    const script = readFileSync(join(copy, 'bin/tsorch'), 'utf8').replace(/^exec .*$/m, 'echo "$1"');
    const chosen = (env: NodeJS.ProcessEnv = {}) => execFileSync('sh', ['-c', script, join(copy, 'bin/tsorch'), 'ps'], { encoding: 'utf8', env: { ...process.env, ...env } }).trim();
    expect(chosen()).toMatch(/\/dist\/[0-9a-f]{12}\/cli\/main\.js$/);
    expect(chosen({ TSORCH_SOURCE: '1' })).toBe(join(copy, 'cli/main.ts'));
    const changed = statSync(join(copy, 'dist/current/inputs')).mtimeMs / 1000 + 1;
    utimesSync(join(copy, 'model/errors.ts'), changed, changed);
    expect(chosen()).toBe(join(copy, 'cli/main.ts'));
    rmSync(join(copy, 'model/errors.ts'));
    expect(chosen()).toBe(join(copy, 'cli/main.ts'));
    cpSync(join(root, 'model/errors.ts'), join(copy, 'model/errors.ts'));
  });

  it('holds no text that takes two bytes per character', () => {
    build();
    const directory = join(copy, 'dist/current/cli');
    for (const name of readdirSync(directory).filter((file) => file.endsWith('.js'))) expect(readFileSync(join(directory, name), 'utf8').search(/[\u0100-\uffff]/), name).toBe(-1);
  });

  it('is never the importer of its own entry: that would run the command line again', () => {
    build();
    const supervisor = readFileSync(join(copy, 'dist/current/cli/supervisor.js'), 'utf8');
    expect(supervisor).not.toContain('./main.js');
  });
});

it('bin/tsorch gives the programs the same flags as a local cluster does', () => {
  const script = readFileSync(join(root, 'bin/tsorch'), 'utf8');
  for (const [pattern, kind] of [[/^ {2}master\) set -- (.*) "\$@"/m, 'master'], [/^ {2}host \| agent \| proxy\) set -- (.*) "\$@"/m, 'host']] as const) {
    const own = pattern.exec(script)?.[1]?.split(' ') ?? [];
    const always = /^exec \S+ (.*) "\$@"/m.exec(script)?.[1]?.split(' ') ?? [];
    expect([...always, ...own]).toEqual(nodeFlags(kind));
  }
  for (const [key, value] of Object.entries(nodeEnv)) expect(script).toContain(`export ${key}=${value}`);
});
