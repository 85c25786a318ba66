/** Pulls: from a registry of this process, which can misbehave, into memory and into containerd. */
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { ContainerdImages } from '../../../../agent/images/containerd.ts';
import { FakeImages } from '../../../../agent/images/fake.ts';
import { RegistrySources } from '../../../../agent/images/registry-source.ts';
import type { BlobSource, BlobSources } from '../../../../agent/images/source.ts';
import type { Images, PullOptions, PullProgress } from '../../../../agent/runtime/port.ts';
import { systemClock } from '../../../../lib/clock.ts';
import { silentLog } from '../../../../lib/log.ts';
import { mediaTypes } from '../../../../lib/oci/manifest.ts';
import { noSettings, type Registries } from '../../../../lib/oci/registries.ts';
import { TsorchError } from '../../../../model/errors.ts';
import { ContentService } from '../../../../proto/gen/containerd/content.ts';
import { LeasesService } from '../../../../proto/gen/containerd/leases.ts';
import { SnapshotsService } from '../../../../proto/gen/containerd/snapshots.ts';
import { FakeRegistry } from '../../lib/oci/fake-registry.ts';
import { puller, startDebianRegistry } from '../../lib/oci/debian-registry.ts';
import { asStream, busyboxImage, dockerArchive } from '../runtime/busybox.ts';
import { type ContainerdHost, startHost } from '../runtime/containerd-host.ts';
import { bulkyImage, putImage } from './pushed.ts';

type Make = (sources: readonly BlobSources[]) => Images;

const own = process.arch === 'x64' ? 'amd64' : process.arch;
const never = new AbortController().signal;
const anonymous: PullOptions = { credentials: null, signal: never };
/** Waits are only counted. */
const clock = { ...systemClock, sleep: async () => {} };
const code = (promise: Promise<unknown>) => promise.then(() => 'resolved', (error: unknown) => (error as { code?: string }).code);

function sourcesOf(registries: Registries): RegistrySources {
  return new RegistrySources({ registries: async () => registries, env: {}, clock, random: () => 0, certificates: '/nowhere', timeouts: { connect: 2000, answer: 2000, stall: 500 } });
}

