/** cluster.json in the state directory: what the cluster is, for the next `up` and for `down`. */
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

export async function writeCluster(stateDir: string, spec: ClusterSpec): Promise<void> {
  await mkdir(stateDir, { recursive: true, mode: 0o755 });
  const path = join(stateDir, 'cluster.json');
  await writeFile(`${path}.tmp`, `${JSON.stringify(spec, null, 2)}\n`);
  await rename(`${path}.tmp`, path);
}
