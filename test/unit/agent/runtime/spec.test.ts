import { describe, expect, test } from 'vitest';
import { processCapabilities, resolveCapabilities } from '../../../../agent/runtime/spec/capabilities.ts';
import { containerMounts, rootfsPropagation } from '../../../../agent/runtime/spec/mounts.ts';
import { containerArgs, containerEnv, workingDir } from '../../../../agent/runtime/spec/process.ts';
import { resolveResources, resourceUpdate } from '../../../../agent/runtime/spec/resources.ts';
import { parseHardLimits, resolveRlimits } from '../../../../agent/runtime/spec/rlimits.ts';
import { defaultSeccomp } from '../../../../agent/runtime/spec/seccomp/build.ts';
import { customSeccomp } from '../../../../agent/runtime/spec/seccomp/custom.ts';
import { parseSecurityOptions } from '../../../../agent/runtime/spec/security.ts';
import { parseSignal, stopSignal } from '../../../../agent/runtime/spec/signal.ts';
import { resolveSysctls } from '../../../../agent/runtime/spec/sysctls.ts';
import { resolveAccount } from '../../../../agent/runtime/spec/user.ts';

const invalid = expect.objectContaining({ code: 'invalid' }) as unknown as Error;
const unsupported = expect.objectContaining({ code: 'unsupported' }) as unknown as Error;

describe('arguments', () => {
  test.each([
    // [image entrypoint, image cmd, entrypoint, command, result]
    [['e'], ['c'], undefined, undefined, ['e', 'c']],
    [['e'], ['c'], undefined, ['x'], ['e', 'x']],
    [['e'], ['c'], undefined, [], ['e']],
    [['e'], ['c'], ['n'], undefined, ['n']],
    [['e'], ['c'], ['n'], ['x', 'y'], ['n', 'x', 'y']],
    [['e'], ['c'], [], ['x'], ['x']],
    [[], ['c', 'd'], undefined, undefined, ['c', 'd']],
    [[], [], undefined, ['x'], ['x']],
  ])('%j %j + %j %j = %j', (entrypoint, cmd, given, command, result) => {
    expect(containerArgs({ ...(given ? { entrypoint: given } : {}), ...(command ? { command } : {}) }, { entrypoint, cmd })).toEqual(result);
  });
  test.each([[[], [], undefined, undefined], [['e'], ['c'], [], undefined], [[], ['c'], undefined, []], [[], [], undefined, ['']], [[], [], undefined, ['a\0b']]])('%j %j + %j %j is invalid', (entrypoint, cmd, given, command) => {
    expect(() => containerArgs({ ...(given ? { entrypoint: given } : {}), ...(command ? { command } : {}) }, { entrypoint, cmd })).toThrow(invalid);
  });
});

describe('environment', () => {
  const base = { image: [], spec: {}, extra: {}, devices: [], hostname: 'h', tty: false, home: '/root' };
  const path = 'PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';
  test.each([
    ['defaults', {}, [path, 'HOSTNAME=h', 'HOME=/root']],
    ['a terminal', { tty: true }, [path, 'HOSTNAME=h', 'TERM=xterm', 'HOME=/root']],
    ["the image's", { image: ['PATH=/x', 'A=1', 'EMPTY=', 'B=a=b'] }, ['PATH=/x', 'HOSTNAME=h', 'A=1', 'EMPTY=', 'B=a=b', 'HOME=/root']],
    ['the stack file wins', { image: ['A=image'], extra: { A: 'agent', X: 'agent' }, spec: { A: 'file' } }, [path, 'HOSTNAME=h', 'A=file', 'X=agent', 'HOME=/root']],
    ['devices have the last word', { spec: { VISIBLE: 'all' }, devices: ['VISIBLE=void', 'NEW=1'] }, [path, 'HOSTNAME=h', 'VISIBLE=void', 'NEW=1', 'HOME=/root']],
    ['null unsets', { image: ['A=1'], spec: { A: null, PATH: null, HOME: null } }, ['HOSTNAME=h']],
    ['a home of its own', { image: ['HOME=/h'] }, [path, 'HOSTNAME=h', 'HOME=/h']],
  ])('%s', (_, sources, result) => {
    expect(containerEnv({ ...base, ...sources })).toEqual(result);
  });
  test.each([{ '': 'x' }, { 'a=b': 'x' }, { a: 'x\0' }])('%j is invalid', (spec) => {
    expect(() => containerEnv({ ...base, spec })).toThrow(invalid);
  });
  test.each([[undefined, '', '/'], [undefined, '/srv', '/srv'], ['/abs', '/srv', '/abs'], ['rel/../x', '/srv', '/srv/x'], ['../../..', '/srv', '/']])('directory %s in %s is %s', (given, image, result) => {
    expect(workingDir(given, image)).toBe(result);
  });
});

