import fs from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { ImageHandle, Images } from '../../../../agent/runtime/port.ts';
import { nameFiles } from '../../../../agent/volumes/network-files.ts';
import { safeName, safePath } from '../../../../agent/volumes/names.ts';
import { Plugins } from '../../../../agent/volumes/plugins/plugins.ts';
import { PodFiles } from '../../../../agent/volumes/pod-files.ts';
import { Volumes } from '../../../../agent/volumes/volumes.ts';
import { FakeClock } from '../../../../lib/clock.ts';
import type { MountSpec } from '../../../../model/spec.ts';
import { FakeMounter } from '../pods/host.ts';
import { assignment, containerSpec } from '../pods/specs.ts';

let directory: string;
let mounter: FakeMounter;
let copies: [string, string][];
let volumes: Volumes;

const image = (over: readonly string[] = []): ImageHandle => ({
  reference: 'i',
  digest: 'd',
  chainId: 'c',
  config: { architecture: 'amd64', os: 'linux', entrypoint: [], cmd: [], env: [], workingDir: '', user: '', exposedPorts: [], volumes: over, labels: {} },
});

beforeEach(async () => {
  directory = await fs.mkdtemp(path.join(os.tmpdir(), 'tsorch-volumes-'));
  mounter = new FakeMounter();
  copies = [];
  const images: Pick<Images, 'copyUp'> = {
    copyUp: async (_image, from, target) => {
      copies.push([from, target]);
      // What a recorder has mounted there shows nothing.
      if (!mounter.isMounted(target)) await fs.writeFile(path.join(target, 'seed'), from);
      return true;
    },
  };
  volumes = new Volumes({ stateDir: directory, runDir: path.join(directory, 'run'), images, mounter, plugins: new Plugins({ directories: { sockets: path.join(directory, 'none'), files: [] } }), bootId: 'b1', clock: new FakeClock() });
});
afterEach(() => fs.rm(directory, { recursive: true, force: true }));

const volume = (over: Partial<Extract<MountSpec, { kind: 'volume' }>> = {}): MountSpec => ({ kind: 'volume', volume: 'data', target: '/data', readOnly: false, noCopy: false, ...over });
const prepare = (mounts: readonly MountSpec[], declared: readonly string[] = [], a = assignment('p1')) => volumes.prepare(a, containerSpec({ mounts }), image(declared));