function pullContract(name: string, open: () => Promise<{ readonly make: Make; close(): Promise<void> }>): void {
  describe(`pull contract: ${name}`, () => {
    let subject: Awaited<ReturnType<typeof open>>;
    let registry: FakeRegistry;
    let images: Images;
    let image: string;

    beforeAll(async () => {
      subject = await open();
    });
    afterAll(() => subject?.close());
    beforeEach(async () => {
      registry = await FakeRegistry.start();
      image = `${registry.host}/team/app`;
      images = subject.make([sourcesOf(new Map([[registry.host, { ...noSettings, plainHttp: true }]]))]);
    });
    afterEach(async () => {
      for (const { digest } of await images.list()) await images.remove(digest);
      await registry.close();
    });

    test.each([
      ['OCI, gzip', {}], ['OCI, zstd', { compression: 'zstd' }], ['OCI, plain', { compression: 'none' }],
      ['Docker, gzip', { docker: true }], ['Docker, zstd', { docker: true, compression: 'zstd' }],
      ['an OCI index', { index: { architecture: own } }], ['a Docker list', { docker: true, index: { architecture: own } }],
    ] as const)('%s', async (_, kinds) => {
      const built = await busyboxImage();
      const pushed = putImage(registry, 'team/app', '1', built, kinds);
      const handle = await images.pull(`${image}:1`, anonymous);
      expect(handle).toMatchObject({ reference: `${image}:1`, digest: pushed.digest, config: { cmd: ['sleep', '1000'], architecture: own } });
      for (const reference of [`${image}:1`, `${image}@${pushed.digest}`, `${image}:other@${pushed.digest}`, pushed.digest]) expect((await images.get(reference)).chainId, reference).toBe(handle.chainId);
      expect(await code(images.get(`registry.test/app@${pushed.digest}`))).toBe('not-found');
      expect(await images.list()).toMatchObject([{ references: [`${image}:1`, `${image}@${pushed.digest}`], digest: pushed.digest, from: 'registry' }]);
      expect(registry.asked(/blobs/)).toHaveLength(3);
      await images.pull(`${image}:1`, anonymous);
      expect(registry.asked(/blobs/)).toHaveLength(3);
    });

    test('a tag that moves is followed by a pull of the tag, not by one of a digest', async () => {
      const old = putImage(registry, 'team/app', '1', await busyboxImage({ variant: 'old' }));
      await images.pull(`${image}:1`, anonymous);
      const fresh = putImage(registry, 'team/app', '1', await busyboxImage({ variant: 'new' }));
      await images.pull(`${image}:1@${fresh.digest}`, anonymous);
      expect((await images.get(`${image}:1`)).digest).toBe(old.digest);
      await images.pull(`${image}:1`, anonymous);
      expect((await images.get(`${image}:1`)).digest).toBe(fresh.digest);
      expect((await images.get(`${image}:1@${old.digest}`)).digest).toBe(old.digest);
    });

    test('a layer that breaks off goes on where it was', async () => {
      const pushed = putImage(registry, 'team/app', '1', await bulkyImage(2, 3_000_000));
      const [first] = pushed.layers;
      registry.fail(new RegExp(`blobs/${first?.digest}`), { kind: 'cut', after: 1_500_000 });
      registry.fail(new RegExp(`blobs/${first?.digest}`), { kind: 'stall', after: 1_000_000 });
      registry.fail(new RegExp(`blobs/${first?.digest}`), { kind: 'status', status: 503 });
      await images.pull(`${image}:1`, anonymous);
      const ranges = registry.asked(new RegExp(`blobs/${first?.digest}`)).map(({ headers }) => headers.range);
      expect(ranges).toEqual([undefined, 'bytes=1500000-', 'bytes=2500000-', 'bytes=2500000-']);
    });

    test('a corrupt layer is fetched once more, and then refused', async () => {
      const pushed = putImage(registry, 'team/app', '1', await busyboxImage());
      const layer = new RegExp(`blobs/${pushed.layers[1]?.digest}`);
      registry.fail(layer, { kind: 'corrupt' });
      await images.pull(`${image}:1`, anonymous);
      expect(registry.asked(layer)).toHaveLength(2);
      const other = putImage(registry, 'team/app', '2', await busyboxImage({ variant: 'other' }));
      const bad = new RegExp(`blobs/${other.layers[1]?.digest}`);
      registry.fail(bad, { kind: 'corrupt' }, 9);
      await expect(images.pull(`${image}:2`, anonymous)).rejects.toMatchObject({ code: 'invalid', message: `layer ${other.layers[1]?.digest} of ${image}:2 came corrupt twice, last from ${registry.host}` });
      expect(registry.asked(bad)).toHaveLength(2);
      expect(await code(images.get(`${image}:2`))).toBe('not-found');
      registry.faults.length = 0;
      await images.pull(`${image}:2`, anonymous);
    });

    test('a manifest that is not what was asked for is refused', async () => {
      const pushed = putImage(registry, 'team/app', '1', await busyboxImage());
      registry.fail(/manifests/, { kind: 'corrupt' }, 9);
      expect(await code(images.pull(`${image}@${pushed.digest}`, anonymous))).toBe('invalid');
    });

    test.each([
      ['no such tag', 'none', 'not-found', 'has no team/app:none'],
      ['denied', 'denied', 'forbidden', 'denies team/app:denied'],
      ['another platform', 'foreign', 'unsupported', 'foreign is for linux/mips64, and this node is linux/'],
      ['an index without ours', 'index', 'unsupported', `index has no image for linux/${own}`],
      ['no image at all', 'chart', 'unsupported', 'not an image of a container, but application/vnd.cncf.helm.config.v1+json'],
      ['foreign layers', 'windows', 'unsupported', 'registries may not give out'],
    ])('%s', async (_, tag, expected, message) => {
      registry.fail(/manifests\/denied/, { kind: 'status', status: 403 });
      const foreign = await bulkyImage(1, 10, 'mips64');
      putImage(registry, 'team/app', 'foreign', foreign);
      putImage(registry, 'team/app', 'index', foreign, { index: { architecture: 'mips64le' } });
      const empty = { digest: registry.putBlob(Buffer.from('{}')), size: 2 };
      const put = (name: string, config: string, layer: string) => registry.put('team/app', name, mediaTypes.manifest, Buffer.from(JSON.stringify({ schemaVersion: 2, mediaType: mediaTypes.manifest, config: { mediaType: config, ...empty }, layers: [{ mediaType: layer, ...empty }] })));
      put('chart', 'application/vnd.cncf.helm.config.v1+json', 'application/vnd.cncf.helm.chart.content.v1.tar+gzip');
      put('windows', mediaTypes.dockerConfig, 'application/vnd.docker.image.rootfs.foreign.diff.tar.gzip');
      await expect(images.pull(`${image}:${tag}`, anonymous)).rejects.toMatchObject({ code: expected, message: expect.stringContaining(message) as string });
      expect(await images.list()).toEqual([]);
    });

    test('credentials, and what is said without them', async () => {
      const guarded = await FakeRegistry.start({ auth: { scheme: 'bearer', username: 'u', password: 'p' } });
      try {
        putImage(guarded, 'team/app', '1', await busyboxImage());
        const theirs = subject.make([sourcesOf(new Map([[guarded.host, { ...noSettings, plainHttp: true }]]))]);
        const failed = await theirs.pull(`${guarded.host}/team/app:1`, anonymous).catch((error: unknown) => error);
        expect(failed).toMatchObject({ code: 'unauthenticated', hint: `docker login ${guarded.host}, and apply again` });
        expect(JSON.stringify(failed)).not.toContain('"p"');
        await theirs.pull(`${guarded.host}/team/app:1`, { ...anonymous, credentials: { kind: 'basic', username: 'u', password: 'p' } });
      } finally {
        await guarded.close();
      }
    });

    test('a source of blobs beside the registry: what it has comes from it, what it lies about does not', async () => {
      const pushed = putImage(registry, 'team/app', '1', await busyboxImage());
      const [honest, lie] = pushed.layers;
      const asked: string[] = [];
      const peer: BlobSource = {
        name: 'peer', decides: false,
        manifest: async () => {
          throw new TsorchError('not-found', 'a peer knows no tags');
        },
        async blob(_, { digest, size }, offset) {
          asked.push(digest);
          if (digest === honest?.digest) return asStream((registry.blobs.get(digest) ?? Buffer.alloc(0)).subarray(offset));
          if (digest === lie?.digest) return asStream(Buffer.alloc(size - offset));
          throw new TsorchError('not-found', 'not here');
        },
      };
      const images2 = subject.make([{ for: async () => [peer] }, sourcesOf(new Map([[registry.host, { ...noSettings, plainHttp: true }]]))]);
      await images2.pull(`${image}:1`, anonymous);
      expect(registry.asked(new RegExp(`blobs/${honest?.digest}`))).toEqual([]);
      expect(asked.filter((digest) => digest === lie?.digest)).toHaveLength(1);
      expect(registry.asked(new RegExp(`blobs/${lie?.digest}`))).toHaveLength(1);
    });

    test('progress, giving up, and the next attempt', async () => {
      const pushed = putImage(registry, 'team/app', '1', await bulkyImage(3, 1_500_000));
      let release = () => {};
      registry.fail(new RegExp(`blobs/${pushed.layers[2]?.digest}`), { kind: 'hold', until: new Promise<void>((resolve) => {
        release = resolve;
      }) });
      const stop = new AbortController();
      const told: PullProgress[] = [];
      const total = pushed.layers.reduce((sum, { size }) => sum + size, 0);
      const enough = total - (pushed.layers[2]?.size ?? 0);
      await expect(images.pull(`${image}:1`, { credentials: null, signal: stop.signal, progress(progress) {
        told.push(progress);
        if (progress.kind === 'downloading' && progress.bytes >= enough) stop.abort();
      } })).rejects.toMatchObject({ code: 'aborted' });
      expect(told[0]).toEqual({ kind: 'downloading', bytes: 0, total });
      release();
      const before = registry.asked(/blobs/).length;
      await images.pull(`${image}:1`, { ...anonymous, progress: (progress) => void told.push(progress) });
      expect(registry.asked(/blobs/).length - before).toBe(1);
      expect(told.at(-1)).toEqual({ kind: 'unpacking', layers: 3, total: 3 });
    });
  });
}