describe('users', () => {
  const files = { passwd: 'root:x:0:0::/root:\n# comment\nbroken\nweb:x:33:34:Web:/srv:/bin/sh\n', group: 'root:x:0:\nweb:x:34:\nvideo:x:44:web,other\naudio:x:29:other\n' };
  const nothing = { passwd: null, group: null };
  test.each([
    ['', [], files, { uid: 0, gid: 0, additionalGids: [0], home: '/root' }],
    ['', [], nothing, { uid: 0, gid: 0, additionalGids: [0], home: '/' }],
    ['web', [], files, { uid: 33, gid: 34, additionalGids: [34, 44], home: '/srv' }],
    ['33', [], files, { uid: 33, gid: 34, additionalGids: [34, 44], home: '/srv' }],
    ['web:audio', [], files, { uid: 33, gid: 29, additionalGids: [29], home: '/srv' }],
    ['web:7', ['video', '99', '7'], files, { uid: 33, gid: 7, additionalGids: [7, 44, 99], home: '/srv' }],
    ['1234', [], files, { uid: 1234, gid: 0, additionalGids: [0], home: '/' }],
    ['1234:5', [], nothing, { uid: 1234, gid: 5, additionalGids: [5], home: '/' }],
    [':video', [], files, { uid: 0, gid: 44, additionalGids: [44], home: '/root' }],
  ])('%j + %j', (user, groups, given, result) => {
    expect(resolveAccount(user, groups, given)).toEqual(result);
  });
  test.each([['ghost', []], ['web:ghost', []], ['web', ['ghost']], ['4294967295', []], ['-1', []]])('%s + %j is invalid', (user, groups) => {
    expect(() => resolveAccount(user, groups, files)).toThrow(invalid);
  });
});

describe('capabilities', () => {
  const all = (1n << 41n) - 1n;
  const some = (names: string) => names.split(' ').map((name) => `CAP_${name}`);
  const defaults = some('CHOWN DAC_OVERRIDE FOWNER FSETID KILL SETGID SETUID SETPCAP NET_BIND_SERVICE NET_RAW SYS_CHROOT MKNOD AUDIT_WRITE SETFCAP');
  const resolve = (add: readonly string[], drop: readonly string[], privileged = false, mask = all) => resolveCapabilities({ add, drop, privileged }, mask);
  test('tables', () => {
    expect(resolve([], []).granted).toEqual(defaults);
    expect(resolve(['net_admin'], ['CAP_MKNOD']).granted).toEqual(expect.arrayContaining(['CAP_NET_ADMIN']));
    expect(resolve(['net_admin'], ['CAP_MKNOD']).granted).not.toContain('CAP_MKNOD');
    expect(resolve(['KILL'], ['ALL']).granted).toEqual(['CAP_KILL']);
    expect(resolve(['ALL'], ['SYS_ADMIN']).granted).toHaveLength(40);
    expect(resolve([], ['ALL']).granted).toEqual([]);
    expect(resolve([], ['ALL'], true).granted).toHaveLength(41);
  });
  test('what the agent lacks', () => {
    const mask = all & ~(1n << 24n);
    expect(resolve(['ALL'], [], false, mask)).toMatchObject({ warnings: [expect.stringContaining('CAP_SYS_RESOURCE')] });
    expect(resolve([], [], true, mask).granted).toHaveLength(40);
    expect(() => resolve(['SYS_RESOURCE'], [], false, mask)).toThrow(unsupported);
    expect(() => resolve(['NO_SUCH'], [])).toThrow(invalid);
  });
  test('an unprivileged user has none in effect', () => {
    expect(processCapabilities(['CAP_KILL'], 1)).toEqual({ bounding: ['CAP_KILL'], effective: [], permitted: [] });
    expect(processCapabilities(['CAP_KILL'], 0)).toEqual({ bounding: ['CAP_KILL'], effective: ['CAP_KILL'], permitted: ['CAP_KILL'] });
  });
});