describe('named volumes', () => {
  test('a fresh one takes what the image has, a used one keeps what it holds', async () => {
    const data = path.join(directory, 'volumes', 'data', '_data');
    expect(await prepare([volume()])).toEqual([{ source: data, target: '/data', type: 'bind', options: ['rbind', 'rw', 'rprivate'] }]);
    expect(await fs.readFile(path.join(data, 'seed'), 'utf8')).toBe('/data');
    await fs.writeFile(path.join(data, 'seed'), 'mine');
    await prepare([volume({ readOnly: true })]);
    expect(await fs.readFile(path.join(data, 'seed'), 'utf8')).toBe('mine');
    expect(copies).toHaveLength(1);
    expect(await volumes.list()).toMatchObject([{ name: 'data', driver: 'local', pods: ['p1'] }]);
  });

  test('many pods meeting a fresh volume fill it once', async () => {
    await Promise.all(Array.from({ length: 8 }, () => prepare([volume()])));
    expect(copies).toHaveLength(1);
  });

  test('one whose filling was cut off is filled anew', async () => {
    const fresh = path.join(directory, 'volumes', 'data', '_data.new');
    await fs.mkdir(fresh, { recursive: true });
    await fs.writeFile(path.join(fresh, 'half'), '');
    await prepare([volume()]);
    expect(await fs.readdir(path.join(directory, 'volumes', 'data', '_data'))).toEqual(['seed']);
  });

  test('nocopy leaves it empty', async () => {
    await prepare([volume({ noCopy: true })]);
    expect(copies).toEqual([]);
  });

  test('a subpath is made and mounted by its handle; one that leads out is refused', async () => {
    const data = path.join(directory, 'volumes', 'data', '_data');
    const [made] = await prepare([volume({ subpath: 'a/b' })]);
    expect((await fs.stat(path.join(data, 'a/b'))).isDirectory()).toBe(true);
    expect(mounter.mounted.get(made?.source ?? '')).toMatch(/^bind \/proc\/self\/fd\/\d+$/);
    // What the image has goes to the part that covers it, not to the volume's root.
    expect([copies, await fs.readdir(data)]).toEqual([[['/data', made?.source]], ['a']]);
    await fs.symlink('/etc', path.join(data, 'out'));
    await fs.symlink('a', path.join(data, 'in'));
    await fs.writeFile(path.join(data, 'file'), '');
    await prepare([volume({ subpath: 'in/b' })]);
    for (const subpath of ['out', 'out/x', '../..', '/etc', 'file/x', 'a\0b']) await expect(prepare([volume({ subpath })]), subpath).rejects.toMatchObject({ code: 'invalid' });
    await expect(fs.stat('/etc/x')).rejects.toMatchObject({ code: 'ENOENT' });
    await volumes.release('p1');
    expect([mounter.mounted.size, await fs.readdir(data)]).toEqual([0, ['a', 'file', 'in', 'out']]);
  });

  test('the local driver mounts what its options say, once', async () => {
    const a = assignment('p1', { volumes: { data: { driver: 'local', driverOpts: { type: 'nfs', o: 'addr=10.0.0.1,rw', device: ':/export' } } } });
    await prepare([volume()], [], a);
    await prepare([volume()], [], a);
    const data = path.join(directory, 'volumes', 'data', '_data');
    expect([...mounter.mounted]).toEqual([[data, 'nfs addr=10.0.0.1,rw :/export']]);
    await expect(volumes.remove('data', 'local')).rejects.toMatchObject({ code: 'conflict', message: 'volume data is mounted by pod p1 of this node' });
    await prepare([volume()], [], { ...a, pod: { ...a.pod, id: 'p2' } });
    await volumes.release('p1');
    expect(mounter.mounted.size).toBe(1);
    await volumes.release('p2');
    expect(mounter.mounted.size).toBe(0);
    await volumes.remove('data', 'local');
    expect(await volumes.list()).toEqual([]);
  });

  test('other drivers are refused by name', async () => {
    const a = assignment('p1', { volumes: { data: { driver: 'rbd', driverOpts: {} } } });
    await expect(prepare([volume()], [], a)).rejects.toMatchObject({ code: 'unavailable', message: 'this node has no volume driver rbd' });
  });
});

describe('anonymous volumes and binds', () => {
  test("the image's volumes get one each, unless something covers them; they go with the pod", async () => {
    const mounts = await prepare([volume({ target: '/covered/' })], ['/covered', '/cache']);
    expect(mounts.map((m) => m.target)).toEqual(['/covered', '/cache']);
    expect(mounts[1]?.source).toContain(path.join(directory, 'pods', 'p1'));
    expect((await prepare([], ['/cache']))[0]?.source).toBe(mounts[1]?.source);
    await volumes.release('p1');
    await expect(fs.stat(mounts[1]?.source ?? '')).rejects.toMatchObject({ code: 'ENOENT' });
  });

  test('binds', async () => {
    const source = path.join(directory, 'on', 'host');
    const bind = (createHostPath: boolean): MountSpec => ({ kind: 'bind', source, target: '/in', readOnly: true, createHostPath, propagation: 'rslave' });
    await expect(prepare([bind(false)])).rejects.toMatchObject({ code: 'invalid', message: `${source} is not on this node` });
    expect(await prepare([bind(true)])).toEqual([{ source, target: '/in', type: 'bind', options: ['rbind', 'ro', 'rslave'] }]);
  });
});

test('names and paths that reach beyond', async () => {
  for (const name of ['', '.', '..', '../x', 'a/b', 'a\0b', '-x', 'x'.repeat(300)]) expect(() => safeName('volume', name)).toThrow(/cannot be a name/);
  for (const name of ['a', 'stack_data', 'A.b-c', '0']) expect(safeName('volume', name)).toBe(name);
  for (const p of ['', 'a', '/a/../b', '/a\0']) expect(() => safePath('x', p)).toThrow(/absolute path/);
  expect(safePath('x', '/a//b/./c/')).toBe('/a/b/c');
});