pullContract('fake', async () => ({ make: (sources) => new FakeImages({ sources, clock }), close: async () => {} }));
pullContract('containerd', async () => {
  const host = await startHost('pull');
  return { make: (sources) => new ContainerdImages({ client: host.client, clock, log: silentLog, runDir: host.runDir, sources, random: () => 0 }), close: () => host.close() };
});

describe('pulls into containerd', () => {
  let host: ContainerdHost;
  let registry: FakeRegistry;

  beforeAll(async () => {
    host = await startHost('pull2');
    registry = await FakeRegistry.start();
  });
  afterAll(async () => {
    await registry?.close();
    await host?.close();
  });
  const make = (more: { readonly admit?: (bytes: number) => Promise<void> } = {}) =>
    new ContainerdImages({ client: host.client, clock, log: silentLog, runDir: host.runDir, random: () => 0, sources: [sourcesOf(new Map([[registry.host, { ...noSettings, plainHttp: true }]]))], ...more });
  const has = async (digest: string) => host.client.call(ContentService.info, { digest }).then(() => true, () => false);
  const leases = async () => (await host.client.call(LeasesService.list, { filters: [] })).leases.map(({ id }) => id);
  const snapshots = async () => {
    const found: string[] = [];
    for await (const reply of host.client.stream(SnapshotsService.list, { snapshotter: 'overlayfs', filters: [] })) found.push(...(reply as { info: { name: string }[] }).info.map((info) => info.name));
    return found;
  };

  test('a layer is unpacked while the next is on its way', async () => {
    const pushed = putImage(registry, 'a', '1', await bulkyImage(2, 100_000));
    let release = () => {};
    registry.fail(new RegExp(`blobs/${pushed.layers[1]?.digest}`), { kind: 'hold', until: new Promise<void>((resolve) => {
      release = resolve;
    }) });
    const pulling = make().pull(`${registry.host}/a:1`, anonymous);
    // Ends only when the first one is unpacked, which the second does not wait for.
    while ((await snapshots()).filter((name) => !name.startsWith('tsorch-unpack')).length < 1) await new Promise(setImmediate);
    release();
    await pulling;
    expect(await snapshots()).toHaveLength(2);
    await host.images.remove(`${registry.host}/a:1`);
  });

  test('everything of a pulled index stays through a collection, and goes with its last name', async () => {
    const pushed = putImage(registry, 'b', '1', await busyboxImage(), { index: { architecture: own } });
    const images = make();
    const handle = await images.pull(`${registry.host}/b:1`, anonymous);
    expect(await leases()).toEqual([]);
    await images.load(asStream(await dockerArchive(await bulkyImage(1, 1000), ['other:1'])));
    await images.remove('other:1');
    for (const digest of [pushed.digest, pushed.manifest, ...pushed.layers.map((layer) => layer.digest)]) expect(await has(digest), digest).toBe(true);
    expect((await images.get(`${registry.host}/b:1`)).chainId).toBe(handle.chainId);
    await images.remove(pushed.digest);
    for (const digest of [pushed.digest, pushed.manifest, ...pushed.layers.map((layer) => layer.digest)]) expect(await has(digest), digest).toBe(false);
    expect(await snapshots()).toEqual([]);
  });

  test('many pulls of images that share layers fetch each once', async () => {
    const [one, two] = [putImage(registry, 'c', '1', await busyboxImage({ variant: 'one' })), putImage(registry, 'c', '2', await busyboxImage({ variant: 'two' }))];
    const images = make();
    registry.requests.length = 0;
    await Promise.all([1, 2, 1, 2].map((tag) => images.pull(`${registry.host}/c:${tag}`, anonymous)));
    for (const { digest } of new Map([...one.layers, ...two.layers].map((layer) => [layer.digest, layer])).values()) expect(registry.asked(new RegExp(`blobs/${digest}`))).toHaveLength(1);
    for (const tag of [1, 2]) await images.remove(`${registry.host}/c:${tag}`);
  });

  test('an agent that is gone leaves what it got to the next', async () => {
    const pushed = putImage(registry, 'd', '1', await bulkyImage(1, 4_000_000));
    const layer = new RegExp(`blobs/${pushed.layers[0]?.digest}`);
    registry.fail(layer, { kind: 'cut', after: 3_000_000 });
    registry.fail(layer, { kind: 'status', status: 503 }, 20);
    expect(await code(make().pull(`${registry.host}/d:1`, anonymous))).toBe('unavailable');
    expect(await leases()).toHaveLength(1);
    registry.faults.length = 0;
    const next = make();
    await next.sweep();
    await next.pull(`${registry.host}/d:1`, anonymous);
    expect(registry.asked(layer).at(-1)?.headers.range).toBe('bytes=3000000-');
    expect(await leases()).toEqual([]);
    await next.remove(`${registry.host}/d:1`);
  });

  test('no room: nothing is fetched but what says how large it is', async () => {
    const pushed = putImage(registry, 'e', '1', await bulkyImage(1, 100_000));
    const asked: number[] = [];
    const admit = async (bytes: number) => {
      asked.push(bytes);
      throw new TsorchError('exhausted', 'no room');
    };
    expect(await code(make({ admit }).pull(`${registry.host}/e:1`, anonymous))).toBe('exhausted');
    expect(asked).toEqual([4 * (pushed.layers[0]?.size ?? 0)]);
    expect(registry.asked(new RegExp(`blobs/${pushed.layers[0]?.digest}`))).toEqual([]);
    expect(await leases()).toEqual([]);
  });

  test('from Debian\'s registry over TLS with a password', async () => {
    const debian = await startDebianRegistry('pull', { secure: true });
    try {
      const registries: Registries = new Map([[debian.host, { ...noSettings, ca: [debian.caFile ?? ''] }]]);
      const { pushImage } = await import('./push.ts');
      const built = await busyboxImage({ variant: 'debian' });
      const digest = await pushImage({ host: debian.host, registries, credentials: puller, repository: 'team/app', tag: '1', image: built });
      const images = new ContainerdImages({ client: host.client, clock: systemClock, log: silentLog, runDir: host.runDir, sources: [sourcesOf(registries)] });
      expect(await code(images.pull(`${debian.host}/team/app:1`, anonymous))).toBe('unauthenticated');
      expect((await images.pull(`${debian.host}/team/app:1`, { credentials: puller, signal: never })).digest).toBe(digest);
      await images.remove(digest);
    } finally {
      await debian.close();
    }
  });
});
