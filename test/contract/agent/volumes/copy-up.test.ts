/** What a fresh volume gets from an image on containerd, and whose it is then. */
import fs from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { ImageHandle } from '../../../../agent/runtime/port.ts';
import { linuxMounter } from '../../../../agent/volumes/mounter.ts';
import { Plugins } from '../../../../agent/volumes/plugins/plugins.ts';
import { Volumes } from '../../../../agent/volumes/volumes.ts';
import { systemClock } from '../../../../lib/clock.ts';
import { readXattrs } from '../../../../lib/linux/files.ts';
import type { MountSpec } from '../../../../model/spec.ts';
import { assignment, containerSpec } from '../../../unit/agent/pods/specs.ts';
import { asStream, digestOf, dockerArchive, tar } from '../runtime/busybox.ts';
import { type ContainerdHost, startHost } from '../runtime/containerd-host.ts';

let host: ContainerdHost;
let directory: string;
let image: ImageHandle;
let volumes: Volumes;
let count = 0;

beforeAll(async () => {
  directory = await fs.mkdtemp(path.join(os.tmpdir(), 'tsorch-copy-up-'));
  host = await startHost('volumes');
  const layers = [
    await tar([
      { name: 'etc', directory: true },
      { name: 'etc/passwd', data: 'root:x:0:0::/root:/bin/sh\njenkins:x:1000:1001::/home:/bin/sh\n' },
      { name: 'home', directory: true, uid: 1000, gid: 1001, mode: 0o750 },
      { name: 'home/a', data: 'first', uid: 1000, gid: 1001 },
      { name: 'home/sub', directory: true, uid: 7, gid: 8, mode: 0o2775 },
      { name: 'home/sub/deep', data: 'deep', uid: 9, gid: 10, mode: 0o4755, xattrs: { 'user.note': 'kept' } },
      { name: 'home/link', link: 'sub/deep' },
      { name: 'empty', directory: true },
      { name: 'empty-own', directory: true, uid: 33, gid: 34 },
      { name: 'full', directory: true },
      { name: 'full/x', data: 'x' },
    ]),
    await tar([{ name: 'home/sub/upper', data: 'upper' }, { name: 'home/again', hardLink: 'home/sub/upper' }]),
  ];
  const config = Buffer.from(JSON.stringify({ architecture: process.arch === 'x64' ? 'amd64' : process.arch, os: 'linux', config: { User: 'jenkins' }, rootfs: { type: 'layers', diff_ids: layers.map((layer) => `sha256:${digestOf(layer)}`) } }));
  await host.images.load(asStream(await dockerArchive({ config, layers }, ['seed:1'])));
  image = await host.images.get('seed:1');
  volumes = new Volumes({ stateDir: path.join(directory, 'state'), runDir: path.join(directory, 'run'), mounter: linuxMounter, images: host.images, bootId: 'b', clock: systemClock, plugins: new Plugins() });
});
afterAll(async () => {
  await host?.close();
  for (const point of linuxMounter.mountsBelow(directory)) linuxMounter.unmount(point);
  await fs.rm(directory, { recursive: true, force: true });
});

const mount = (over: Partial<Extract<MountSpec, { kind: 'volume' }>>): MountSpec => ({ kind: 'volume', volume: `v${count++}`, target: '/home', readOnly: false, noCopy: false, ...over });
const prepare = async (mounts: readonly MountSpec[], user?: string): Promise<readonly string[]> =>
  (await volumes.prepare(assignment('p1'), containerSpec({ mounts, ...(user === undefined ? {} : { user }) }), image)).map(({ source }) => source);
const ownerOf = async (file: string) => {
  const { uid, gid, mode } = await fs.lstat(file);
  return [uid, gid, (mode & 0o7777).toString(8)];
};

describe('content', () => {
  test('owners, modes, times, links, attributes, from all layers', async () => {
    const [home = ''] = await prepare([mount({})]);
    expect(await fs.readdir(home, { recursive: true }).then((names) => names.sort())).toEqual(['a', 'again', 'link', 'sub', 'sub/deep', 'sub/upper']);
    expect(await ownerOf(home)).toEqual([1000, 1001, '750']);
    expect(await ownerOf(path.join(home, 'sub'))).toEqual([7, 8, '2775']);
    expect(await ownerOf(path.join(home, 'sub/deep'))).toEqual([9, 10, '4755']);
    expect(readXattrs(path.join(home, 'sub/deep')).map(({ name, value }) => [name, Buffer.from(value).toString()])).toEqual([['user.note', 'kept']]);
    expect([await fs.readlink(path.join(home, 'link')), (await fs.stat(path.join(home, 'a'))).mtimeMs]).toEqual(['sub/deep', 0]);
    expect((await fs.stat(path.join(home, 'again'))).ino).toBe((await fs.stat(path.join(home, 'sub/upper'))).ino);
  });

  test('a volume over a directory inside another one: each has its own part', async () => {
    const [home = '', sub = ''] = await prepare([mount({}), mount({ target: '/home/sub' })]);
    expect(await fs.readdir(path.join(home, 'sub'))).toEqual(['deep', 'upper']);
    expect([await fs.readdir(sub), await ownerOf(sub)]).toEqual([['deep', 'upper'], [7, 8, '2775']]);
  });

  test('goes to the subpath that covers the directory, when that is new', async () => {
    const name = `v${count++}`;
    const [sub = ''] = await prepare([mount({ volume: name, subpath: 'tenants/one' })]);
    expect([(await fs.readdir(sub)).length, await ownerOf(sub)]).toEqual([4, [1000, 1001, '750']]);
    expect(await fs.readdir(path.join(directory, 'state/volumes', name, '_data'))).toEqual(['tenants']);
    await fs.rm(path.join(sub, 'a'));
    expect(await fs.readdir((await prepare([mount({ volume: name, subpath: 'tenants/one' })]))[0] ?? '')).toEqual(['again', 'link', 'sub']);
  });
});

describe('a container that is not root can write to a fresh volume', () => {
  test.each([
    ['the image has no such directory', '/none', undefined, [1000, 1001, '755']],
    ['the image has an empty one of root', '/empty', undefined, [1000, 1001, '755']],
    ['by number', '/none', '1234', [1234, 0, '755']],
    ['by number and group', '/none', '1234:jenkins', undefined],
    ['the image gives it to somebody', '/empty-own', undefined, [33, 34, '755']],
    ['there is content of root', '/full', undefined, [0, 0, '755']],
    ['it is root', '/none', 'root', [0, 0, '755']],
  ])('%s', async (_, target, user, owner) => {
    const made = prepare([mount({ target })], user);
    if (owner === undefined) await expect(made).rejects.toMatchObject({ code: 'invalid', message: expect.stringContaining('jenkins') });
    else expect(await ownerOf((await made)[0] ?? '')).toEqual(owner);
  });

  test('also an anonymous one, and one that somebody made beforehand', async () => {
    expect(await ownerOf((await prepare([{ kind: 'volume', target: '/none', readOnly: false, noCopy: false }]))[0] ?? '')).toEqual([1000, 1001, '755']);
    await volumes.create('made', { driver: 'local', driverOpts: {} });
    expect(await ownerOf((await prepare([mount({ volume: 'made', target: '/none' })]))[0] ?? '')).toEqual([1000, 1001, '755']);
    await volumes.create('made-2', { driver: 'local', driverOpts: {} });
    expect(await fs.readdir((await prepare([mount({ volume: 'made-2' })]))[0] ?? '')).toHaveLength(4);
  });
});
