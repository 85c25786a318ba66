/**
 * cluster.json in the state directory: what the cluster is, for the next `up` and for `down`. And, while it is on the machine,
 * where that directory is: `state-dir` in the run directory, whose place follows from the name alone.
 */
import { mkdir, readFile, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { ClusterSpec } from './spec.ts';

export async function readCluster(stateDir: string): Promise<ClusterSpec | null> {
  try {
    return JSON.parse(await readFile(join(stateDir, 'cluster.json'), 'utf8')) as ClusterSpec;
  } catch {
    return null;
  }
}

/** Where the cluster that is on the machine has its state; null when none is. */
export async function runningStateDir(runDir: string): Promise<string | null> {
  return (await readFile(join(runDir, 'state-dir'), 'utf8').catch(() => '')).trim() || null;
}

export async function writeStateDir(runDir: string, stateDir: string): Promise<void> {
  await writeFile(join(runDir, 'state-dir'), `${stateDir}\n`);
}

export async function writeCluster(stateDir: string, spec: ClusterSpec): Promise<void> {
  await mkdir(stateDir, { recursive: true, mode: 0o755 });
  const path = join(stateDir, 'cluster.json');
  await writeFile(`${path}.tmp`, `${JSON.stringify(spec, null, 2)}\n`);
  await rename(`${path}.tmp`, path);
}
