/** Images from people to a host and from host to host, on two private containerds. */
import { randomBytes } from 'node:crypto';
import { mkdtemp, open, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import { ContainerdImages } from '../../../../agent/images/containerd.ts';
import { ContentBlobs } from '../../../../agent/peers/content.ts';
import type { PeerSources } from '../../../../agent/peers/source.ts';
import { daemonPaths } from '../../../../agent/runtime/daemon-files.ts';
import { type LocalArchive, openArchive } from '../../../../cli/push/archive.ts';
import { difference, finalManifest, pushImage } from '../../../../cli/push/manifest.ts';
import { systemClock } from '../../../../lib/clock.ts';
import { silentLog } from '../../../../lib/log.ts';
import { parseManifest, sha256 } from '../../../../lib/oci/manifest.ts';
import { platformOf } from '../../../../lib/oci/platform.ts';
import { planLayers } from '../../../../master/images/plan.ts';
import { LeasesService } from '../../../../proto/gen/containerd/leases.ts';
import { type BuiltImage, busyboxImage, dockerArchive, ociArchive, tar, digestOf } from '../runtime/busybox.ts';
import { type ContainerdHost, startHost } from '../runtime/containerd-host.ts';
import { Swarm, type SwarmHost } from './swarm.ts';

interface Host {
  readonly id: string;
  readonly containerd: ContainerdHost;
  readonly images: ContainerdImages;
  readonly peer: SwarmHost;
}

const { signal } = new AbortController();
const push = 'feedbeef00000000';
let containerds: readonly ContainerdHost[] = [];
let swarm: Swarm;
let one: Host;
let two: Host;
let image: BuiltImage;
let directory: string;
const archives: LocalArchive[] = [];

beforeAll(async () => {
  containerds = await Promise.all([startHost('push-a'), startHost('push-b')]);
  directory = await mkdtemp(join(tmpdir(), 'ts-transfer-'));
  const base = await busyboxImage();
  const bulk = await tar([{ name: 'bulk', data: randomBytes(6 << 20) }]);
  const layers = [...base.layers, bulk];
  const config = { ...(JSON.parse(base.config.toString()) as object), rootfs: { type: 'layers', diff_ids: layers.map((layer) => `sha256:${digestOf(layer)}`) } };
  image = { config: Buffer.from(JSON.stringify(config)), layers };
}, 60_000);

beforeEach(async () => {
  swarm = await Swarm.make();
  const [a, b] = containerds;
  one = await hostOf('a', a as ContainerdHost);
  two = await hostOf('b', b as ContainerdHost);
});

afterEach(async () => {
  swarm.close();
  for (const archive of archives.splice(0)) await archive.close();
  for (const { images } of [one, two]) for (const { digest } of await images.list()) await images.remove(digest);
});

afterAll(async () => {
  for (const each of containerds) await each.close();
  await rm(directory, { recursive: true, force: true });
});

async function hostOf(id: string, containerd: ContainerdHost): Promise<Host> {
  const made: { images?: ContainerdImages; sources?: PeerSources } = {};
  const peer = await swarm.add(id, (sources) => {
    made.images = new ContainerdImages({ client: containerd.client, clock: systemClock, log: silentLog, runDir: containerd.runDir, sources: [sources], random: () => 0 });
    const { images } = made;
    return new ContentBlobs({ client: containerd.client, root: daemonPaths(containerd.stateDir, containerd.runDir).root, coming: (digest) => images.downloads.coming(digest) && !sources.seeks(digest) });
  });
  if (!made.images) throw new Error('there are no images');
  return { id, containerd, images: made.images, peer };
}

/** What agents do by themselves when something has changed. */
async function tell(): Promise<void> {
  for (const { id, images } of [one, two]) swarm.inventory.replace(id, await images.held());
}

async function archiveOf(data: Uint8Array): Promise<LocalArchive> {
  const path = join(directory, `archive-${archives.length}.tar`);
  await writeFile(path, data);
  const file = await open(path);
  const archive = await openArchive({ data: file.createReadStream({ autoClose: false, start: 0 }), file, platform: platformOf(process.arch), temporary: directory, signal });
  archives.push(archive);
  return archive;
}

/** As `image push` and the master do it; the bytes that travelled from the archive, and those from node to node. */
async function pushTo(hosts: readonly Host[], data: Uint8Array, since = 1): Promise<{ readonly sent: number; readonly uploads: number; readonly spread: number }> {
  const archive = await archiveOf(data);
  const [seed] = hosts;
  const [local] = archive.images;
  if (!local || !seed) throw new Error('there is nothing to push');
  const wanted = pushImage(local, local.references);
  const planned = planLayers(wanted, swarm.inventory);
  const { uploads } = difference([wanted], [{ layers: planned }]);
  let sent = 0;
  for (const upload of uploads) {
    const [state] = await seed.images.pushes.state(push, [upload]);
    const offset = state?.offset ?? 0;
    sent += upload.size - offset;
    expect(await seed.images.pushes.receive(push, upload, offset, archive.read(upload.digest, offset))).toEqual({ offset: upload.size, whole: true });
  }
  const manifest = finalManifest(local, planned);
  const target = { mediaType: 'application/vnd.oci.image.manifest.v1+json', digest: sha256(manifest), size: Buffer.byteLength(manifest) };
  const documents = [{ digest: target.digest, text: manifest }, { digest: parseManifest(Buffer.from(manifest), 'the manifest').config.digest, text: local.configText }];
  let spread = 0;
  for (const host of hosts) {
    const source = host.peer.sources.open();
    await host.images.pushes.commit(push, [{ references: local.references, target, documents: host === seed ? documents : [] }], { since, source, signal });
    spread += source.bytes;
    await tell();
  }
  return { sent, uploads: uploads.length, spread };
}

const total = (built: BuiltImage) => built.layers.reduce((sum, layer) => sum + layer.length, 0);

async function runs(host: Host, reference: string): Promise<void> {
  const found = await host.images.get(reference);
  expect(found.config.cmd).toEqual(['sleep', '1000']);
}

test('each layer is sent once, and goes on from node to node; what changes later is all that is sent again', async () => {
  expect(await pushTo([one, two], await dockerArchive(image, ['vote:1']))).toEqual({ sent: total(image), uploads: 3, spread: total(image) + image.config.length });
  for (const host of [one, two]) await runs(host, 'vote:1');
  expect((await one.images.list()).map(({ digest }) => digest)).toEqual((await two.images.list()).map(({ digest }) => digest));
  expect(await pushTo([one, two], await dockerArchive(image, ['vote:1']))).toEqual({ sent: 0, uploads: 0, spread: 0 });

  const changed = await busyboxImage({ variant: 'changed' });
  const layers = [...changed.layers, image.layers[2] as Buffer];
  const next: BuiltImage = { config: Buffer.from(JSON.stringify({ ...(JSON.parse(changed.config.toString()) as object), rootfs: { type: 'layers', diff_ids: layers.map((layer) => `sha256:${digestOf(layer)}`) } })), layers };
  const again = await pushTo([one, two], await dockerArchive(next, ['vote:1']), 2);
  expect(again).toEqual({ sent: (layers[1] as Buffer).length, uploads: 1, spread: (layers[1] as Buffer).length + next.config.length });
  for (const host of [one, two]) await runs(host, 'vote:1');
});

test('layers that came compressed are not sent again uncompressed, and not unpacked twice', async () => {
  const gzipped = await ociArchive(image, 'registry.test/base:1');
  await one.images.load((async function* () {
    yield gzipped;
  })());
  await tell();
  const result = await pushTo([one, two], await dockerArchive(image, ['vote:1']));
  expect(result).toMatchObject({ sent: 0, uploads: 0 });
  for (const host of [one, two]) await runs(host, 'vote:1');
  const layers = (await two.images.held()).flatMap((held) => held.layers);
  expect(layers.every(({ mediaType, here }) => mediaType.endsWith('+gzip') && here)).toBe(true);
});

test('a node that needs an image finds it by its name at another one, and keeps the time of the name', async () => {
  await pushTo([one], await dockerArchive(image, ['vote:1']), 1_700_000_000_000);
  const pulled = await two.images.pull('vote:1', { credentials: null, signal });
  expect(pulled.digest).toBe((await one.images.get('vote:1')).digest);
  await runs(two, 'vote:1');
  const names = async (host: Host) => (await host.images.held()).flatMap((held) => held.names.filter(({ name }) => !name.includes('@')));
  expect(await names(two)).toEqual(await names(one));
  await expect(two.images.pull('vote:2', { credentials: null, signal })).rejects.toMatchObject({ code: 'not-found' });
});

test('a push that is cut goes on where it was, also for the next agent', async () => {
  const archive = await archiveOf(await dockerArchive(image, ['vote:1']));
  const layer = archive.images[0]?.manifest.layers[2];
  if (!layer) throw new Error('there is no such layer');
  const half = async function* () {
    let bytes = 0;
    for await (const part of archive.read(layer.digest, 0)) {
      if (bytes > layer.size / 2) throw new Error('the sender broke off');
      bytes += part.length;
      yield part;
    }
  };
  await expect(one.images.pushes.receive(push, layer, 0, half())).rejects.toThrow('the sender broke off');
  const after = new ContainerdImages({ client: one.containerd.client, clock: systemClock, log: silentLog, runDir: one.containerd.runDir });
  await after.sweep();
  const [state] = await after.pushes.state(push, [layer]);
  expect(state?.whole).toBe(false);
  expect(state?.offset).toBeGreaterThan(layer.size / 2);
  await expect(after.pushes.receive(push, layer, layer.size - 1, archive.read(layer.digest, layer.size - 1))).rejects.toMatchObject({ code: 'conflict' });
  const result = await pushTo([one], await dockerArchive(image, ['vote:1']));
  expect(result.sent).toBe(total(image) - (state?.offset ?? 0));
  await runs(one, 'vote:1');
});

test('a blob that is not what it should be is refused, and leaves nothing behind', async () => {
  const layer = { digest: sha256('something else'), size: 1000 };
  const data = async function* () {
    yield randomBytes(1000);
  };
  await expect(one.images.pushes.receive(push, layer, 0, data())).rejects.toMatchObject({ code: 'invalid' });
  expect(await one.images.pushes.state(push, [layer])).toEqual([{ offset: 0, whole: false }]);
});

test('nothing is named before all of it is here', async () => {
  const archive = await archiveOf(await dockerArchive(image, ['vote:1']));
  const [local] = archive.images;
  if (!local) throw new Error('there is no image');
  const target = { mediaType: local.target.mediaType, digest: local.target.digest, size: local.target.size };
  const documents = [{ digest: target.digest, text: local.manifestText }, { digest: local.manifest.config.digest, text: local.configText }];
  await expect(one.images.pushes.commit(push, [{ references: ['vote:1'], target, documents }], { since: 1, source: one.peer.sources.open(), signal })).rejects.toMatchObject({ code: 'not-found' });
  await expect(one.images.pushes.commit(push, [{ references: ['vote:1'], target, documents: [{ ...documents[0]!, text: '{}' }] }], { since: 1, source: null, signal })).rejects.toMatchObject({ code: 'invalid' });
  expect(await one.images.list()).toEqual([]);
});

test('a push that is over holds on to nothing', async () => {
  await pushTo([one], await dockerArchive(image, ['vote:1']));
  const { leases } = await one.containerd.client.call(LeasesService.list, { filters: [] });
  expect(leases.map(({ id }) => id)).toEqual([]);
});
