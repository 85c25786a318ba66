import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { parseChallenge } from '../../../../lib/oci/challenge.ts';
import { credentialsFor, type CredentialHelper, parseDockerConfig, parseHelperAnswer, readDockerConfig, runHelper } from '../../../../lib/oci/docker-config.ts';
import { choosePlatform } from '../../../../lib/oci/manifest.ts';
import { amd64Variant, distance, formatPlatform, parsePlatform, platformOf } from '../../../../lib/oci/platform.ts';
import { readableName, withDigest } from '../../../../lib/oci/reference.ts';
import { noSettings, placesOf } from '../../../../lib/oci/registries.ts';
import { parseRegistries, RegistriesFile } from '../../../../lib/oci/registries-file.ts';
import { parseRetryAfter, retryDelay } from '../../../../lib/oci/retry.ts';

const signal = new AbortController().signal;
const refused = (code: string) => expect.objectContaining({ code }) as unknown as Error;

describe('platforms', () => {
  test.each([
    ['linux/amd64', 'linux/amd64'], ['x86_64', 'linux/amd64'], ['linux/aarch64', 'linux/arm64'], ['linux/arm/v6', 'linux/arm/v6'], ['armhf', 'linux/arm/v7'], ['windows/amd64', 'windows/amd64'], ['LINUX/ARM64/V8', 'linux/arm64/v8'],
  ])('%s is %s', (text, full) => expect(formatPlatform(parsePlatform(text))).toBe(full));
  test.each(['', 'a/b/c/d', 'linux/', 'li nux/amd64'])('%j is none', (text) => expect(() => parsePlatform(text)).toThrow(refused('invalid')));
  test.each([
    ['linux/amd64', 'linux/amd64', 0], ['linux/amd64/v3', 'linux/amd64/v2', 1], ['linux/amd64/v3', 'linux/amd64', 2], ['linux/amd64/v2', 'linux/amd64/v3', null], ['linux/amd64', 'linux/386', 100],
    ['linux/arm/v7', 'linux/arm/v6', 1], ['linux/arm/v6', 'linux/arm/v7', null], ['linux/arm/v6', 'linux/arm', null], ['linux/arm64', 'linux/arm64/v8', 0], ['linux/arm64', 'linux/arm/v7', 101],
    ['linux/arm', 'linux/arm64', null], ['linux/386', 'linux/amd64', null], ['linux/amd64', 'windows/amd64', null], ['linux/riscv64', 'linux/riscv64', 0], ['linux/amd64', 'linux/amd64/odd', null],
  ])('on %s an image for %s is %s away', (host, image, away) => expect(distance(parsePlatform(host), parsePlatform(image))).toBe(away));
  test('levels of x86-64', () => {
    const v2 = ['cx16', 'lahf_lm', 'popcnt', 'sse4_1', 'sse4_2', 'ssse3'];
    const v3 = [...v2, 'avx', 'avx2', 'bmi1', 'bmi2', 'f16c', 'fma', 'abm', 'movbe', 'xsave'];
    expect([[], v2, v3, [...v3, 'avx512f', 'avx512bw', 'avx512cd', 'avx512dq', 'avx512vl']].map((flags) => amd64Variant(new Set(flags)))).toEqual(['v1', 'v2', 'v3', 'v4']);
  });
  test('the best of an index', () => {
    const of = (text: string) => ({ mediaType: 'm', digest: text, size: 1, platform: parsePlatform(text) });
    const list = [of('linux/386'), of('linux/amd64'), of('linux/amd64/v3'), of('linux/arm/v6'), of('linux/arm/v7'), of('unknown/unknown')];
    expect(choosePlatform(list, parsePlatform('linux/amd64/v3'), 'it').digest).toBe('linux/amd64/v3');
    expect(choosePlatform(list, parsePlatform('linux/amd64/v2'), 'it').digest).toBe('linux/amd64');
    expect(choosePlatform(list, platformOf('armhf'), 'it').digest).toBe('linux/arm/v7');
    expect(choosePlatform(list, platformOf('armv6l'), 'it').digest).toBe('linux/arm/v6');
    expect(() => choosePlatform(list, platformOf('s390x'), 'it')).toThrow('it has no image for linux/s390x, only for linux/386, linux/amd64, linux/amd64/v3, linux/arm/v6, linux/arm/v7');
  });
});

