/** What is left of test clusters: by name, wherever a killed run stopped. */
import { rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { abandoned } from '../../own.ts';
import { root, run } from './tsorch.ts';

/** Where a test cluster has its state and its test's files. Follows from the name, so that it can be found again. */
export function directoryOf(name: string): string {
  return join(tmpdir(), `tsorch-${name}`);
}

/** Those called after `base` whose runs are dead. Either place may be all that is left. */
export async function removeAbandoned(base: string): Promise<void> {
  for (const name of new Set([...abandoned('/run/tsorch', base), ...abandoned(tmpdir(), base, 'tsorch-')])) await remove(name);
}

/** Nothing of it runs or is there afterwards. */
export async function remove(name: string): Promise<void> {
  const directory = directoryOf(name);
  const { code, stderr } = await run(join(root, 'bin/tsorch'), ['down', '--name', name, '--purge', '--state-dir', join(directory, 'state')], { timeoutMs: 120_000 });
  if (code !== 0) throw new Error(`tsorch down --name ${name}: ${stderr}`);
  await rm(directory, { recursive: true, force: true });
}
