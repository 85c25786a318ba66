/** What classic Swarm calls engine labels: `engine.labels.kernelversion`, `constraint:operatingsystem==Debian*` and the like. */
import { readdirSync, readFileSync } from 'node:fs';
import { release, version } from 'node:os';

export function engineLabels(containerd: string): Record<string, string> {
  return { containerd, storagedriver: 'overlayfs', executiondriver: 'containerd', kernelversion: release(), operatingsystem: operatingSystem(), ...gpuLabel(names('/dev')) };
}

/** The counted resource `gpu` of the host, by its device files; a label of the node goes before it. */
export function gpuLabel(devices: readonly string[]): Record<string, string> {
  const count = devices.filter((name) => /^nvidia\d+$/.test(name)).length;
  return count === 0 ? {} : { 'tsorch.resource.gpu': String(count) };
}

/** As `docker info` says it: `Debian GNU/Linux 12 (bookworm)`. */
export function operatingSystem(file = '/etc/os-release'): string {
  try {
    return /^PRETTY_NAME=(["']?)(.+)\1$/m.exec(readFileSync(file, 'utf8'))?.[2] ?? version();
  } catch {
    return version();
  }
}

function names(directory: string): readonly string[] {
  try {
    return readdirSync(directory);
  } catch {
    return [];
  }
}
