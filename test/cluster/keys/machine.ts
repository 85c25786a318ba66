/** What the rows need of this machine: the cluster's hosts, a description of devices that every host finds, a place whose mounts are passed on. */
import { execFileSync } from 'node:child_process';
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export const machine = { name: 't-keys' } as const;

const hosts = `hosts:
  node-1: { labels: { zone: a, type: frontend }, resources: { gpu: [GPU-1, GPU-2], slots: 3 } }
  node-2: { labels: { zone: b, type: backend } }
`;

/** By the vendor's name, as gpus are found; each puts a device and a variable into the container. */
const cdi = {
  cdiVersion: '0.6.0',
  kind: 'nvidia.com/gpu',
  devices: ['0', '1', 'all'].map((name) => ({ name, containerEdits: { env: [`KEYS_GPU_${name.toUpperCase()}=given`], deviceNodes: [{ path: `/dev/keys-gpu-${name}`, hostPath: '/dev/null' }] } })),
};
const cdiFile = '/var/run/cdi/tsorch-t-keys.json';
const hostsFile = join(tmpdir(), `tsorch-${machine.name}-hosts.yml`);

/** Its mounts come up in what is bound to it. */
export const sharedMount = '/run/tsorch-t-keys-shared';

/** Path of the cluster file. What an earlier run left is tidied first. */
export function prepareMachine(): string {
  tidyMachine();
  mkdirSync('/var/run/cdi', { recursive: true });
  writeFileSync(cdiFile, JSON.stringify(cdi));
  writeFileSync(hostsFile, hosts);
  mkdirSync(sharedMount, { recursive: true });
  execFileSync('mount', ['-t', 'tmpfs', 'tsorch-t-keys', sharedMount]);
  execFileSync('mount', ['--make-shared', sharedMount]);
  return hostsFile;
}

export function tidyMachine(): void {
  for (const file of [cdiFile, hostsFile]) rmSync(file, { force: true });
  // The last one made is the first to go.
  const mounted = readFileSync('/proc/mounts', 'utf8').split('\n').map((line) => line.split(' ')[1] ?? '').filter((path) => path === sharedMount || path.startsWith(`${sharedMount}/`));
  for (const path of mounted.toReversed()) execFileSync('umount', [path]);
  rmSync(sharedMount, { recursive: true, force: true });
}
