import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { chainIds, parseImage } from '../../../../agent/images/document.ts';
import { choosePlatform, parseManifest } from '../../../../lib/oci/manifest.ts';
import { platformOf } from '../../../../lib/oci/platform.ts';
import { normaliseReference, parseReference } from '../../../../lib/oci/reference.ts';

const digest = `sha256:${'a'.repeat(64)}`;

describe('references', () => {
  test.each([
    ['redis', 'docker.io/library/redis:latest'],
    ['redis:7', 'docker.io/library/redis:7'],
    ['team/app', 'docker.io/team/app:latest'],
    ['docker.io/redis', 'docker.io/library/redis:latest'],
    ['index.docker.io/library/redis', 'docker.io/library/redis:latest'],
    ['localhost/app', 'localhost/app:latest'],
    ['localhost:5000/app:1', 'localhost:5000/app:1'],
    ['registry.test/a/b/c:x', 'registry.test/a/b/c:x'],
    [`redis@${digest}`, `docker.io/library/redis@${digest}`],
    [`redis:7@${digest}`, `docker.io/library/redis:7@${digest}`],
    [digest, digest],
    ['a--b/c__d.e', 'docker.io/a--b/c__d.e:latest'],
  ])('%s is %s', (text, full) => {
    expect(normaliseReference(text)).toBe(full);
    expect(normaliseReference(full)).toBe(full);
  });
  test.each(['', 'Redis', ':tag', 'a:', 'a:b:c', 'a//b', '/a', 'a/', 'a@b', `a@${digest}@${digest}`, 'a b', 'a:-x', 'a___b', '.a', 'host:99999999/a', `sha256:${'a'.repeat(63)}/`])('%j is invalid', (text) => {
    expect(() => normaliseReference(text)).toThrow(expect.objectContaining({ code: 'invalid' }) as unknown as Error);
  });
  test('never anything but an answer or a refusal', () => {
    fc.assert(
      fc.property(fc.string(), (text) => {
        try {
          const full = normaliseReference(text);
          return normaliseReference(full) === full;
        } catch (error) {
          return (error as { code?: string }).code === 'invalid';
        }
      }),
    );
  });
  test('parts', () => {
    expect(parseReference('r.test:5000/a/b:1')).toEqual({ registry: 'r.test:5000', repository: 'a/b', tag: '1' });
  });
});

describe('documents', () => {
  test('chain ids', () => {
    expect(chainIds([])).toEqual([]);
    expect(chainIds([digest])).toEqual([digest]);
    // sha256 of "sha256:aaa… sha256:aaa…"
    expect(chainIds([digest, digest])[1]).toMatch(/^sha256:(?!a{64})[0-9a-f]{64}$/);
  });
  test('manifests that are none', () => {
    for (const text of ['', '{}', '[]', 'null', '{"config":{},"layers":[]}', `{"config":{"mediaType":"m","digest":"${digest}","size":1},"layers":[{}]}`]) {
      expect(() => parseManifest(Buffer.from(text), 'it'), text).toThrow(expect.objectContaining({ code: 'invalid' }) as unknown as Error);
    }
  });
  test('platforms', () => {
    const of = (architecture: string, os = 'linux') => ({ mediaType: 'm', digest: `sha256:${architecture}`, size: 1, platform: { os, architecture } });
    const bare = { mediaType: 'm', digest: 'sha256:bare', size: 1 };
    expect(choosePlatform([of('arm64'), of('amd64'), of('unknown', 'unknown')], platformOf('x64'), 'it').digest).toBe('sha256:amd64');
    expect(choosePlatform([bare, of('amd64')], platformOf('x64'), 'it').digest).toBe('sha256:amd64');
    expect(choosePlatform([bare], platformOf('x64'), 'it')).toBe(bare);
    expect(() => choosePlatform([of('arm64'), of('unknown', 'unknown')], platformOf('x64'), 'it')).toThrow('only for linux/arm64');
  });
  test('configurations of every age', () => {
    const parse = (value: object) => parseImage(Buffer.from(JSON.stringify(value)), 'it');
    expect(parse({ architecture: 'amd64', os: 'linux', rootfs: { diff_ids: [digest] }, config: { Cmd: 'echo x', Env: null, Entrypoint: null } })).toMatchObject({ diffIds: [digest], config: { cmd: ['/bin/sh', '-c', 'echo x'], env: [], entrypoint: [] } });
    expect(parse({}).config).toMatchObject({ os: 'linux', cmd: [], user: '' });
    expect(parse({ config: { Healthcheck: { Test: ['CMD-SHELL', 'x'], Retries: 3, Timeout: 0 } } }).config.healthcheck).toEqual({ test: ['CMD-SHELL', 'x'], retries: 3 });
    expect(() => parse({ rootfs: { diff_ids: ['nonsense'] } })).toThrow(expect.objectContaining({ code: 'invalid' }) as unknown as Error);
  });
});
