/** What a container may do, and what of the host it sees. */
import { expect } from 'vitest';
import { namespace } from './process.ts';
import type { Row, Theme } from './row.ts';

const usual = 'a80425fb';
const eff = 'st CapEff';

const rights: readonly Row[] = [
  { keys: ['services.cap_add'], service: 'cap_add: [NET_ADMIN, CAP_SYS_TIME]', says: eff, see: `00000000${(BigInt(`0x${usual}`) | (1n << 12n) | (1n << 25n)).toString(16)}` },
  { keys: ['services.cap_drop'], service: 'cap_drop: [mknod, CHOWN]', says: `${eff}; chown 1 /tmp || echo refused`, see: [new RegExp(`^00000000${(BigInt(`0x${usual}`) & ~(1n << 27n) & ~1n).toString(16)}\n`), /refused/] },
  { keys: ['services.cap_drop', 'services.cap_add'], form: 'all but one', service: 'cap_drop: [ALL]\ncap_add: [NET_BIND_SERVICE]', says: `${eff}; st CapBnd`, see: '0000000000000400\n0000000000000400' },
  { keys: ['services.privileged'], service: 'privileged: true', says: `${eff}; st Seccomp; mount -t tmpfs x /tmp && echo mounted; ls /dev | wc -l; grep " /sys " /proc/mounts | cut -d" " -f4`, see: [/^000001ff[^]*\n0\nmounted\n(\d\d+)\nrw/] },
  { keys: ['services.security_opt'], form: 'no-new-privileges, three ways', service: 'security_opt: ["no-new-privileges:true"]',
    others: 'nnp-bare: { image: "t-keys:1", stop_grace_period: 0s, command: [sleep, "1000"], security_opt: [no-new-privileges] }\nnnp-equals: { image: "t-keys:1", stop_grace_period: 0s, command: [sleep, "1000"], security_opt: ["no-new-privileges=true"] }',
    see: async (seen) => {
      for (const one of [seen, seen.of('nnp-bare'), seen.of('nnp-equals')]) expect(await one.sh('st NoNewPrivs')).toBe('1\n');
    } },
  { keys: ['services.security_opt'], form: 'none of it by itself', service: 'environment: {}', says: `st NoNewPrivs; st Seccomp; ${eff}; unshare -m true || echo refused`, see: [new RegExp(`^0\n2\n00000000${usual}\n`), /refused$/] },
  { keys: ['services.security_opt'], form: 'seccomp=unconfined', service: 'security_opt: [seccomp=unconfined]\ncap_add: [SYS_ADMIN]', says: 'st Seccomp; unshare -m true && echo allowed', see: '0\nallowed' },
  { keys: ['services.security_opt'], form: 'seccomp: a profile of one\'s own', service: `security_opt: ['seccomp={"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":["mkdir","mkdirat"],"action":"SCMP_ACT_ERRNO","errnoRet":28}]}']`, says: 'st Seccomp; mkdir /tmp/x', see: /^2\n.*No space left/ },
  { keys: ['services.security_opt'], form: 'systempaths=unconfined', service: 'security_opt: [systempaths=unconfined]', says: 'grep -c " /proc/sys " /proc/mounts; wc -c </proc/interrupts', see: /^0\n[1-9]\d+$/ },
  { keys: ['services.security_opt'], form: 'label=disable, apparmor=unconfined', service: 'security_opt: ["label=disable", "apparmor=unconfined"]', says: 'echo runs', see: 'runs' },
  { keys: ['services.read_only'], service: 'read_only: true\ntmpfs: /scratch', says: 'touch /x; touch /scratch/x && echo written', see: /Read-only file system\nwritten$/ },
];

