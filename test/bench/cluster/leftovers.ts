/** What is left of pods on the hosts of a local cluster: namespaces, containers' bundles, cgroups of every hierarchy. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

const cgroupMounts = readFileSync('/proc/self/mountinfo', 'utf8').split('\n').map((line) => line.split(' ')).filter((fields) => fields[fields.indexOf('-') + 1]?.startsWith('cgroup')).map((fields) => fields[4] ?? '');

export function everythingLeft(cluster: string): string[] {
  const hosts = list(`/run/tsorch/${cluster}`).filter((name) => name.startsWith('node-'));
  return hosts.flatMap((host) => [
    ...list(`/run/tsorch/${cluster}/${host}/netns`).map((name) => `netns ${name}`),
    ...list(`/run/tsorch/${cluster}/${host}/pods`).map((name) => `files of ${name}`),
    ...list(`/run/tsorch/${cluster}/${host}/containerd/io.containerd.runtime.v2.task/tsorch`).map((name) => `container ${name}`),
    ...cgroupMounts.flatMap((mount) => directories(join(mount, 'tsorch', cluster, host)).map((name) => `cgroup ${mount} ${name}`)),
  ]);
}

function list(directory: string): string[] {
  try {
    return readdirSync(directory);
  } catch {
    return [];
  }
}

function directories(directory: string): string[] {
  try {
    return readdirSync(directory, { withFileTypes: true }).filter((entry) => entry.isDirectory()).map((entry) => entry.name);
  } catch {
    return [];
  }
}
