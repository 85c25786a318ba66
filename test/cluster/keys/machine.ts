/** What the rows need of this machine: the cluster's hosts, a description of devices that every host finds, a place whose mounts are passed on. */
import { execFileSync } from 'node:child_process';
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { unmountAll } from '../../../lib/linux/mount.ts';
import { abandoned, othersHave, own, unmountBelow } from '../../own.ts';

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
const base = 't-keys-machine';
const name = own(base);
/** One for all runs: a device that two files describe is nobody's. */
const cdiFile = '/var/run/cdi/tsorch-t-keys.json';

/** Its mounts come up in what is bound to it. */
export const sharedMount = `/run/${name}`;

/** Path of the cluster file. What an earlier run left is tidied first. */
export function prepareMachine(): string {
  for (const left of new Set([...abandoned('/run', base), ...abandoned(tmpdir(), base, '', '.yml')])) tidy(left);
  writeFileSync(hostsFile(name), hosts);
  mkdirSync(dirname(cdiFile), { recursive: true });
  writeFileSync(cdiFile, JSON.stringify(cdi));
  mkdirSync(sharedMount, { recursive: true });
  execFileSync('mount', ['-t', 'tmpfs', name, sharedMount]);
  execFileSync('mount', ['--make-shared', sharedMount]);
  return hostsFile(name);
}

export function tidyMachine(): void {
  tidy(name);
  if (!othersHave(tmpdir(), base, '', '.yml')) rmSync(cdiFile, { force: true });
}

function tidy(whose: string): void {
  rmSync(hostsFile(whose), { force: true });
  unmountBelow(`/run/${whose}`);
  unmountAll(`/run/${whose}`);
  rmSync(`/run/${whose}`, { recursive: true, force: true });
}

function hostsFile(whose: string): string {
  return join(tmpdir(), `${whose}.yml`);
}