describe('names', () => {
  const digest = `sha256:${'a'.repeat(64)}`;
  test.each([
    ['docker.io/library/redis:7', 'redis:7'], [`docker.io/team/app:1@${digest}`, 'team/app:1'], [`r.test:5000/app@${digest}`, `r.test:5000/app@${digest}`], [digest, digest], ['r.test/app:1', 'r.test/app:1'],
  ])('%s is known as %s', (text, name) => expect(readableName(text)).toBe(name));
  test.each([
    ['redis', digest, `docker.io/library/redis:latest@${digest}`], ['redis:7', undefined, 'docker.io/library/redis:7'], [`redis@sha256:${'b'.repeat(64)}`, digest, `docker.io/library/redis@sha256:${'b'.repeat(64)}`],
  ])('%s with %s', (text, pinned, full) => expect(withDigest(text, pinned)).toBe(full));
});

describe('challenges', () => {
  test.each([
    ['Bearer realm="https://auth.docker.io/token",service="registry.docker.io",scope="repository:library/nginx:pull"', { kind: 'bearer', realm: 'https://auth.docker.io/token', service: 'registry.docker.io', scope: 'repository:library/nginx:pull', error: '' }],
    ['bearer realm=https://a/t, service=s , error="insufficient_scope"', { kind: 'bearer', realm: 'https://a/t', service: 's', scope: '', error: 'insufficient_scope' }],
    ['Basic realm="a \\"b\\", c"', { kind: 'basic', realm: 'a "b", c' }],
    ['Basic realm="x", Bearer realm="https://t"', { kind: 'bearer', realm: 'https://t', service: '', scope: '', error: '' }],
    ['Negotiate, Basic realm="x"', { kind: 'basic', realm: 'x' }],
    ['Bearer service="no realm"', null], ['Negotiate', null], ['', null], [undefined, null],
  ])('%s', (header, expected) => expect(parseChallenge(header)).toEqual(expected));
  test('whatever comes, it ends', () => {
    fc.assert(fc.property(fc.string(), (text) => parseChallenge(text) === null || typeof parseChallenge(text) === 'object'));
  });
});

describe('trying again', () => {
  const policy = { attempts: 4, first: 100, most: 300, patience: 1000 };
  test.each([
    [1, null, 0, 50], [1, null, 1, 100], [2, null, 1, 200], [3, null, 1, 300], [4, null, 1, null],
    [1, 500, 0, 500], [1, 500, 1, 600], [1, 1001, 0, null],
  ])('after attempt %i, told %s, by chance %f', (attempt, after, chance, expected) => expect(retryDelay(attempt, after, () => chance, policy)).toBe(expected));
  test.each([['120', 120_000], [' 0 ', 0], ['Fri, 01 Jan 2100 00:00:10 GMT', 10_000], ['Fri, 01 Jan 1999 00:00:00 GMT', 0], ['soon', null], [undefined, null]])('Retry-After: %s', (value, expected) =>
    expect(parseRetryAfter(value, Date.UTC(2100, 0, 1))).toBe(expected));
});

describe('where a registry is', () => {
  const at = (registry: string, text = '') => placesOf(parseRegistries(text, 'f'), registry).map(({ url, host, prefix }) => `${url.href}${prefix === undefined ? '' : ` ${prefix}`} as ${host}`);
  test.each([
    ['docker.io', '', ['https://registry-1.docker.io/ as docker.io']],
    ['r.test:5000', '', ['https://r.test:5000/ as r.test:5000']],
    ['r.test:5000', 'registries: { "r.test:5000": { plain_http: true } }', ['http://r.test:5000/ as r.test:5000']],
    ['docker.io', 'registries: { docker.io: { mirrors: [m.test, "http://m2.test:5000/hub", https://harbor.test/v2/proxy/] } }', ['https://m.test/ as m.test', 'http://m2.test:5000/hub as m2.test:5000', 'https://harbor.test/ proxy as harbor.test', 'https://registry-1.docker.io/ as docker.io']],
    ['other.test', 'registries: { "*": { mirrors: m.test } }', ['https://m.test/ as m.test', 'https://other.test/ as other.test']],
    ['m.test', 'registries: { "*": { mirrors: m.test } }', ['https://m.test/ as m.test']],
  ])('%s with %j', (registry, text, expected) => expect(at(registry, text)).toEqual(expected));
});