const devices: readonly Row[] = [
  { keys: ['services.devices'], form: 'short', service: 'devices: ["/dev/full", "/dev/fuse:/dev/mine:r"]', says: 'cat </dev/full | head -c 3 | od -An -tx1; true </dev/mine && echo opened; echo x >/dev/mine', see: [/00 00 00\nopened\n/, /\/dev\/mine: Operation not permitted/] },
  { keys: ['services.devices', 'services.devices.source', 'services.devices.target', 'services.devices.permissions'], form: 'long', service: 'devices: [{ source: /dev/zero, target: /dev/there, permissions: rw }]', says: 'head -c 2 /dev/there | wc -c; echo x >/dev/there && echo written', see: '2\nwritten' },
  { keys: ['services.devices'], form: 'a CDI name', service: 'devices: ["nvidia.com/gpu=0"]', says: 'ls /dev | grep keys; echo $KEYS_GPU_0', see: 'keys-gpu-0\ngiven' },
  { keys: ['services.device_cgroup_rules'], service: 'device_cgroup_rules: ["c 10:229 rw"]\ncap_add: [MKNOD]', says: 'mknod /tmp/fuse c 10 229; true </tmp/fuse && echo opened', see: 'opened' },
  { keys: ['services.device_cgroup_rules'], form: 'without it', service: 'cap_add: [MKNOD]', says: 'mknod /tmp/fuse c 10 229; true </tmp/fuse && echo opened', see: /Operation not permitted/ },
  { keys: ['services.gpus'], form: 'all', service: 'gpus: all', says: 'ls /dev | grep keys; echo $KEYS_GPU_ALL', see: 'keys-gpu-all\ngiven' },
  { keys: ['services.gpus', 'services.gpus.count', 'services.gpus.driver', 'services.gpus.capabilities'], form: 'so many', service: 'gpus: [{ count: 1, driver: nvidia, capabilities: [gpu] }]', says: 'ls /dev | grep keys', see: async (seen) => {
    expect((await seen.output()).trim()).toBe('keys-gpu-0');
    expect((await seen.pod()).node, 'the node that has gpus').toBe('node-1');
  } },
  { keys: ['services.deploy.resources.reservations.devices', 'services.deploy.resources.reservations.devices.device_ids'], form: 'by id', service: 'deploy: { resources: { reservations: { devices: [{ capabilities: [gpu], driver: cdi, device_ids: ["nvidia.com/gpu=1"] }] } } }', says: 'ls /dev | grep keys', see: 'keys-gpu-1' },
];

const spaces: readonly Row[] = [
  { keys: ['services.pid'], form: 'host', service: 'pid: host', says: 'readlink /proc/self/ns/pid', see: namespace('pid') },
  { keys: ['services.pid'], form: 'of another container of the pod', name: 'pid-owner', service: 'hostname: shared', others: 'pid-guest: { image: "t-keys:1", command: [sleep, "4321"], network_mode: "service:pid-owner", pid: "service:pid-owner", stop_grace_period: 0s }', see: async (seen) => expect(await seen.of('pid-guest').sh('ps')).toMatch(/sleep 100000[^]*sleep 4321/) },
  { keys: ['services.ipc'], form: 'host', service: 'ipc: host', says: 'readlink /proc/self/ns/ipc', see: namespace('ipc') },
  { keys: ['services.ipc'], form: 'none', service: 'ipc: none', says: 'grep -c " /dev/shm " /proc/mounts', see: '0' },
  { keys: ['services.ipc'], form: 'shareable and of another container of the pod', name: 'ipc-owner', service: 'ipc: shareable', says: 'echo there >/dev/shm/file', others: 'ipc-guest: { image: "t-keys:1", command: [sleep, "1000"], network_mode: "service:ipc-owner", ipc: "service:ipc-owner", stop_grace_period: 0s }', see: async (seen) => {
    await seen.output();
    expect(await seen.of('ipc-guest').sh('cat /dev/shm/file')).toBe('there\n');
  } },
  { keys: ['services.cgroup'], form: 'host', service: 'cgroup: host', says: 'readlink /proc/self/ns/cgroup', see: namespace('cgroup') },
  { keys: ['services.cgroup'], form: 'private', service: 'cgroup: private', says: 'grep -c tsorch /proc/self/cgroup; readlink /proc/self/ns/cgroup', see: async (seen) => {
    const [others, own] = (await seen.output()).split('\n');
    expect(others).toBe('0');
    expect(own).not.toBe(await seen.own('cgroup'));
  } },
  { keys: ['services.cgroup_parent'], service: 'cgroup_parent: batch/night\ncgroup: host', says: 'cat /proc/self/cgroup', see: /\/tsorch\/t-keys-\d+\/node-[12]\/batch\/night\// },
  { keys: ['services.userns_mode'], form: 'private', service: 'userns_mode: private', says: 'id -u; cat /proc/self/uid_map', see: /^0\n\s*0\s+[1-9]\d+\s+65536$/ },
  { keys: ['services.userns_mode'], form: 'host', service: 'userns_mode: host', says: 'readlink /proc/self/ns/user', see: namespace('user') },
];

export const security: Theme = { name: 'k-security', rows: [...rights, ...devices, ...spaces] };
