/** Whole OCI specs, as the runtimes get them. */
import { expect, test } from 'vitest';
import type { CreateRequest } from '../../../../agent/runtime/port.ts';
import { noEdits } from '../../../../agent/runtime/cdi/types.ts';
import { buildSpec, type SpecInput } from '../../../../agent/runtime/spec/build.ts';
import type { HostFacts } from '../../../../agent/runtime/spec/facts.ts';
import { parseSpec, specJson } from '../../../../agent/runtime/spec/oci.ts';
import type { ContainerSpec } from '../../../../model/spec.ts';

const host: HostFacts = {
  arch: 'amd64', emulated: [], kernel: [6, 1], cgroup: 'v2', swapLimits: true, hardLimits: { nofile: 524_288, memlock: 8 << 20 }, nrOpen: 1 << 20, mayRaise: true,
  capabilities: (1n << 41n) - 1n, oomScoreAdj: 0, apparmor: false, selinux: false, init: '/usr/bin/tini-static',
};
const spec: ContainerSpec = {
  name: 'web', image: 'nginx', pullPolicy: 'missing', env: {}, labels: {}, annotations: {}, groupAdd: [], mounts: [], secrets: [], configs: [], init: false, tty: false,
  stdinOpen: false, readOnly: false, privileged: false, capAdd: [], capDrop: [], securityOpt: [], devices: [], ulimits: {}, limits: {},
};
const request: CreateRequest = {
  id: 'p1.web.1', podId: 'p1', labels: {}, spec, hostname: 'web-1', netns: '/run/tsorch/netns/p1', mounts: [], env: {}, sysctls: {}, stdout: '/o', stderr: '/e',
  image: {
    reference: 'docker.io/library/nginx:latest', digest: 'sha256:0', chainId: 'sha256:1',
    config: { architecture: 'amd64', os: 'linux', entrypoint: ['/entry.sh'], cmd: ['nginx', '-g', 'daemon off;'], env: ['PATH=/usr/sbin:/usr/bin', 'VERSION=1'], workingDir: '/srv', user: '', exposedPorts: [], volumes: [], labels: {} },
  },
};
const root = { uid: 0, gid: 0, additionalGids: [0], home: '/root' };

function input(changes: Partial<SpecInput> = {}, asked: Partial<CreateRequest> = {}, container: Partial<ContainerSpec> = {}): SpecInput {
  return { request: { ...request, ...asked, spec: { ...spec, ...container } }, host, account: root, devices: [], seccompProfile: null, cgroupsPath: '/tsorch/p1/p1.web.1', peers: {}, sharedShm: null, users: null, cdi: noEdits, ...changes };
}

/** Indented, short lists on one line, the long list of system calls left to its own test. */
const print = (given: SpecInput) => {
  const { spec: built, warnings } = buildSpec(given);
  const json = specJson(built);
  expect(specJson(parseSpec(json))).toBe(json);
  const plain = JSON.stringify(JSON.parse(json.replaceAll('18446744073709551615', '"2^64-1"')), (key, value: unknown) => (key === 'syscalls' ? [] : value), 1);
  return [plain.replace(/[[{]\s[^[\]{}]*[\]}]/g, (list) => list.replace(/\n\s*/g, ' ')), ...warnings].join('\n');
};

test('a plain container on cgroup v2', async () => {
  await expect(print(input())).toMatchFileSnapshot('plain.txt');
});

test('everything set, on a hybrid host that may not raise limits', async () => {
  const given = input(
    {
      host: { ...host, cgroup: 'hybrid', mayRaise: false, capabilities: host.capabilities & ~(1n << 24n), hardLimits: { nofile: 20_000 }, swapLimits: false },
      account: { uid: 1000, gid: 1000, additionalGids: [1000, 44], home: '/home/app' },
      devices: [{ path: '/dev/mine', type: 'c', major: 1, minor: 5, mode: 0o666, uid: 0, gid: 0, permissions: 'rw' }],
    },
    {
      domainname: 'example.test', sysctls: { 'net.core.somaxconn': '1024' }, env: { TSORCH_NODE: 'n1', A: 'agent' },
      mounts: [
        { source: '/v/data', target: '/data/inner', type: 'bind', options: ['rbind', 'rw', 'rshared'] },
        { source: '/v/outer', target: '/data', type: 'bind', options: ['ro'] },
      ],
    },
    {
      entrypoint: ['/run.sh'], command: ['a b'], env: { A: 'file', VERSION: null }, workingDir: 'sub', tty: true, init: true, readOnly: true, capDrop: ['ALL'], capAdd: ['NET_BIND_SERVICE', 'ALL'],
      securityOpt: ['no-new-privileges', 'seccomp=unconfined'], ulimits: { nofile: { soft: 30_000, hard: 40_000 }, core: { soft: 0, hard: -1 } }, shmSize: 1 << 20, oomScoreAdj: -500,
      limits: { cpus: 1.5, cpuShares: 512, cpuset: '0-1', memory: 256 << 20, memoryReservation: 128 << 20, memorySwap: 512 << 20, pids: 100 },
      mounts: [{ kind: 'tmpfs', target: '/scratch', readOnly: false, size: 1 << 20, mode: 0o1770 }], annotations: { 'example.test/a': 'b' },
    },
  );
  await expect(print(given)).toMatchFileSnapshot('everything.txt');
});

test('privileged on the host\'s network', async () => {
  await expect(print(input({}, { netns: null }, { privileged: true }))).toMatchFileSnapshot('privileged.txt');
});

test('namespaces shared in a pod with user ids of its own, on cgroup v1', async () => {
  const given = input(
    { host: { ...host, cgroup: 'v1' }, peers: { main: 77 }, sharedShm: '/run/tsorch/shm/p1.main.1', users: { path: '/run/tsorch/userns/p1.1073741824', start: 2 ** 30 }, devices: [{ path: '/dev/fuse', type: 'c', major: 10, minor: 229, mode: 0o666, uid: 0, gid: 0, permissions: 'rwm' }] },
    { sysctls: { 'net.core.somaxconn': '1', 'kernel.shmmni': '2' }, domainname: 'example.test' },
    { pid: 'container:main', ipc: 'container:main', uts: 'host', cgroupns: 'private', deviceCgroupRules: ['c 4:* rw', 'a *:* m'], limits: { memory: 64 << 20, memorySwappiness: 0, oomKillDisable: true } },
  );
  await expect(print(given)).toMatchFileSnapshot('shared.txt');
});

test('the default seccomp profile', async () => {
  const lines = (given: SpecInput) => (buildSpec(given).spec.linux.seccomp?.syscalls ?? []).map(({ names, action, errnoRet, args }) => `${action.slice(9)}${errnoRet === undefined ? '' : ` ${errnoRet}`}${args ? ` ${JSON.stringify(args)}` : ''}: ${names.join(' ')}`);
  const { seccomp } = buildSpec(input()).spec.linux;
  expect(seccomp).toMatchObject({ defaultAction: 'SCMP_ACT_ERRNO', defaultErrnoRet: 38, architectures: ['SCMP_ARCH_X86_64'] });
  await expect(lines(input()).join('\n')).toMatchFileSnapshot('seccomp.txt');
  await expect(lines(input({}, {}, { capAdd: ['SYS_ADMIN', 'SYS_PTRACE'] })).join('\n')).toMatchFileSnapshot('seccomp-admin.txt');
});