describe('the file of registries', () => {
  test('all there is to say', () => {
    const text = `
registries:
  docker.io:
    mirrors: [https://mirror.test]
  R.test:5000:
    ca: [/etc/a.pem, /etc/b.pem]
    cert: /etc/c.pem
    key: /etc/k.pem
    auth: { username: u, password: p }
  10.0.0.5:5000: { plain_http: true }
  bad.test: { insecure: true, ca: /etc/a.pem, auth: { identity_token: t } }
  empty.test:
`;
    expect([...parseRegistries(text, 'f')]).toEqual([
      ['docker.io', { ...noSettings, mirrors: [new URL('https://mirror.test')] }],
      ['r.test:5000', { ...noSettings, ca: ['/etc/a.pem', '/etc/b.pem'], client: { cert: '/etc/c.pem', key: '/etc/k.pem' }, credentials: { kind: 'basic', username: 'u', password: 'p' } }],
      ['10.0.0.5:5000', { ...noSettings, plainHttp: true }],
      ['bad.test', { ...noSettings, insecure: true, ca: ['/etc/a.pem'], credentials: { kind: 'identity', token: 't' } }],
      ['empty.test', noSettings],
    ]);
    expect(parseRegistries('', 'f').size).toBe(0);
  });
  test.each([
    ['registry: {}', 'f:1:1: there is no registry here; the file has one key, registries'],
    ['registries: []', 'f:1:13: registries must be a mapping'],
    ['registries:\n  "https://x": {}', 'f:2:3: "https://x" is no registry; the form is host[:port], as in images\' names; * is all others'],
    ['registries:\n  x.test: { mirors: [] }', 'f:2:13: x.test has no setting mirors; there are mirrors, ca, cert, key, insecure, plain_http and auth'],
    ['registries:\n  x.test: { mirrors: ["ftp://x"] }', 'f:2:23: "ftp://x" is no address of a mirror; the form is https://host[:port][/path]'],
    ['registries:\n  x.test: { ca: a.pem }', 'f:2:17: ca must be an absolute path, not "a.pem"'],
    ['registries:\n  x.test: { cert: /a }', 'f:2:11: x.test needs cert and key together'],
    ['registries:\n  x.test: { insecure: "yes" }', 'f:2:23: insecure must be true or false'],
    ['registries:\n  x.test: { auth: { username: u } }', 'f:2:19: auth needs username and password, or identity_token'],
    ['registries: {', 'f:1:14: '],
  ])('%j is refused', (text, expected) => {
    let said = '';
    try {
      parseRegistries(text, 'f');
    } catch (error) {
      const { at, message, hint } = error as { at: { line: number; column: number; file: string }; message: string; hint?: string };
      said = `${at.file}:${at.line}:${at.column}: ${message}${hint === undefined ? '' : `; ${hint}`}`;
    }
    expect(said.startsWith(expected), said).toBe(true);
  });
  test('is read again when it changes; only one that was named must be there', async () => {
    const directory = await mkdtemp(join(tmpdir(), 'tsorch-registries-'));
    try {
      const path = join(directory, 'r.yaml');
      await expect(new RegistriesFile(path).read()).rejects.toThrow(refused('not-found'));
      await writeFile(path, 'registries: { a.test: }');
      const file = new RegistriesFile(path);
      const first = await file.read();
      expect(await file.read()).toBe(first);
      await writeFile(path, 'registries: { a.test: , b.test: }');
      expect([...(await file.read()).keys()]).toEqual(['a.test', 'b.test']);
    } finally {
      await rm(directory, { recursive: true, force: true });
    }
  });
});