describe('pod files', () => {
  test('secrets lie in memory with their owner and mode, and go with the pod', async () => {
    const files = new PodFiles({ runDir: directory, mounter });
    const reference = { source: 'key', target: '', uid: 0, gid: 0, mode: 0o400 };
    const a = assignment('p1', {
      files: [
        { reference, kind: 'secret', container: 'main', content: Buffer.from([0, 255, 10]).toString('base64') },
        { reference: { ...reference, source: 'conf', target: '/etc/app.conf', mode: 0o444 }, kind: 'config', container: 'main', content: Buffer.from('x=1').toString('base64') },
        { reference, kind: 'secret', container: 'other', content: '' },
      ],
    });
    await files.write(a);
    const secrets = path.join(directory, 'pods', 'p1', 'secrets');
    expect([...mounter.mounted]).toEqual([[secrets, 'tmpfs']]);
    const mounts = files.mounts(a, containerSpec());
    expect(mounts.map((m) => m.target)).toEqual(['/run/secrets/key', '/etc/app.conf', '/etc/resolv.conf', '/etc/hosts', '/etc/hostname']);
    const [secret, config] = mounts;
    expect([...(await fs.readFile(secret?.source ?? ''))]).toEqual([0, 255, 10]);
    expect((await fs.stat(secret?.source ?? '')).mode & 0o7777).toBe(0o400);
    expect([(await fs.stat(config?.source ?? '')).mode & 0o777, secret?.options.includes('ro')]).toEqual([0o444, true]);
    // Written again in place: containers have the file by its inode.
    const { ino } = await fs.stat(config?.source ?? '');
    await files.write(a);
    expect((await fs.stat(config?.source ?? '')).ino).toBe(ino);
    await files.release('p1');
    expect([mounter.mounted.size, await fs.readdir(path.join(directory, 'pods'))]).toEqual([0, []]);
  });
});

describe('name files', () => {
  const host = { resolvConf: 'nameserver 192.0.2.53\nsearch example.org\n', hosts: '127.0.0.1 localhost\n' };
  const files = (template: Parameters<typeof assignment>[1] & object = {}) => nameFiles(assignment('p1', template), '169.254.1.1', host);

  test('of a pod on the overlay', () => {
    expect(files()).toEqual({
      resolvConf: 'nameserver 169.254.1.1\noptions timeout:1 attempts:5 ndots:0\n',
      hosts: '127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n10.32.1.2\tweb-1\n',
      hostname: 'web-1\n',
    });
  });

  test('with everything a template can say', () => {
    const all = files({
      template: { hostname: 'db', domainname: 'shop.test', extraHosts: [{ name: 'out', ip: '192.0.2.9' }, { name: 'here', ip: 'host-gateway' }], dns: ['192.0.2.1', '192.0.2.2', '192.0.2.3'], dnsSearch: ['a.test', 'b.test'], dnsOptions: ['ndots:2', 'use-vc'] },
    });
    expect(all.resolvConf).toBe('nameserver 169.254.1.1\nnameserver 192.0.2.1\nnameserver 192.0.2.2\nsearch a.test b.test\noptions timeout:1 attempts:5 ndots:2 use-vc\n');
    expect(all.hosts).toContain('192.0.2.9\tout\n169.254.1.1\there\n10.32.1.2\tdb.shop.test db\n');
  });

  test("pods on the host's network keep its files, and add theirs", () => {
    expect(files({ template: { networkMode: 'host' } })).toMatchObject({ resolvConf: host.resolvConf, hosts: host.hosts });
    const own = files({ template: { networkMode: 'host', dnsSearch: ['a.test'], extraHosts: [{ name: 'x', ip: '192.0.2.9' }, { name: 'here', ip: 'host-gateway' }] } });
    expect([own.resolvConf, own.hosts]).toEqual(['nameserver 192.0.2.53\nsearch a.test\n', '127.0.0.1 localhost\n192.0.2.9\tx\n127.0.0.1\there\n']);
  });

  test('host names of global pods are names', () => {
    expect(files({ pod: { slot: 'node_1/x' } }).hostname).toBe('web-node-1-x\n');
  });
});
