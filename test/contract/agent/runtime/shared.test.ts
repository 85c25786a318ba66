/** What containers share with one another and with the host, or have to themselves: namespaces, user ids, memory, images, disks. */
import { execFileSync } from 'node:child_process';
import { existsSync, readdirSync, readlinkSync } from 'node:fs';
import { chmod, chown, mkdir, mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from 'vitest';
import { identify } from '../../../../agent/runtime/proc.ts';
import type { ContainerSpec } from '../../../../model/spec.ts';
import { listMounts } from '../../../../lib/linux/mount.ts';
import { removeNetns } from '../../../../lib/linux/netns.ts';
import { createNetnsOf } from '../../../../lib/linux/userns.ts';
import { isCode } from '../../../../model/errors.ts';
import { asStream, busyboxImage, ociArchive } from './busybox.ts';
import { type ContainerdHost, startHost } from './containerd-host.ts';
import { type OwnNetns, ownNetns } from '../../../own.ts';
import { Shell } from './shell.ts';

const forever = new AbortController().signal;
const sleeper: Partial<ContainerSpec> = { command: ['sleep', '1000'] };
const namespaceOf = (pid: number | 'self', name: string) => readlinkSync(`/proc/${pid}/ns/${name}`);

describe.each(['crun', 'runc'])('shared and private, by %s', (oci) => {
  let host: ContainerdHost;
  let netns: OwnNetns;
  let shell: Shell;
  let cdi: string;

  beforeAll(async () => {
    netns = ownNetns('t-rt-shared');
    cdi = await mkdtemp('/var/tmp/tsorch-test-cdi-');
    host = await startHost(`s-${oci}`, { runtime: oci, cdiDirectories: [cdi] });
    await host.images.load(asStream(await ociArchive(await busyboxImage(), 'tsorch-test:busybox')));
    await host.images.load(asStream(await ociArchive(await busyboxImage({ variant: 'mounted' }), 'tsorch-test:mounted')));
    shell = new Shell(host, await host.images.get('tsorch-test:busybox'), 's', netns.path);
  });
  afterAll(async () => {
    await host?.close();
    netns?.[Symbol.dispose]();
    await rm(cdi, { recursive: true, force: true });
  });
  /** A network namespace that belongs to the pod's user namespace, as the agent makes it. */
  const netnsOf = async (pod: string) => {
    const path = join(host.runDir, `netns-${pod}`);
    userPods.set(pod, path);
    await createNetnsOf(await host.runtime.users(pod), path);
    return path;
  };
  const userPods = new Map<string, string>();

  afterEach(async () => {
    // A test that failed leaves its containers to nobody.
    for (const { id } of await host.runtime.list()) await host.runtime.remove(id);
    for (const [pod, path] of userPods) {
      removeNetns(path);
      await host.runtime.release(pod);
    }
    userPods.clear();
    expect(listMounts().filter(({ target }) => target.startsWith(`${host.runDir}/mounts/`) || target.startsWith(`${host.runDir}/shm/`))).toEqual([]);
    expect(['mounts', 'shm', 'userns'].flatMap((name) => (existsSync(join(host.runDir, name)) ? readdirSync(join(host.runDir, name)) : []))).toEqual([]);
  });

  test('by default a container has namespaces of its own', async () => {
    const { pid } = await shell.start(sleeper);
    for (const name of ['pid', 'ipc', 'uts', 'mnt', 'net']) expect(namespaceOf(pid, name), name).not.toBe(namespaceOf('self', name));
    expect(namespaceOf(pid, 'user')).toBe(namespaceOf('self', 'user'));
  });

  test('the host\'s pid, ipc, uts and cgroup namespaces', async () => {
    const hostname = execFileSync('hostname').toString();
    const asked = await shell.start({ ...sleeper, pid: 'host', ipc: 'host', uts: 'host', cgroupns: 'host' }, { hostname: 'not-asked' });
    for (const name of ['pid', 'ipc', 'uts', 'cgroup']) expect(namespaceOf(asked.pid, name), name).toBe(namespaceOf('self', name));
    const seen = await shell.exec(asked.id, `hostname; cat /proc/${process.pid}/status | head -1; grep ' /dev/shm ' /proc/mounts`);
    expect(seen.split('\n').slice(0, 2)).toEqual([hostname.trim(), (await readFile('/proc/self/status', 'utf8')).split('\n')[0]]);
    expect(seen).toMatch(/\/dev\/shm tmpfs/);
    expect((await stat(`/proc/${asked.pid}/root/dev/shm`)).dev).toBe((await stat('/dev/shm')).dev);
    expect(execFileSync('hostname').toString()).toBe(hostname);
    expect(execFileSync('hostname').toString()).not.toContain('not-asked');
  });

  test('processes of a container on the host\'s pids all end with it', async () => {
    const asked = await shell.start({ command: ['sh', '-c', 'sleep 1001 & echo $!; exec sleep 1002'], pid: 'host' });
    await vi.waitFor(async () => expect(await readFile(asked.stdout, 'utf8')).toMatch(/^\d+\n/), { timeout: 10_000 });
    const child = Number((await readFile(asked.stdout, 'utf8')).trim());
    expect(await identify(child)).not.toBeNull();
    await host.runtime.kill(asked.id, 9);
    await host.runtime.wait(asked.id, forever);
    await host.runtime.remove(asked.id);
    await vi.waitFor(async () => expect(await identify(child)).toBeNull(), { timeout: 10_000 });
  });

  test('a cgroup namespace of its own hides where it is', async () => {
    const { out } = await shell.sh('cat /proc/self/cgroup', { cgroupns: 'private' });
    expect(out).toMatch(/:pids:\/$/m);
    expect(out).not.toContain(host.cgroupPrefix);
    const open = await shell.sh('cat /proc/self/cgroup', { cgroupns: 'host' });
    expect(open.out).toContain(host.cgroupPrefix);
  });

  test('processes and memory of another container of the pod', async () => {
    const peers = { main: 'share.main.1' };
    const main = await shell.start({ command: ['sh', '-c', 'echo from main > /dev/shm/note; exec sleep 1003'], shmSize: 4 << 20 }, { id: 'share.main.1', sharesIpc: true });
    const side = await shell.start({ ...sleeper, pid: 'container:main', ipc: 'container:main' }, { id: 'share.side.1', peers });
    for (const name of ['pid', 'ipc']) expect(namespaceOf(side.pid, name), name).toBe(namespaceOf(main.pid, name));
    for (const name of ['uts', 'mnt']) expect(namespaceOf(side.pid, name), name).not.toBe(namespaceOf(main.pid, name));
    const seen = await shell.exec(side.id, 'cat /proc/1/cmdline | od -c | head -2; cat /dev/shm/note; echo from side > /dev/shm/note; grep " /dev/shm " /proc/mounts');
    expect(seen).toMatch(/s\s+l\s+e\s+e\s+p\s+\\0\s+1\s+0\s+0\s+3/);
    expect(seen).toContain('from main\n');
    expect(seen).toMatch(/nosuid,nodev,noexec.*size=4096k/);
    expect(await shell.exec(main.id, 'cat /dev/shm/note')).toBe('from side\n');
    // The first process of a pid namespace takes the others with it.
    await host.runtime.kill(main.id, 9);
    expect((await host.runtime.wait(side.id, forever)).code).toBe(137);
    await host.runtime.remove(main.id);
    await host.runtime.remove(side.id);
  });

  test('what cannot be shared', async () => {
    const failure = (spec: Partial<ContainerSpec>, peers: Record<string, string> = {}) => shell.start({ ...sleeper, ...spec }, { peers }).catch((error: unknown) => error as Error);
    const other = await shell.start(sleeper, { id: 'other.a.1' });
    expect(isCode(await failure({ pid: 'container:a' }), 'unavailable')).toBe(true);
    expect(isCode(await failure({ pid: 'container:a' }, { a: 'other.gone.1' }), 'unavailable')).toBe(true);
    const private_ = await failure({ ipc: 'container:a' }, { a: other.id });
    expect(isCode(private_, 'invalid')).toBe(true);
    expect((private_ as Error).message).toMatch(/does not share its ipc/);
    expect((await host.runtime.list()).map(({ id }) => id)).toEqual(['other.a.1']);
  });

  test('no /dev/shm at all', async () => {
    const { out } = await shell.sh('ls -d /dev/shm; grep -c " /dev/shm " /proc/mounts; true', { ipc: 'none' });
    expect(out).toBe('0\n');
  });

  test('devices of a class, by rules', async () => {
    // A node may be made of any device, and be opened only where the rules say so.
    const script = 'mknod /l c 10 237 && (exec 3</l) && echo loop; mknod /n c 1 3 && echo x > /n && echo null';
    expect((await shell.sh(script)).out).toBe('null\n');
    expect((await shell.sh(script, { deviceCgroupRules: ['c 10:237 r'] })).out).toBe('loop\nnull\n');
    expect((await shell.sh(script, { deviceCgroupRules: ['c 10:* rwm'] })).out).toBe('loop\nnull\n');
    expect(isCode(await shell.sh('true', { deviceCgroupRules: ['c 1:3'] }).catch((error: unknown) => error), 'invalid')).toBe(true);
  });

  test('block I/O: weights and rates, live too', async () => {
    const disk = execFileSync('lsblk', ['-dnpo', 'NAME,MAJ:MIN', '-e', '7,253']).toString().trim().split('\n')[0]?.split(/\s+/) ?? [];
    const [path = '', device = ''] = disk;
    const none = { weightDevice: [], deviceReadBps: [], deviceWriteBps: [], deviceReadIops: [], deviceWriteIops: [] };
    const asked = await shell.start({
      ...sleeper,
      blkio: { weight: 321, weightDevice: [{ path, weight: 400 }], deviceReadBps: [{ path, rate: 1 << 20 }], deviceWriteBps: [{ path, rate: 2 << 20 }], deviceReadIops: [{ path, rate: 100 }], deviceWriteIops: [{ path, rate: 200 }] },
    });
    const read = (file: string) => shell.cgroup(asked, 'blkio', file);
    expect(read('blkio.bfq.weight')).toContain('321');
    // Only a disk with that scheduler has a weight of its own.
    const bfq = (await readFile(`/sys/dev/block/${device}/queue/scheduler`, 'utf8')).includes('[bfq]');
    if (bfq) expect(read('blkio.bfq.weight_device')).toContain(`${device} 400`);
    else expect(asked.warnings).toEqual([expect.stringMatching(/scheduler knows no weights/)]);
    expect(['read_bps', 'write_bps', 'read_iops', 'write_iops'].map((name) => read(`blkio.throttle.${name}_device`))).toEqual([`${device} 1048576`, `${device} 2097152`, `${device} 100`, `${device} 200`]);
    await host.runtime.update(asked.id, {}, { ...none, weight: 123, deviceWriteBps: [{ path, rate: 5 << 20 }] });
    expect(read('blkio.bfq.weight')).toContain('123');
    expect(['read_bps', 'write_bps', 'read_iops', 'write_iops'].map((name) => read(`blkio.throttle.${name}_device`))).toEqual(['', `${device} 5242880`, '', '']);
    await host.runtime.update(asked.id, {});
    expect(read('blkio.throttle.write_bps_device')).toBe('');
    expect(read('blkio.bfq.weight')).toContain('100');
    const missing = await shell.start({ ...sleeper, blkio: { ...none, deviceReadBps: [{ path: '/dev/null', rate: 1 }] } }).catch((error: unknown) => error);
    expect(isCode(missing, 'invalid')).toBe(true);
    expect((await host.runtime.list()).map(({ id }) => id)).toEqual([asked.id]);
  });

  test('limits of old: swappiness, no OOM killer, realtime time', async () => {
    const asked = await shell.start({ ...sleeper, limits: { memory: 64 << 20, memorySwappiness: 17, oomKillDisable: true, cpuRealtimeRuntime: 12_000, cpuRealtimePeriod: 500_000 } });
    expect(shell.cgroup(asked, 'memory', 'memory.swappiness')).toBe('17');
    expect(shell.cgroup(asked, 'memory', 'memory.oom_control')).toContain('oom_kill_disable 1');
    expect([shell.cgroup(asked, 'cpu', 'cpu.rt_runtime_us'), shell.cgroup(asked, 'cpu', 'cpu.rt_period_us')]).toEqual(['12000', '500000']);
    const second = await shell.start({ ...sleeper, limits: { cpuRealtimeRuntime: 20_000 } }, { id: `${asked.podId}.second.1` });
    expect(shell.cgroup(second, 'cpu', 'cpu.rt_runtime_us')).toBe('20000');
    const much = await shell.start({ ...sleeper, limits: { cpuRealtimeRuntime: 990_000 } }).catch((error: unknown) => error);
    expect(isCode(much, 'exhausted'), String(much)).toBe(true);
    expect((await host.runtime.list()).length).toBe(2);
  });

  test('limits of a running container: up, down, off; and less than is in use is refused', async () => {
    const asked = await shell.start({ command: ['sh', '-c', 'head -c 40000000 /dev/zero > /dev/shm/held; echo held; exec sleep 1000'], limits: { memory: 128 << 20, cpus: 1, pids: 50 } });
    await vi.waitFor(async () => expect(await readFile(asked.stdout, 'utf8')).toBe('held\n'), { timeout: 10_000 });
    const read = () => [shell.cgroup(asked, 'memory', 'memory.limit_in_bytes'), shell.cgroup(asked, 'memory', 'memory.memsw.limit_in_bytes'), shell.cgroup(asked, 'cpu', 'cpu.cfs_quota_us'), shell.cgroup(asked, 'pids', 'pids.max')];
    const mb = (count: number) => String(count << 20);
    expect(read()).toEqual([mb(128), mb(256), '100000', '50']);
    for (const [memory, cpus, pids] of [[256, 2, 100], [64, 0.5, 20], [96, 1.5, 30]] as const) {
      expect(await host.runtime.update(asked.id, { memory: memory << 20, cpus, pids })).toEqual([]);
      expect(read()).toEqual([mb(memory), mb(2 * memory), String(cpus * 100_000), String(pids)]);
    }
    await expect(host.runtime.update(asked.id, { memory: 8 << 20, memorySwap: 8 << 20 })).rejects.toBeInstanceOf(Error);
    expect(await shell.exec(asked.id, 'echo alive')).toBe('alive\n');
    await host.runtime.update(asked.id, {});
    expect(Number(read()[0])).toBeGreaterThan(2 ** 50);
  });

  test('a cgroup parent goes with its last pod', async () => {
    const asked = await shell.start({ ...sleeper, cgroupParent: '/team/web.slice', limits: { pids: 33 } });
    expect(shell.cgroup(asked, 'pids', 'pids.max', 'team/web.slice')).toBe('33');
    await host.runtime.remove(asked.id);
    const roots = [...host.runtime.context.layout.v1.map((h) => h.directory), host.runtime.context.layout.v2 ?? ''];
    expect(roots.filter((root) => existsSync(join(root, host.cgroupPrefix, 'team')))).toEqual([]);
    for (const cgroupParent of ['../out', 'a/../b']) expect(isCode(await shell.start({ ...sleeper, cgroupParent }).catch((error: unknown) => error), 'invalid')).toBe(true);
  });

  test('tmpfs options', async () => {
    const { out } = await shell.sh('grep " /scratch " /proc/mounts; stat -c "%u %a" /scratch', { mounts: [{ kind: 'tmpfs', target: '/scratch', readOnly: false, options: ['exec', 'uid=1234', 'mode=700', 'size=2m', 'noatime'] }] });
    expect(out).toMatch(/tmpfs rw,nosuid,nodev,noatime,size=2048k,mode=700,uid=1234/);
    expect(out).toContain('1234 700\n');
  });

  test('images as mounts', async () => {
    const image = await host.images.get('tsorch-test:mounted');
    const { out, err } = await shell.sh('cat /img/variant /img/etc/group | head -1; cat /one; ls /etc2; touch /img/x; touch /one', {}, {
      imageMounts: [{ image, target: '/img' }, { image, target: '/one', subpath: '/variant' }, { image, target: '/etc2', subpath: 'etc' }],
    });
    expect(out).toBe('mountedroot:x:0:\nmountedgroup\npasswd\n');
    expect(err.match(/Read-only file system/g)).toHaveLength(2);
    const none = await shell.start(sleeper, { imageMounts: [{ image, target: '/img', subpath: 'no/such' }] }).catch((error: unknown) => error);
    expect(isCode(none, 'invalid')).toBe(true);
    expect((none as Error).message).toMatch(/nothing at no\/such/);
    // As long as a container has it mounted its layers stay, also without the image.
    const asked = await shell.start(sleeper, { imageMounts: [{ image, target: '/img' }] });
    await host.images.remove('tsorch-test:mounted');
    expect(await shell.exec(asked.id, 'cat /img/variant')).toBe('mounted');
    await host.images.load(asStream(await ociArchive(await busyboxImage({ variant: 'mounted' }), 'tsorch-test:mounted')));
  });

  test('a user namespace: root inside is nobody outside, and its files are its own', async () => {
    const source = join(host.logDir, 'data');
    await rm(source, { recursive: true, force: true });
    await mkdir(source, { recursive: true });
    await writeFile(join(source, 'roots'), 'of root\n');
    await writeFile(join(source, 'webs'), 'of web\n');
    await chown(join(source, 'webs'), 1234, 2345);
    await Promise.all([chmod(join(source, 'roots'), 0o600), chmod(join(source, 'webs'), 0o600)]);
    const secret = join(host.runDir, 'secret');
    await writeFile(secret, 'hidden\n', { mode: 0o400 });
    const image = await host.images.get('tsorch-test:mounted');
    const [one, two] = [{ netns: await netnsOf('users1') }, { netns: await netnsOf('users2') }];
    const asked = await shell.start({ command: ['sh', '-c', 'echo ready; cat'], userns: 'private', stdinOpen: true }, {
      id: 'users1.c.1', ...one,
      mounts: [{ source, target: '/data', type: 'bind', options: ['rbind', 'rw'] }, { source: secret, target: '/run/secrets/s', type: 'bind', options: ['bind', 'ro'] }],
      imageMounts: [{ image, target: '/img' }],
    });
    expect(asked.warnings).toEqual([]);
    const status = await readFile(`/proc/${asked.pid}/status`, 'utf8');
    const uid = Number(/^Uid:\s+(\d+)/m.exec(status)?.[1]);
    expect(uid).toBeGreaterThanOrEqual(2 ** 30);
    const seen = await shell.exec(asked.id, 'id -u; cat /data/roots; stat -c "%u:%g" /data/roots /data/webs /etc/passwd /bin/busybox / /img/variant; cat /run/secrets/s; echo x > /data/new; echo y > /etc/new; cat /proc/self/uid_map; mkdir /dev/shm/d; echo z > /proc/1/fd/1; mknod /n c 1 3; echo null > /dev/null && echo written');
    expect(seen.split('\n')).toEqual([
      '0', 'of root', '0:0', '1234:2345', '0:0', '0:0', '0:0', '0:0', 'hidden', `         0 ${uid}      65536`, 'written', '',
    ]);
    expect((await stat(join(source, 'new'))).uid).toBe(0);
    expect(await readFile(asked.stdout, 'utf8')).toBe('ready\nz\n');
    // A second container of the pod has the same ids, another pod has others.
    const same = await shell.start({ ...sleeper, userns: 'private' }, { id: 'users1.second.1', ...one });
    const different = await shell.start({ ...sleeper, userns: 'private', user: 'web' }, { id: 'users2.c.1', ...two });
    expect((await stat(`/proc/${same.pid}`)).uid).toBe(uid);
    const far = (await stat(`/proc/${different.pid}`)).uid;
    expect(Math.floor(far / 65_536)).not.toBe(Math.floor(uid / 65_536));
    expect(far % 65_536).toBe(1234);
    expect(await shell.exec(different.id, 'id -un; echo a > /tmp/a; stat -c %U /tmp/a')).toBe('web\nweb\n');
    // Its own network settings were made for it, and it rules its network.
    const net = await shell.exec(same.id, 'cat /proc/sys/net/ipv4/ip_unprivileged_port_start; ls /sys/class/net; cat /proc/mounts | grep " /sys "');
    expect(net).toMatch(/^0\nlo\nsysfs \/sys sysfs ro/);
  });

  test('a user namespace beside other settings', async () => {
    const userns = 'private';
    const own = await netnsOf('beside');
    const named = await shell.sh('hostname; cat /proc/sys/kernel/domainname /proc/sys/kernel/shmmni /proc/sys/net/core/somaxconn; ulimit -n; cat /proc/self/oom_score_adj; id -u; tty', { userns, ulimits: { nofile: { soft: 100, hard: 200 } }, oomScoreAdj: 400, tty: true, user: 'web' }, {
      id: 'beside.named.1', netns: own, domainname: 'example.test', sysctls: { 'kernel.shmmni': '77', 'net.core.somaxconn': '66' },
    });
    expect(named.out.split('\r\n')).toEqual(['test-host', 'example.test', '77', '66', '100', '400', '1234', '/dev/pts/0', '']);
    const main = await shell.start({ ...sleeper, userns }, { id: 'beside.main.1', netns: own, sharesIpc: true });
    const side = await shell.start({ ...sleeper, userns, pid: 'container:main', ipc: 'container:main' }, { id: 'beside.side.1', netns: own, peers: { main: main.id } });
    expect(await shell.exec(side.id, 'cat /proc/1/cmdline | od -c | head -1; echo x > /dev/shm/a && stat -c %u /dev/shm/a; echo y > /dev/null && head -c 3 /dev/zero | wc -c')).toMatch(/s {3}l {3}e {3}e {3}p.*\n0\n3\n/);
    const variants: readonly Partial<ContainerSpec>[] = [{ uts: 'host' }, { cgroupns: 'private' }, { readOnly: true, init: true }, { devices: [{ source: '/dev/loop-control', target: '/dev/lc', permissions: 'rwm' }] }, { capAdd: ['NET_ADMIN'] }];
    for (const [index, spec] of variants.entries()) {
      const { out, err } = await shell.sh('id -u; stat -c %F /dev/lc 2>/dev/null; true', { userns, ...spec }, { id: `beside.v${index}.1`, netns: own });
      expect([out, err], JSON.stringify(spec)).toEqual([spec.devices ? '0\ncharacter special file\n' : '0\n', '']);
    }
    // On the host's network it sees the host's /sys, read-only.
    const onHost = await shell.sh('id -u; grep " /sys " /proc/mounts; ls /sys/class/net | wc -l', { userns }, { id: 'beside.host.1', netns: null });
    expect(onHost.out).toMatch(/^0\nsysfs \/sys sysfs ro,nosuid,nodev,noexec[^\n]*\n([2-9]|\d\d+)\n$/);
    for (const spec of [{ privileged: true }, { pid: 'host' }, { ipc: 'host' }, { user: '70000' }]) {
      expect(isCode(await shell.start({ ...sleeper, userns, ...spec }, { id: 'beside.no.1', netns: own }).catch((error: unknown) => error), 'invalid'), JSON.stringify(spec)).toBe(true);
    }
  });

  test('a device of a vendor, by its CDI file', async () => {
    const library = join(host.logDir, 'library');
    const hooked = join(host.logDir, 'hooked');
    await writeFile(library, 'the library');
    await rm(hooked, { force: true });
    const spec = {
      cdiVersion: '0.6.0', kind: 'vendor.test/card', containerEdits: { env: ['CARD=void'], mounts: [{ hostPath: library, containerPath: '/usr/lib/libcard.so', options: ['ro', 'bind'] }] },
      devices: [{ name: '0', containerEdits: { deviceNodes: [{ path: '/dev/card0', hostPath: '/dev/zero', fileMode: 0o666, permissions: 'r' }], additionalGids: [4242], hooks: [{ hookName: 'createRuntime', path: '/bin/sh', args: ['sh', '-c', `cat > ${hooked}`] }] } }],
    };
    await writeFile(join(cdi, 'card.json'), JSON.stringify(spec));
    const device = (source: string) => ({ devices: [{ source, target: '', permissions: '' }] });
    const script = 'echo $CARD; cat /usr/lib/libcard.so; echo; head -c 3 /dev/card0 | wc -c; id -G; stat -c %F /dev/card0';
    const { out } = await shell.sh(script, { ...device('vendor.test/card=0'), env: { CARD: 'mine' }, user: 'web' });
    expect(out).toBe('void\nthe library\n3\n2345 3456 4242\ncharacter special file\n');
    expect(JSON.parse(await readFile(hooked, 'utf8'))).toMatchObject({ status: expect.stringMatching(/creat/) as unknown });
    const mapped = await shell.sh(script, { ...device('vendor.test/card=0'), userns: 'private' }, { id: 'card.c.1', netns: await netnsOf('card') });
    expect(mapped.out).toBe('void\nthe library\n3\n0 4242\ncharacter special file\n');
    await expect(shell.start({ ...sleeper, ...device('vendor.test/card=1') })).rejects.toMatchObject({ code: 'invalid', message: expect.stringMatching(/no CDI device vendor\.test\/card=1: this host has vendor\.test\/card=0/) as unknown });
  });

  test('runtimes by name: a binary, a path, a shim of its own, and what is not there', async () => {
    const binary = `/usr/bin/${oci}`;
    const status = async (runtime: string) => (await shell.sh('grep NoNewPrivs /proc/self/status', { runtime })).out;
    for (const runtime of [oci, binary]) expect(await status(runtime)).toMatch(/NoNewPrivs/);
    // A shim that is found by name alone, as Kata's and gVisor's are.
    const shim = '/usr/local/bin/containerd-shim-tsorchtest-v1';
    await writeFile(shim, '#!/bin/sh\nexec /usr/bin/containerd-shim-runc-v2 "$@"\n', { mode: 0o755 });
    try {
      const asked = await shell.start({ ...sleeper, runtime: 'io.containerd.tsorchtest.v1' });
      expect(await shell.exec(asked.id, 'echo inside')).toBe('inside\n');
      await host.runtime.remove(asked.id);
    } finally {
      await rm(shim, { force: true });
    }
    for (const [runtime, message] of [['kata', /containerd-shim-kata-v2/], ['runsc', /containerd-shim-runsc-v1/], ['io.containerd.nosuch.v1', /containerd-shim-nosuch-v1/], ['nosuch', /known are|not on this host/], ['../x', /not on this host/]] as const) {
      await expect(shell.start({ ...sleeper, runtime }), runtime).rejects.toMatchObject({ code: 'unsupported', message: expect.stringMatching(message) as unknown });
    }
    expect(await host.runtime.list()).toEqual([]);
  });

  test('what this host cannot give is refused before anything is made', async () => {
    const quota = await shell.start({ ...sleeper, storageOpt: { size: '20M' } }).then(
      (asked) => shell.exec(asked.id, 'head -c 30000000 /dev/zero > /big; stat -c %s /big'),
      (error: unknown) => error as Error,
    );
    // Only XFS and the like count by project. Where they do, the layer ends at its size.
    if (quota instanceof Error) expect(quota).toMatchObject({ code: 'unsupported', message: expect.stringMatching(/storage_opt: size: the file system of/) as unknown });
    else expect(Number(quota)).toBeLessThanOrEqual(20 << 20);
    const image = await host.images.get('tsorch-test:busybox');
    const foreign = { ...image, config: { ...image.config, architecture: 's390x' } };
    await expect(shell.start(sleeper, { image: foreign })).rejects.toMatchObject({ code: 'unsupported', message: expect.stringMatching(/is for linux\/s390x, this host is linux\//) as unknown });
    await expect(shell.start({ ...sleeper, storageOpt: { nosuch: '1' } })).rejects.toMatchObject({ code: 'invalid' });
  });
});