describe('Docker\'s config file', () => {
  const basic = (username: string, password: string) => ({ kind: 'basic', username, password });
  const auth = (text: string) => Buffer.from(text).toString('base64');
  const text = JSON.stringify({
    auths: {
      'https://index.docker.io/v1/': { auth: auth('hub:pa:ss') },
      'r.test:5000': { auth: auth('u:p\0\0') },
      'https://old.test/v1/': { username: 'o', password: 'q' },
      'token.test': { auth: auth('00000000-0000:'), identitytoken: 'idt' },
      'empty.test': {},
      'bad.test': { auth: 'AAAA' },
    },
    credHelpers: { 'ecr.test': 'ecr', 'gone.test': 'gone' },
    HttpHeaders: {},
  });
  const helper: CredentialHelper = async (name, server) => (name === 'ecr' || name === 'desktop' ? { kind: 'basic', username: name, password: server } : null);
  test.each([
    ['docker.io', basic('hub', 'pa:ss')], ['r.test:5000', basic('u', 'p')], ['old.test', basic('o', 'q')], ['token.test', { kind: 'identity', token: 'idt' }],
    ['empty.test', null], ['r.test', null], ['ecr.test', basic('ecr', 'ecr.test')], ['gone.test', null],
  ])('%s', async (registry, expected) => expect(await credentialsFor(parseDockerConfig(text, 'c'), registry, helper, signal)).toEqual(expected));
  test('an entry that is none', async () => {
    await expect(credentialsFor(parseDockerConfig(text, 'c'), 'bad.test', helper, signal)).rejects.toThrow(refused('invalid'));
  });
  test('a store has what the file has not', async () => {
    const config = parseDockerConfig(JSON.stringify({ auths: { 'https://index.docker.io/v1/': {}, 'https://r.test': {} }, credsStore: 'desktop' }), 'c');
    expect(await credentialsFor(config, 'docker.io', helper, signal)).toEqual(basic('desktop', 'https://index.docker.io/v1/'));
    expect(await credentialsFor(config, 'r.test', helper, signal)).toEqual(basic('desktop', 'https://r.test'));
    expect(await credentialsFor(config, 'x.test', helper, signal)).toEqual(basic('desktop', 'x.test'));
  });
  test('helpers\' answers', () => {
    expect(parseHelperAnswer('{"Username":"u","Secret":"s"}', 'h')).toEqual(basic('u', 's'));
    expect(parseHelperAnswer('{"Username":"<token>","Secret":"s"}', 'h')).toEqual({ kind: 'identity', token: 's' });
    expect(parseHelperAnswer('{"Username":"u","Secret":""}', 'h')).toBe(null);
    expect(() => parseHelperAnswer('no', 'h')).toThrow(refused('unavailable'));
  });

  describe('on disk', () => {
    let directory: string;
    let path: string;
    beforeAll(async () => {
      directory = await mkdtemp(join(tmpdir(), 'tsorch-docker-'));
      path = process.env['PATH'] ?? '';
      process.env['PATH'] = `${directory}:${path}`;
    });
    afterAll(async () => {
      process.env['PATH'] = path;
      await rm(directory, { recursive: true, force: true });
    });
    const program = async (name: string, script: string) => {
      await writeFile(join(directory, `docker-credential-${name}`), `#!/bin/sh\n${script}\n`);
      await chmod(join(directory, `docker-credential-${name}`), 0o755);
    };
    test('no file is no credentials, a broken one is an error', async () => {
      expect((await readDockerConfig({ HOME: directory })).auths.size).toBe(0);
      await writeFile(join(directory, 'config.json'), '{');
      await expect(readDockerConfig({ DOCKER_CONFIG: directory })).rejects.toThrow(refused('invalid'));
      await writeFile(join(directory, 'config.json'), text);
      expect((await readDockerConfig({ DOCKER_CONFIG: directory })).helpers.get('ecr.test')).toBe('ecr');
    });
    test('helpers are programs', async () => {
      await program('fine', 'read server; echo "{\\"Username\\":\\"$1\\",\\"Secret\\":\\"$server\\"}"');
      await program('none', 'echo "credentials not found in native keychain"; exit 1');
      await program('broken', 'echo "no keyring here" >&2; exit 3');
      expect(await runHelper('fine', 'r.test', signal)).toEqual(basic('get', 'r.test'));
      expect(await runHelper('none', 'r.test', signal)).toBe(null);
      await expect(runHelper('broken', 'r.test', signal)).rejects.toThrow('docker-credential-broken has no credentials for r.test: no keyring here');
      await expect(runHelper('absent', 'r.test', signal)).rejects.toThrow('docker-credential-absent, which is not on the path');
      await expect(runHelper('../x', 'r.test', signal)).rejects.toThrow(refused('invalid'));
    });
  });
});
