/** What containers find when they look around: every setting proved from the inside, on the real containerd. */
import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { cgroup2Directory } from '../../../../agent/runtime/cgroup.ts';
import { isCode } from '../../../../model/errors.ts';
import type { ContainerSpec } from '../../../../model/spec.ts';
import { asStream, busyboxImage, ociArchive } from './busybox.ts';
import { type ContainerdHost, startHost } from './containerd-host.ts';
import { type OwnNetns, ownNetns } from '../../../own.ts';
import { Shell } from './shell.ts';
import { collect, text } from './suite.ts';

const forever = new AbortController().signal;

describe.each(['crun', 'runc'])('inside containers of %s', (oci) => {
  let host: ContainerdHost;
  let netns: OwnNetns;
  let shell: Shell;

  beforeAll(async () => {
    netns = ownNetns('t-rt-inside');
    host = await startHost(`i-${oci}`, { runtime: oci });
    await host.images.load(asStream(await ociArchive(await busyboxImage({ config: { WorkingDir: '/srv/app', StopSignal: 'SIGINT' } }), 'tsorch-test:busybox')));
    shell = new Shell(host, await host.images.get('tsorch-test:busybox'), 'i', netns.path);
  });
  afterAll(async () => {
    await host?.close();
    netns?.[Symbol.dispose]();
  });

  const start: Shell['start'] = (spec, rest) => shell.start(spec, rest);
  const sh: Shell['sh'] = (script, spec, rest) => shell.sh(script, spec, rest);
  const status = (text: string, field: string) => new RegExp(`^${field}:\\s*(\\S+)$`, 'm').exec(text)?.[1];

  test('environment, working directory, host name, user', async () => {
    const { out } = await sh('env | sort; pwd; hostname; id', { env: { OWN: 'x y', FROM_IMAGE: null }, user: 'web' }, { env: { GIVEN: 'g' } });
    expect(out).toContain('OWN=x y\n');
    expect(out).toContain('GIVEN=g\n');
    expect(out).toContain('HOSTNAME=test-host\n');
    expect(out).toContain('PATH=/bin:/sbin\n');
    expect(out).not.toContain('FROM_IMAGE');
    expect(out).toContain('HOME=/srv\n');
    expect(out).toContain('\n/srv/app\ntest-host\n');
    expect(out).toContain('uid=1234(web) gid=2345(web) groups=2345(web),3456(extra)');
    const other = await sh('pwd; id -u; id -g; id -G; echo $HOME', { workingDir: '../new', user: '77:more', groupAdd: ['9', 'extra'] });
    expect(other.out).toBe('/srv/new\n77\n4567\n4567 9 3456\n/\n');
  });

  test('capabilities', async () => {
    const plain = await sh('cat /proc/self/status');
    expect(status(plain.out, 'CapEff')).toBe('00000000a80425fb');
    expect(status(plain.out, 'CapInh')).toBe('0000000000000000');
    expect(status(plain.out, 'NoNewPrivs')).toBe('0');
    const few = await sh('cat /proc/self/status', { capDrop: ['ALL'], capAdd: ['net_bind_service'], securityOpt: ['no-new-privileges:true'] });
    expect(status(few.out, 'CapEff')).toBe('0000000000000400');
    expect(status(few.out, 'CapBnd')).toBe('0000000000000400');
    expect(status(few.out, 'NoNewPrivs')).toBe('1');
    const user = await sh('cat /proc/self/status', { user: '1000' });
    expect(status(user.out, 'CapEff')).toBe('0000000000000000');
    expect(status(user.out, 'CapBnd')).toBe('00000000a80425fb');
  });

  test('system calls', async () => {
    const script = 'cat /proc/self/status | grep Seccomp:; unshare -m true && echo unshared; mount -t tmpfs x /tmp && echo mounted; true';
    const plain = await sh(script);
    expect(plain.out).toBe('Seccomp:\t2\n');
    expect(plain.err).toMatch(/unshare.*not permitted/);
    const open = await sh(script, { securityOpt: ['seccomp=unconfined'], capAdd: ['SYS_ADMIN'] });
    expect(open.out).toBe('Seccomp:\t0\nunshared\nmounted\n');
    const admin = await sh(script, { capAdd: ['SYS_ADMIN'] });
    expect(admin.out).toBe('Seccomp:\t2\nunshared\nmounted\n');
    const profile = { defaultAction: 'SCMP_ACT_ALLOW', syscalls: [{ names: ['mkdir', 'mkdirat'], action: 'SCMP_ACT_ERRNO', errnoRet: 28 }] };
    const own = await sh('mkdir /tmp/x', { securityOpt: [`seccomp=${JSON.stringify(profile)}`] });
    expect(own.err).toContain('No space left');
  });

  test('keyctl is refused', async () => {
    // No program in the image makes this call: a static one is compiled for it where a compiler is.
    const directory = join(host.logDir, 'keyctl');
    await mkdir(directory, { recursive: true });
    await writeFile(join(directory, 'k.c'), '#include <stdio.h>\n#include <errno.h>\n#include <unistd.h>\n#include <sys/syscall.h>\nint main(){long r=syscall(SYS_keyctl,0,-3,1);printf("%ld %d\\n",r,r<0?errno:0);r=syscall(435,0,0);printf("%ld %d\\n",r,r<0?errno:0);return 0;}\n');
    execFileSync('clang', ['-static', '-o', join(directory, 'k'), join(directory, 'k.c')]);
    const { out } = await sh('/k/k', {}, { mounts: [{ source: directory, target: '/k', type: 'bind', options: ['ro'] }] });
    // EPERM for keys; ENOSYS for clone3, so that the C library falls back.
    expect(out).toBe('-1 1\n-1 38\n');
  });

  test('masked and read-only paths', async () => {
    const { out, err } = await sh('for f in kcore keys timer_list sched_debug interrupts; do [ -e /proc/$f ] && wc -c < /proc/$f; done; ls /sys/firmware | wc -l; echo 1 > /proc/sys/kernel/sysrq; touch /sys/x; touch /proc/irq/x; cat /proc/mounts | grep " /proc/sys "');
    expect(out).toMatch(/^0\n(0\n)+proc \/proc\/sys proc ro/);
    expect(err.match(/Read-only|nonexistent|No such/g)?.length).toBeGreaterThanOrEqual(3);
    const open = await sh('cat /proc/mounts | grep -c " /proc/sys "; true', { securityOpt: ['systempaths=unconfined'] });
    expect(open.out).toBe('0\n');
  });

  test('mounts: tmpfs, shm, binds, a read-only root', async () => {
    const source = join(host.logDir, 'bound');
    await mkdir(source, { recursive: true });
    await writeFile(join(source, 'file'), 'bound content\n');
    const { out, err } = await sh('cat /data/file; touch /data/new; touch /root/x; touch /scratch/y && echo scratch; df -k 2>/dev/null; grep -E " (/scratch|/dev/shm) " /proc/mounts', {
      readOnly: true,
      shmSize: 128 << 20,
      mounts: [{ kind: 'tmpfs', target: '/scratch', readOnly: false, size: 1 << 20, mode: 0o1777 }],
    }, { mounts: [{ source, target: '/data', type: 'bind', options: ['ro'] }] });
    expect(out).toContain('bound content\nscratch\n');
    expect(err.match(/Read-only file system/g)).toHaveLength(2);
    expect(out).toMatch(/\/scratch tmpfs rw,nosuid,nodev,noexec.*size=1024k/);
    expect(out).toMatch(/\/dev\/shm tmpfs rw,nosuid,nodev,noexec.*size=131072k/);
  });

  test('limits: cgroups, ulimits, OOM score', async () => {
    const asked = await start({
      command: ['sh', '-c', 'ulimit -n; ulimit -Hn; ulimit -c; cat /proc/self/oom_score_adj; sleep 1000'],
      limits: { memory: 96 << 20, memoryReservation: 64 << 20, cpus: 0.5, cpuShares: 300, cpuset: '0', pids: 40 },
      ulimits: { nofile: { soft: 500, hard: 100_000_000 }, core: { soft: 0, hard: -1 } },
      oomScoreAdj: 321,
    });
    const read = (controller: string, file: string) => shell.cgroup(asked, controller, file);
    if (host.runtime.context.layout.mode !== 'v2') {
      expect(read('memory', 'memory.limit_in_bytes')).toBe(String(96 << 20));
      expect(read('memory', 'memory.soft_limit_in_bytes')).toBe(String(64 << 20));
      expect(read('cpu', 'cpu.cfs_quota_us')).toBe('50000');
      expect(read('cpu', 'cpu.shares')).toBe('300');
      expect(read('cpuset', 'cpuset.cpus')).toBe('0');
    }
    expect(read('pids', 'pids.max')).toBe('40');
    await vi.waitFor(async () => expect((await readFile(asked.stdout, 'utf8')).split('\n').length).toBe(5), { timeout: 10_000 });
    const [soft, hard, core, oom] = (await readFile(asked.stdout, 'utf8')).split('\n');
    expect([soft, core, oom]).toEqual(['500', '0', '321']);
    const hostHard = host.runtime.context.host.mayRaise ? host.runtime.context.host.nrOpen : host.runtime.context.host.hardLimits['nofile'];
    expect(hard).toBe(String(hostHard));
    expect(asked.warnings.join()).toContain('ulimit nofile');
    await host.runtime.update(asked.id, { memory: 128 << 20, cpus: 0.25 });
    if (host.runtime.context.layout.mode !== 'v2') {
      expect(read('memory', 'memory.limit_in_bytes')).toBe(String(128 << 20));
      expect(read('cpu', 'cpu.cfs_quota_us')).toBe('25000');
    }
    expect(Number(read('pids', 'pids.max')) || Infinity).toBeGreaterThan(4_000_000);
    await host.runtime.remove(asked.id);
  });

  test('cgroup v2: every process is below the prefix, and the directories go with the pod', async () => {
    const directory = cgroup2Directory(host.runtime.context.layout, host.cgroupPrefix);
    const asked = await start({ command: ['sleep', '1000'] });
    const path = /^0::(.*)$/m.exec(await readFile(`/proc/${asked.pid}/cgroup`, 'utf8'))?.[1];
    expect(path).toBe(`/${host.cgroupPrefix}/${asked.podId}/${asked.id}`);
    expect(await readFile(join(directory ?? '', asked.podId, asked.id, 'cgroup.procs'), 'utf8')).toContain(`${asked.pid}\n`);
    const left = () => [...host.runtime.context.layout.v1.map((h) => h.directory), host.runtime.context.layout.v2 ?? ''].map((root) => join(root, host.cgroupPrefix, asked.podId)).filter((d) => existsSync(d));
    expect(left().length).toBeGreaterThan(0);
    await host.runtime.remove(asked.id);
    expect(left()).toEqual([]);
    expect(existsSync(directory ?? '')).toBe(true);
  });

  test('a hierarchy that another host mounted later is cleared too', async () => {
    const { context } = host.runtime;
    const now = context.layout;
    // As this host knew them before.
    const unknown = now.v1.find(({ controllers }) => controllers.includes('pids') || controllers.includes('name=systemd'));
    if (!unknown) return expect(now.mode).toBe('v2');
    context.layout = { ...now, v1: now.v1.filter((hierarchy) => hierarchy !== unknown) };
    context.hierarchies = '';
    const asked = await start({ command: ['sleep', '1000'] });
    const directory = join(unknown.directory, host.cgroupPrefix, asked.podId);
    expect(existsSync(directory)).toBe(true);
    await host.runtime.remove(asked.id);
    expect(existsSync(directory)).toBe(false);
    expect(context.layout).toEqual(now);
  });

  test('sysctls and the network are the pod\'s own', async () => {
    const { out } = await sh('cat /proc/sys/net/ipv4/ip_unprivileged_port_start /proc/sys/net/core/somaxconn /proc/sys/kernel/domainname /proc/sys/kernel/shmmni; ls /sys/class/net', {}, { sysctls: { 'net.core.somaxconn': '777', 'kernel.shmmni': '99' }, domainname: 'example.test' });
    expect(out).toBe('0\n777\nexample.test\n99\nlo\n');
    const shared = await sh('ls /sys/class/net', {}, { netns: null });
    expect(shared.out.split('\n').length).toBeGreaterThan(1);
  });

  test('devices and privilege', async () => {
    const device = await sh('ls -l /dev/mine | cut -c1; head -c 4 /dev/mine | wc -c; cat /dev/kmsg 2>&1 | head -c 1 | wc -c', { devices: [{ source: '/dev/zero', target: '/dev/mine', permissions: 'r' }] });
    expect(device.out).toMatch(/^c?\n?4\n/m);
    const privileged = await sh('grep CapEff /proc/self/status; ls /dev | wc -l; touch /sys/fs/cgroup 2>&1; grep " /sys " /proc/mounts | grep -c rw; grep Seccomp: /proc/self/status', { privileged: true });
    expect(privileged.out).toMatch(/Seccomp:\t0\n$/);
    expect(Number(/\n(\d+)\n/.exec(privileged.out)?.[1])).toBeGreaterThan(15);
    expect(BigInt(`0x${/CapEff:\s*([0-9a-f]+)/.exec(privileged.out)?.[1]}`)).toBe(host.runtime.context.host.capabilities);
  });

  test('init reaps and passes signals on', async () => {
    const asked = await start({ init: true, command: ['sh', '-c', 'trap "echo got it; exit 9" TERM; echo ready; while true; do sleep 0.1; done'] });
    await vi.waitFor(async () => expect(await readFile(asked.stdout, 'utf8')).toContain('ready'), { timeout: 10_000 });
    expect(await readFile(`/proc/${asked.pid}/cmdline`, 'utf8')).toMatch(/^\/sbin\/tsorch-init\0--\0sh\0/);
    await host.runtime.kill(asked.id, 15);
    expect((await host.runtime.wait(asked.id, forever)).code).toBe(9);
    expect(await readFile(asked.stdout, 'utf8')).toContain('got it');
    await host.runtime.remove(asked.id);
  });

  test('a terminal of its own', async () => {
    const { code, out } = await sh('tty; echo err >&2; [ -t 1 ] && exit 4', { tty: true });
    expect(code).toBe(4);
    expect(out).toBe('/dev/pts/0\r\nerr\r\n');
  });

  test('input that stays open', async () => {
    const closed = await sh('cat; echo ended');
    expect(closed.out).toBe('ended\n');
    const open = await start({ command: ['cat'], stdinOpen: true });
    const exec = await host.runtime.exec(open.id, { argv: ['sh', '-c', 'ls -l /proc/1/fd/0'], env: {}, tty: false, stdin: false });
    expect(await text(exec.stdout)).toContain('pipe:');
    await exec.exit;
    expect((await host.runtime.list()).find((c) => c.id === open.id)?.state).toBe('running');
    await host.runtime.remove(open.id);
  });

  test('exec: user, directory, environment, limits, terminal, size', async () => {
    const asked = await start({ command: ['sleep', '1000'], ulimits: { nofile: { soft: 333, hard: 444 } }, env: { A: '1' } });
    const run = async (argv: readonly string[], rest: object = {}) => {
      const process = await host.runtime.exec(asked.id, { argv, env: {}, tty: false, stdin: false, ...rest });
      const out = await text(process.stdout);
      return { out, err: await text(process.stderr), code: (await process.exit).code };
    };
    // Go 1.19 lifts its own soft limit at start, and runc's exec may hand that on instead of what it was told.
    const soft = (output: string) => (oci === 'runc' ? output.replace('\n444\n444\n', '\n333\n444\n') : output);
    expect(soft((await run(['sh', '-c', 'id; pwd; echo $A $B $HOME; ulimit -n; ulimit -Hn; grep -E "CapEff|Seccomp:" /proc/self/status'], { user: 'web', workingDir: '/tmp', env: { B: '2' } })).out)).toBe(
      'uid=1234(web) gid=2345(web) groups=2345(web),3456(extra)\n/tmp\n1 2 /srv\n333\n444\nCapEff:\t0000000000000000\nSeccomp:\t2\n',
    );
    const all = await run(['grep', 'CapEff', '/proc/self/status'], { privileged: true });
    expect(BigInt(`0x${/CapEff:\s*([0-9a-f]+)/.exec(all.out)?.[1]}`)).toBe(host.runtime.context.host.capabilities);
    expect((await run(['sh', '-c', 'echo "$A-$HOME"'], { env: { A: null } })).out).toBe('-/root\n');
    const blocked = await run(['/etc/passwd']).catch((error: unknown) => error);
    expect(blocked).toMatchObject({ code: 'invalid', message: expect.stringMatching(/permission denied/i) });
    expect(isCode(await run(['no-such-program']).catch((error: unknown) => error), 'invalid')).toBe(true);
    expect(isCode(await run(['true'], { user: 'nobody-here' }).catch((error: unknown) => error), 'invalid')).toBe(true);
    const terminal = await host.runtime.exec(asked.id, { argv: ['sh'], env: {}, tty: true, stdin: true });
    const output = collect(terminal.stdout);
    await terminal.resize(133, 44);
    terminal.stdin?.write('stty size; tty; exit 6\n');
    expect((await terminal.exit).code).toBe(6);
    expect((await output).toString()).toMatch(/44 133\r\n\/dev\/pts\/\d/);
    // Much output, read late, comes whole; so does that of a child that outlives the process.
    const much = await host.runtime.exec(asked.id, { argv: ['sh', '-c', 'seq 1 200000; (sleep 0.3; echo late) & exit 2'], env: {}, tty: false, stdin: false });
    much.stderr?.resume();
    const lines = (await text(much.stdout)).split('\n');
    expect((await much.exit).code).toBe(2);
    expect(lines.length).toBe(200_002);
    expect(lines.at(-2)).toBe('late');
    await host.runtime.remove(asked.id);
  });

  test('an exec whose child never lets go of its output ends all the same', async () => {
    const asked = await start({ command: ['sleep', '1000'] });
    const process = await host.runtime.exec(asked.id, { argv: ['sh', '-c', 'echo now; sleep 500 & exit 3'], env: {}, tty: false, stdin: false });
    process.stderr?.resume();
    const out = text(process.stdout);
    expect((await process.exit).code).toBe(3);
    expect(await out).toBe('now\n');
    await host.runtime.remove(asked.id);
  });

  test('OOM kills are told before the exit', async () => {
    const controller = new AbortController();
    const events: string[] = [];
    let ready = false;
    host.runtime.watch({ exit: (id, { code }) => void events.push(`exit ${id} ${code}`), oom: (id) => void events.push(`oom ${id}`), resync: () => { ready = true; } }, controller.signal);
    await vi.waitFor(() => expect(ready).toBe(true), { timeout: 10_000 });
    const asked = await start({ command: ['sh', '-c', 'exec dd if=/dev/zero of=/dev/null bs=200M count=5'], limits: { memory: 16 << 20, memorySwap: 16 << 20 } });
    await vi.waitFor(() => expect(events.length).toBe(2), { timeout: 20_000 });
    expect(events).toEqual([`oom ${asked.id}`, `exit ${asked.id} 137`]);
    controller.abort();
    await host.runtime.remove(asked.id);
  });

  test('what cannot run says so and leaves nothing', async () => {
    const cases: readonly (readonly [Partial<ContainerSpec>, string, RegExp])[] = [
      [{ command: ['no-such-program'] }, 'invalid', /no-such-program/],
      [{ command: ['/etc/passwd'] }, 'invalid', /ermission|exec/],
      [{ user: 'nobody-here' }, 'invalid', /nobody-here.*passwd/],
      [{ devices: [{ source: '/dev/no-such', target: '/dev/x', permissions: 'rwm' }] }, 'invalid', /no-such/],
      [{ runtime: 'no-such-runtime' }, 'unsupported', /no-such-runtime/],
      [{ securityOpt: ['apparmor=mine'] }, host.runtime.context.host.apparmor ? 'invalid' : 'unsupported', /mine|AppArmor/],
    ];
    for (const [spec, code, message] of cases) {
      const failed = await start(spec).catch((error: unknown) => error as Error);
      expect(failed, JSON.stringify(spec)).toBeInstanceOf(Error);
      expect(isCode(failed, code as 'invalid'), `${JSON.stringify(spec)}: ${(failed as Error).message}`).toBe(true);
      expect((failed as Error).message).toMatch(message);
    }
    expect(await host.runtime.list()).toEqual([]);
    await rm(join(host.logDir, 'bound'), { recursive: true, force: true });
  });
});