describe('signals', () => {
  test.each([['SIGTERM', 15], ['term', 15], ['9', 9], ['SIGRTMIN+3', 37], ['RTMAX-1', 63], ['SIGRTMIN', 34], [' Usr1 ', 10], ['SIGPOLL', 29], ['64', 64]])('%s is %i', (text, number) => {
    expect(parseSignal(text)).toBe(number);
  });
  test.each(['', '0', '65', 'SIGNO', 'RTMIN+31', 'RTMAX-31', '-9', '9.5'])('%j is invalid', (text) => {
    expect(() => parseSignal(text)).toThrow(invalid);
  });
  test('to stop', () => {
    expect(stopSignal({}, {})).toBe(15);
    expect(stopSignal({}, { stopSignal: 'SIGQUIT' })).toBe(3);
    expect(stopSignal({ stopSignal: '2' }, { stopSignal: 'SIGQUIT' })).toBe(2);
  });
});

describe('ulimits', () => {
  const host = { hardLimits: { nofile: 20_000, core: Infinity, memlock: 1000 }, mayRaise: false, nrOpen: 1 << 20 };
  test('open files in any case', () => {
    expect(resolveRlimits({}, host).rlimits).toEqual([{ type: 'RLIMIT_NOFILE', soft: 20_000, hard: 20_000 }]);
    expect(resolveRlimits({}, { ...host, hardLimits: { nofile: Infinity } }).rlimits).toEqual([{ type: 'RLIMIT_NOFILE', soft: 65_536, hard: 1 << 20 }]);
  });
  test('clamped with a warning, unless it may be raised', () => {
    const asked = { nofile: { soft: 30_000, hard: 40_000 }, core: { soft: 0, hard: -1 } };
    const result = resolveRlimits(asked, host);
    expect(result.rlimits).toEqual([{ type: 'RLIMIT_CORE', soft: 0, hard: 2n ** 64n - 1n }, { type: 'RLIMIT_NOFILE', soft: 20_000, hard: 20_000 }]);
    expect(result.warnings).toHaveLength(1);
    expect(resolveRlimits(asked, { ...host, mayRaise: true })).toMatchObject({ warnings: [], rlimits: [{}, { soft: 30_000, hard: 40_000 }] });
    expect(resolveRlimits({ nofile: { soft: -1, hard: -1 } }, { ...host, mayRaise: true }).rlimits).toEqual([{ type: 'RLIMIT_NOFILE', soft: 1 << 20, hard: 1 << 20 }]);
  });
  test.each([{ nosuch: { soft: 1, hard: 1 } }, { nofile: { soft: 2, hard: 1 } }, { nofile: { soft: -2, hard: 1 } }, { nofile: { soft: 1.5, hard: 2 } }])('%j is invalid', (asked) => {
    expect(() => resolveRlimits(asked as never, host)).toThrow(invalid);
  });
  test('from /proc', () => {
    const text = 'Limit                     Soft Limit           Hard Limit           Units     \nMax core file size        0                    unlimited            bytes     \nMax open files            1024                 524288               files     \n';
    expect(parseHardLimits(text)).toEqual({ core: Infinity, nofile: 524_288 });
  });
});

describe('resources', () => {
  const v1 = { cgroup: 'v1', swapLimits: true } as const;
  test('only what is set', () => {
    expect(resolveResources({}, v1)).toEqual({ resources: {}, warnings: [] });
    expect(resolveResources({ cpus: 0.25, memory: 1 << 30 }, v1).resources).toEqual({ cpu: { quota: 25_000, period: 100_000 }, memory: { limit: 1 << 30, swap: 2 ** 31 } });
    expect(resolveResources({ memory: 1 << 30, memorySwap: -1 }, v1).resources.memory).toEqual({ limit: 1 << 30, swap: -1 });
    expect(resolveResources({ memory: 1 << 30 }, { ...v1, swapLimits: false })).toEqual({ resources: { memory: { limit: 1 << 30 } }, warnings: [] });
    expect(resolveResources({ memory: 1 << 30, memorySwap: 1 << 30 }, { ...v1, swapLimits: false }).warnings).toHaveLength(1);
    expect(resolveResources({ pids: -1 }, v1).resources).toEqual({});
  });
  test('an update takes limits back', () => {
    expect(resourceUpdate({ cpus: 1 }, v1).resources).toEqual({ cpu: { quota: 100_000, period: 100_000, shares: 1024 }, memory: { limit: -1, swap: -1 }, pids: { limit: 4 << 20 } });
  });
  test.each([{ cpus: 0.001 }, { memory: 1 << 20 }, { memory: 64 << 20, memorySwap: 32 << 20 }, { memorySwap: 1 << 30 }, { memory: 64 << 20, memoryReservation: 65 << 20 }])('%j is invalid', (limits) => {
    expect(() => resolveResources(limits, v1)).toThrow(invalid);
  });
});

