import { describe, expect, it } from 'vitest';
import type { LocalImage } from '../../../../cli/push/archive.ts';
import { difference, finalManifest, pushImage } from '../../../../cli/push/manifest.ts';
import type { PushedLayer } from '../../../../model/api.ts';

const plain = 'application/vnd.oci.image.layer.v1.tar';
const blob = (digest: string, mediaType = plain, size = 10) => ({ mediaType, digest, size });

function image(layers: readonly ReturnType<typeof blob>[], options: Partial<LocalImage> = {}): LocalImage {
  const manifest = { config: blob('config', 'config'), layers };
  return { references: ['vote:1'], target: blob('target'), manifest, diffIds: layers.map(({ digest }) => digest.replace('-gz', '')), manifestText: JSON.stringify(manifest), configText: '{}', made: false, ...options };
}

const known = (digest: string, mediaType?: string): PushedLayer => ({ kind: 'known', blob: blob(digest, mediaType) });
const missing = (offset = 0): PushedLayer => ({ kind: 'missing', offset });

it.each<[string, LocalImage, boolean]>([
  ['docker save', image([blob('a'), blob('b')], { made: true }), false],
  ['docker save of compressed layers', image([blob('a-gz')], { made: true }), false],
  ['docker save of today', image([blob('a'), blob('b')]), false],
  ['what a registry gave', image([blob('a-gz'), blob('b-gz')]), true],
  ['one compressed layer is enough', image([blob('a'), blob('b-gz')]), true],
])('the manifest of %s', (_what, local, fixed) => {
  expect(pushImage(local, ['vote:1']).fixed).toBe(fixed);
});

describe('what is sent', () => {
  it.each<[string, readonly (readonly ReturnType<typeof blob>[])[], readonly (readonly PushedLayer[])[], readonly (readonly [string, number])[], readonly [number, number]]>([
    ['nothing of what is there', [[blob('a'), blob('b')]], [[known('a'), known('b')]], [], [2, 2]],
    ['what is missing', [[blob('a'), blob('b'), blob('c')]], [[known('a'), missing(), known('c')]], [['b', 0]], [3, 2]],
    ['from where it broke off', [[blob('a')]], [[missing(7)]], [['a', 7]], [1, 0]],
    ['the same layer of an image once', [[blob('a'), blob('a')]], [[missing(), missing()]], [['a', 0]], [1, 0]],
    ['the same layer of two images once', [[blob('a'), blob('b')], [blob('a')]], [[missing(), known('b')], [missing()]], [['a', 0]], [2, 1]],
    ['nothing of a layer that is there in another compression', [[blob('a')]], [[known('a-gz')]], [], [1, 1]],
    ['nothing of an image without layers', [[]], [[]], [], [0, 0]],
  ])('%s', (_what, images, plan, uploads, [layers, there]) => {
    const found = difference(images.map((each) => pushImage(image(each), [])), plan.map((each) => ({ layers: each })));
    expect(found.uploads.map(({ digest, offset }) => [digest, offset])).toEqual(uploads);
    expect([found.layers, found.known]).toEqual([layers, there]);
  });

  it('says what is compressed already', () => {
    const packed = (mediaType: string) => difference([pushImage(image([blob('a', mediaType)]), [])], [{ layers: [missing()] }]).uploads[0]?.packed;
    expect([plain, `${plain}+gzip`, `${plain}+zstd`, 'application/vnd.docker.image.rootfs.diff.tar.gzip'].map(packed)).toEqual([false, true, true, true]);
  });

  it('a plan for other images is a defect of the master', () => {
    expect(() => difference([pushImage(image([blob('a')]), [])], [{ layers: [] }])).toThrow(expect.objectContaining({ code: 'internal' }));
  });
});

describe('the manifest that the nodes get', () => {
  const local = image([blob('a'), blob('b')]);

  it('is the archive\'s own, byte for byte', () => {
    expect(finalManifest(local, [known('a'), missing()])).toBe(local.manifestText);
  });

  it('names the blob that is there of a layer', () => {
    expect(JSON.parse(finalManifest(local, [known('a-gz', `${plain}+gzip`), missing()]))).toEqual({
      schemaVersion: 2, mediaType: 'application/vnd.oci.image.manifest.v1+json', config: blob('config', 'config'), layers: [blob('a-gz', `${plain}+gzip`), blob('b')],
    });
  });
});
