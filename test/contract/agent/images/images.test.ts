/** Images on this host: the same archives into memory and into containerd. */
import { existsSync } from 'node:fs';
import { chmod, lstat, mkdtemp, readFile, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync, zstdCompressSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { FakeImages } from '../../../../agent/images/fake.ts';
import type { Images } from '../../../../agent/runtime/port.ts';
import { isCode } from '../../../../model/errors.ts';
import { ContentService } from '../../../../proto/gen/containerd/content.ts';
import { LeasesService } from '../../../../proto/gen/containerd/leases.ts';
import { SnapshotsService } from '../../../../proto/gen/containerd/snapshots.ts';
import { asStream, type BuiltImage, busyboxImage, digestOf, dockerArchive, ociArchive, tar } from '../runtime/busybox.ts';
import { type ContainerdHost, startHost } from '../runtime/containerd-host.ts';

interface Subject {
  readonly images: Images;
  close(): Promise<void>;
}

function imagesContract(name: string, open: () => Promise<Subject>): void {
  describe(`images contract: ${name}`, () => {
    let subject: Subject;
    let image: BuiltImage;

    beforeAll(async () => {
      subject = await open();
      image = await busyboxImage({ config: { Entrypoint: ['/bin/sh', '-c'], User: 'web', WorkingDir: '/srv', ExposedPorts: { '80/tcp': {} }, Volumes: { '/data': {} }, Labels: { a: 'b' }, StopSignal: 'SIGQUIT', Healthcheck: { Test: ['CMD', 'true'], Interval: 5_000_000_000 } } });
    });
    afterAll(() => subject?.close());

    const names = async () => (await subject.images.list()).flatMap((entry) => entry.references);
    const clear = async () => {
      for (const reference of await names()) await subject.images.remove(reference);
    };
    const code = (promise: Promise<unknown>) => promise.then(() => 'resolved', (error: unknown) => (error as { code?: string }).code);

    test('docker-save archives, under several names', async () => {
      const { images } = subject;
      expect(await images.load(asStream(await dockerArchive(image, ['one', 'team/two:v2'])))).toEqual(['docker.io/library/one:latest', 'docker.io/team/two:v2']);
      const handle = await images.get('one');
      expect(handle).toMatchObject({
        reference: 'docker.io/library/one:latest',
        config: { entrypoint: ['/bin/sh', '-c'], cmd: ['sleep', '1000'], env: ['PATH=/bin:/sbin', 'FROM_IMAGE=yes'], user: 'web', workingDir: '/srv', exposedPorts: ['80/tcp'], volumes: ['/data'], labels: { a: 'b' }, stopSignal: 'SIGQUIT', healthcheck: { test: ['CMD', 'true'], interval: 5_000_000_000 } },
      });
      const [first, second] = image.layers.map((layer) => `sha256:${digestOf(layer)}`);
      expect(handle.chainId).toBe(`sha256:${digestOf(`${first} ${second}`)}`);
      expect((await images.get('docker.io/team/two:v2')).digest).toBe(handle.digest);
      expect(await images.list()).toMatchObject([{ from: 'archive', references: ['docker.io/library/one:latest', 'docker.io/team/two:v2'], digest: handle.digest, size: image.config.length + image.layers.reduce((sum, layer) => sum + layer.length, 0) }]);
      expect((await images.get(handle.digest)).digest).toBe(handle.digest);
      await images.remove('one');
      expect(await names()).toEqual(['docker.io/team/two:v2']);
      expect(await code(images.get('one'))).toBe('not-found');
      await clear();
      expect(await code(images.remove('one'))).toBe('not-found');
    });

    test('the same image again changes nothing; another under the same name moves it', async () => {
      const { images } = subject;
      await images.load(asStream(await dockerArchive(image, ['app:1'])));
      const before = await images.get('app:1');
      await images.load(asStream(await dockerArchive(image, ['app:1'])));
      expect(await images.get('app:1')).toEqual(before);
      const other = await busyboxImage({ variant: 'other' });
      await images.load(asStream(await dockerArchive(other, ['app:1'])));
      expect((await images.get('app:1')).digest).not.toBe(before.digest);
      await clear();
    });

    test.each([['gzipped layers', true], ['plain layers', false]])('OCI layouts with %s', async (_, gzip) => {
      const { images } = subject;
      expect(await images.load(asStream(await ociArchive(image, 'registry.test:5000/oci:3', { gzip })))).toEqual(['registry.test:5000/oci:3']);
      expect((await images.get('registry.test:5000/oci:3')).config.user).toBe('web');
      await clear();
    });

    test.each([['gzip', gzipSync], ['zstd', zstdCompressSync]])('a whole archive compressed by %s, in pieces of any size', async (_, compress) => {
      const { images } = subject;
      const archive = compress(await dockerArchive(image, ['zipped']));
      expect(await images.load(asStream(archive, 7919))).toEqual(['docker.io/library/zipped:latest']);
      expect(await images.load(asStream(await ociArchive(image, 'r/tiny:1'), 1000))).toEqual(['docker.io/r/tiny:1']);
      await clear();
    });

    test('an archive without a name is known by its digest', async () => {
      const { images } = subject;
      for (const archive of [await dockerArchive(image, null), await ociArchive(image, null)]) {
        const [reference] = await images.load(asStream(archive));
        expect(reference).toMatch(/^sha256:[0-9a-f]{64}$/);
        expect((await images.get(reference ?? '')).digest).toBe(reference);
      }
      await clear();
    });

    test('links between layers of old archives', async () => {
      const { images } = subject;
      const [layer] = image.layers;
      if (!layer) throw new Error('no layer');
      const digest = `sha256:${digestOf(layer)}`;
      const config = Buffer.from(JSON.stringify({ architecture: process.arch === 'x64' ? 'amd64' : process.arch, os: 'linux', config: {}, rootfs: { type: 'layers', diff_ids: [digest, digest] } }));
      const archive = await tar([
        { name: 'a/layer.tar', data: layer },
        { name: 'b/layer.tar', link: '../a/layer.tar' },
        { name: 'c.json', data: config },
        { name: 'manifest.json', data: JSON.stringify([{ Config: 'c.json', RepoTags: ['linked:1'], Layers: ['a/layer.tar', 'b/layer.tar'] }]) },
      ]);
      await images.load(asStream(archive));
      expect((await images.get('linked:1')).chainId).toBe(`sha256:${digestOf(`${digest} ${digest}`)}`);
      await clear();
    });

    test.each([
      ['nothing', async () => Buffer.alloc(0)],
      ['noise', async () => Buffer.from('this is no archive. '.repeat(100))],
      ['an archive of something else', async () => tar([{ name: 'hello', data: 'world' }])],
      ['half an archive', async (built: BuiltImage) => (await dockerArchive(built, ['half'])).subarray(0, 700_000)],
      ['a corrupt blob', async (built: BuiltImage) => ociArchive(built, 'corrupt:1', { corrupt: true })],
      ['a missing layer', async (built: BuiltImage) => dockerArchive({ ...built, layers: [] }, ['missing']).then((data) => data).then(async () => tar([{ name: 'manifest.json', data: JSON.stringify([{ Config: 'x.json', RepoTags: ['missing:1'], Layers: ['y/layer.tar'] }]) }]))],
      ['too few layers', async (built: BuiltImage) => dockerArchive({ ...built, layers: built.layers.slice(0, 1) }, ['few:1'])],
      ['a bad name', async (built: BuiltImage) => dockerArchive(built, ['team/Case:1'])],
      ['broken JSON', async () => tar([{ name: 'manifest.json', data: '[{' }])],
    ])('%s is refused as invalid, and nothing is registered', async (_, make) => {
      expect(await code(subject.images.load(asStream(await make(image))))).toBe('invalid');
      expect(await names()).toEqual([]);
    });

    test('only for another processor is unsupported', async () => {
      const archive = await tar([
        { name: 'index.json', data: JSON.stringify({ schemaVersion: 2, manifests: [{ mediaType: 'application/vnd.oci.image.index.v1+json', digest: `sha256:${digestOf(foreignIndex)}`, size: foreignIndex.length, annotations: { 'io.containerd.image.name': 'foreign:1' } }] }) },
        { name: `blobs/sha256/${digestOf(foreignIndex)}`, data: foreignIndex },
      ]);
      expect(await code(subject.images.load(asStream(archive)))).toBe('unsupported');
      expect(await names()).toEqual([]);
    });
  });
}

const foreignIndex = Buffer.from(JSON.stringify({ schemaVersion: 2, manifests: [{ mediaType: 'application/vnd.oci.image.manifest.v1+json', digest: `sha256:${'0'.repeat(64)}`, size: 2, platform: { os: 'linux', architecture: 'mips64' } }] }));

imagesContract('fake', async () => ({ images: new FakeImages(), close: async () => {} }));
imagesContract('containerd', async () => {
  const host = await startHost('images');
  return { images: host.images, close: () => host.close() };
});

describe('images on containerd', () => {
  let host: ContainerdHost;
  let directory: string;

  beforeAll(async () => {
    host = await startHost('images2');
    directory = await mkdtemp(join(tmpdir(), 'tsorch-images-'));
  });
  afterAll(async () => {
    await host?.close();
    await rm(directory, { recursive: true, force: true });
  });

  const has = async (digest: string) => host.client.call(ContentService.info, { digest }).then(() => true, () => false);
  const snapshots = async () => {
    const found: string[] = [];
    for await (const reply of host.client.stream(SnapshotsService.list, { snapshotter: 'overlayfs', filters: [] })) {
      found.push(...(reply as { info: { name: string }[] }).info.map((info) => info.name));
    }
    return found.sort();
  };

  test('removing the last name frees blobs and layers; what another image shares stays', async () => {
    const [one, two] = [await busyboxImage({ variant: 'one' }), await busyboxImage({ variant: 'two' })];
    await host.images.load(asStream(await dockerArchive(one, ['one'])));
    await host.images.load(asStream(await dockerArchive(two, ['two'])));
    expect(await snapshots()).toHaveLength(3);
    const [shared, own] = one.layers.map((layer) => `sha256:${digestOf(layer)}`) as [string, string];
    await host.images.remove('one');
    expect([await has(shared), await has(own)]).toEqual([true, false]);
    expect(await snapshots()).toHaveLength(2);
    await host.images.remove('two');
    expect(await has(shared)).toBe(false);
    expect(await snapshots()).toEqual([]);
  });

  test('a layer that unpacks to something else is refused, and everything of it is freed', async () => {
    const image = await busyboxImage();
    const wrong = { ...image, config: Buffer.from(image.config.toString().replace(/("diff_ids":\["sha256:[0-9a-f]{64}","sha256:)[0-9a-f]{64}/, `$1${'1'.repeat(64)}`)) };
    const failed = await host.images.load(asStream(await dockerArchive(wrong, ['wrong']))).catch((error: unknown) => error);
    expect(isCode(failed, 'invalid')).toBe(true);
    expect(String(failed)).toContain('instead of sha256:1111');
    const noTar = { ...image, layers: [image.layers[0] ?? Buffer.alloc(0), Buffer.from('no tar at all '.repeat(100))] };
    const config = JSON.parse(image.config.toString()) as { rootfs: { diff_ids: string[] } };
    config.rootfs.diff_ids[1] = `sha256:${digestOf(noTar.layers[1] ?? '')}`;
    const other = await host.images.load(asStream(await dockerArchive({ ...noTar, config: Buffer.from(JSON.stringify(config)) }, ['notar']))).catch((error: unknown) => error);
    expect(isCode(other, 'invalid')).toBe(true);
    expect(await host.images.list()).toEqual([]);
    const { leases } = await host.client.call(LeasesService.list, { filters: [] });
    expect(leases).toEqual([]);
    // A collection now finds nothing to keep.
    await host.images.load(asStream(await dockerArchive(image, ['fine'])));
    await host.images.remove('fine');
    expect(await snapshots()).toEqual([]);
  });

  test('layers that are here are not unpacked again, also after a load that was cut off', async () => {
    const image = await busyboxImage();
    const archive = await ociArchive(image, 'twice:1');
    const messages: string[] = [];
    const cut = async function* () {
      yield* asStream(archive.subarray(0, archive.length - 30_000));
      throw new Error('the line went dead');
    };
    await expect(host.images.load(cut())).rejects.toMatchObject({ code: 'invalid' });
    await host.images.load(asStream(archive), (message) => void messages.push(message));
    expect(messages.filter((message) => message.startsWith('unpacking'))).toHaveLength(2);
    await host.images.load(asStream(archive), (message) => void messages.push(message));
    expect(messages.filter((message) => message.startsWith('unpacking'))).toHaveLength(2);
    await Promise.all([1, 2, 3].map(() => host.images.load(asStream(archive))));
    expect(await snapshots()).toHaveLength(2);
    await host.images.remove('twice:1');
  });

  test('copying up: what the image has, with owners, modes, links; nothing where it has no directory', async () => {
    const layers = [
      await tar([
        { name: 'data', directory: true, mode: 0o750 },
        { name: 'data/old', data: 'old' },
        { name: 'data/gone', data: 'gone' },
        { name: 'data/secret', data: 'x', mode: 0o600 },
        { name: 'data/link', link: '/etc/passwd' },
        { name: 'alias', link: 'data' },
        { name: 'out', link: '../../../../etc' },
      ]),
      await tar([{ name: 'data/old', data: 'new' }, { name: 'data/.wh.gone', data: '' }]),
    ];
    const config = Buffer.from(JSON.stringify({ architecture: 'amd64', os: 'linux', config: {}, rootfs: { type: 'layers', diff_ids: layers.map((layer) => `sha256:${digestOf(layer)}`) } }));
    await host.images.load(asStream(await dockerArchive({ config, layers }, ['files:1'])));
    await host.images.load(asStream(await dockerArchive({ config: Buffer.from(config.toString().replace(/,"sha256:[0-9a-f]{64}"\]/, ']')), layers: layers.slice(0, 1) }, ['files:single'])));
    const image = await host.images.get('files:1');
    const fresh = async () => {
      const target = await mkdtemp(join(directory, 'v-'));
      await chmod(target, 0o700);
      return target;
    };
    const target = await fresh();
    expect(await host.images.copyUp(image, '/alias', target)).toBe(true);
    expect((await readdir(target)).sort()).toEqual(['link', 'old', 'secret']);
    expect(await readFile(join(target, 'old'), 'utf8')).toBe('new');
    expect((await lstat(target)).mode & 0o777).toBe(0o750);
    expect((await lstat(join(target, 'secret'))).mode & 0o777).toBe(0o600);
    expect((await lstat(join(target, 'link'))).isSymbolicLink()).toBe(true);
    const single = await fresh();
    expect(await host.images.copyUp(await host.images.get('files:single'), '/data', single)).toBe(true);
    expect((await readdir(single)).sort()).toEqual(['gone', 'link', 'old', 'secret']);
    for (const path of ['/none', '/data/old', '/out']) expect(await host.images.copyUp(image, path, await fresh()), path).toBe(false);
    expect(existsSync(join(host.runDir, 'mounts')) ? await readdir(join(host.runDir, 'mounts')) : []).toEqual([]);
    await host.images.remove('files:1');
    await host.images.remove('files:single');
    expect(await snapshots()).toEqual([]);
  });
});