describe('security options', () => {
  test('both notations', () => {
    expect(parseSecurityOptions(['no-new-privileges', 'seccomp:unconfined', 'apparmor=mine', 'label=type:svirt_t', 'label:level:s0:c1', 'systempaths=unconfined'])).toEqual({
      seccomp: 'unconfined', apparmor: 'mine', noNewPrivileges: true, selinux: { type: 'svirt_t', level: 's0:c1' }, openSystemPaths: true,
    });
    expect(parseSecurityOptions(['no-new-privileges=false', 'seccomp=/etc/p=q.json', 'label=disable'])).toMatchObject({ noNewPrivileges: false, seccomp: '/etc/p=q.json', selinux: { disable: '' } });
  });
  test.each(['credentialspec=x', 'seccomp', 'label=what:ever', 'no-new-privileges:maybe', 'systempaths=x', ''])('%j is invalid', (option) => {
    expect(() => parseSecurityOptions([option])).toThrow(invalid);
  });
});

describe('sysctls', () => {
  const own = { hostNetwork: false, hostIpc: false, hostUts: false };
  test('own network', () => {
    expect(resolveSysctls({ sysctls: { 'net/core/somaxconn': '5', 'net.ipv4.ip_unprivileged_port_start': '1024' }, ...own, domainname: 'd' })).toEqual({
      'net.ipv4.ip_unprivileged_port_start': '1024', 'net.ipv4.ping_group_range': '0 2147483647', 'kernel.domainname': 'd', 'net.core.somaxconn': '5',
    });
    expect(resolveSysctls({ sysctls: { 'kernel.shmmax': '1', 'fs.mqueue.msg_max': '2' }, ...own, hostNetwork: true, domainname: undefined })).toEqual({ 'kernel.shmmax': '1', 'fs.mqueue.msg_max': '2' });
  });
  test.each([[{ 'net.core.somaxconn': '5' }, { hostNetwork: true }], [{ 'vm.swappiness': '1' }, {}], [{ 'kernel.panic': '1' }, {}], [{ 'kernel.shmmax': '1' }, { hostIpc: true }], [{ 'fs.mqueue.msg_max': '1' }, { hostIpc: true }], [{ 'kernel.domainname': 'd' }, { hostUts: true }]])('%j with %j is invalid', (sysctls, shared) => {
    expect(() => resolveSysctls({ sysctls, ...own, ...shared, domainname: undefined })).toThrow(invalid);
  });
});

describe('mounts', () => {
  const base = { privileged: false, readOnly: false, shm: { kind: 'own', size: undefined }, hostSys: false, resolved: [], mounts: [], init: null } as const;
  test('parents before children, the user\'s instead of the default', () => {
    const mounts = containerMounts({ ...base, resolved: [{ source: '/b', target: '/a/b/c', type: 'bind', options: ['rbind'] }, { source: '/s', target: '/dev/shm', type: 'bind', options: ['rbind'] }, { source: '/a', target: '/a', type: 'bind', options: ['ro'] }], init: '/tini' });
    expect(mounts.map((mount) => mount.destination)).toEqual(['/proc', '/dev', '/dev/pts', '/dev/mqueue', '/sys', '/sys/fs/cgroup', '/a', '/dev/shm', '/a/b/c', '/sbin/tsorch-init']);
    expect(mounts.find((mount) => mount.destination === '/a')?.options).toEqual(['rbind', 'ro', 'rprivate']);
  });
  test('propagation', () => {
    const propagation = (option: string) => rootfsPropagation([{ destination: '/x', type: 'bind', source: '/x', options: ['rbind', option] }]);
    expect(['rprivate', 'rslave', 'shared'].map(propagation)).toEqual([undefined, 'rslave', 'rshared']);
  });
  test.each(['relative', '/'])('target %j is invalid', (target) => {
    expect(() => containerMounts({ ...base, resolved: [{ source: '/x', target, type: 'bind', options: [] }] })).toThrow(invalid);
  });
});

describe('seccomp', () => {
  const context = { capabilities: ['CAP_CHOWN'], arch: 'amd64', imageArch: 'amd64' };
  const verdict = (name: string, given = context) => defaultSeccomp(given).syscalls.filter((rule) => rule.names.includes(name)).map((rule) => (rule.action === 'SCMP_ACT_ALLOW' ? 'allow' : String(rule.errnoRet)) + (rule.args ? ' if' : ''));
  test.each([
    ['read', ['allow']], ['keyctl', ['1']], ['unshare', ['1']], ['mount', ['1']], ['bpf', ['1']], ['clone', ['allow if']], ['clone3', []], ['io_uring_setup', []], ['chroot', ['1']], ['socket', ['allow if', '97 if']], ['arch_prctl', ['allow']], ['mmap2', []],
  ])('%s: %j', (name, result) => {
    expect(verdict(name)).toEqual(result);
  });
  test('with capabilities', () => {
    const admin = { ...context, capabilities: ['CAP_SYS_ADMIN', 'CAP_SYS_CHROOT'] };
    expect([verdict('unshare', admin), verdict('clone', admin), verdict('clone3', admin), verdict('chroot', admin), verdict('bpf', admin), verdict('keyctl', admin)]).toEqual([['allow'], ['allow'], ['allow'], ['allow'], ['allow'], ['1']]);
  });
  test('architectures', () => {
    expect(defaultSeccomp(context).architectures).toEqual(['SCMP_ARCH_X86_64']);
    expect(defaultSeccomp({ ...context, imageArch: '386' }).architectures).toEqual(['SCMP_ARCH_X86_64', 'SCMP_ARCH_X86']);
    expect(verdict('mmap2', { ...context, imageArch: '386' })).toEqual(['allow']);
    expect(() => defaultSeccomp({ ...context, arch: 'mips' })).toThrow(unsupported);
  });
  test('no name is decided twice without an argument', () => {
    for (const capabilities of [[], ['CAP_SYS_ADMIN'], ['CAP_SYS_PTRACE', 'CAP_SYS_NICE', 'CAP_SYSLOG', 'CAP_BPF']]) {
      const names = defaultSeccomp({ ...context, capabilities }).syscalls.filter((rule) => !rule.args).flatMap((rule) => rule.names);
      expect(names.filter((name, at) => names.indexOf(name) !== at)).toEqual([]);
    }
  });
  test('files of the user', () => {
    const file = {
      defaultAction: 'SCMP_ACT_ERRNO', defaultErrnoRet: 1, archMap: [{ architecture: 'SCMP_ARCH_X86_64', subArchitectures: ['SCMP_ARCH_X86'] }],
      syscalls: [
        { names: ['a'], action: 'SCMP_ACT_ALLOW', args: [null], comment: 'x' }, { names: ['b'], action: 'SCMP_ACT_ALLOW', includes: { caps: ['CAP_SYS_ADMIN'] } }, { names: ['c'], action: 'SCMP_ACT_ERRNO', errnoRet: 1, excludes: { caps: ['CAP_SYS_ADMIN'] } },
        { names: ['d'], action: 'SCMP_ACT_ALLOW', includes: { arches: ['arm64'] } }, { names: ['e'], action: 'SCMP_ACT_ALLOW', includes: { minKernel: '4.8' } }, { names: ['f'], action: 'SCMP_ACT_ALLOW', includes: { minKernel: '9.1' } },
      ],
    };
    const result = customSeccomp(JSON.stringify(file), context, [6, 1]);
    expect(result.architectures).toEqual(['SCMP_ARCH_X86_64', 'SCMP_ARCH_X86']);
    expect(result.syscalls).toEqual([{ names: ['a'], action: 'SCMP_ACT_ALLOW' }, { names: ['c'], action: 'SCMP_ACT_ERRNO', errnoRet: 1 }, { names: ['e'], action: 'SCMP_ACT_ALLOW' }]);
    for (const text of ['', '[]', '{"syscalls":{}}', 'null']) expect(() => customSeccomp(text, context, [6, 1])).toThrow(invalid);
  });
});
