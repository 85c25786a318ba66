/**
 * What shall run (`processes.json`, written by `up`) and what does (`proc/NAME`, written by each process itself as its first
 * act, so that no crash in between can leave one that nobody knows).
 */
import { mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { parseStat, type ProcessId } from './process.ts';

export interface ProcessSpec {
  readonly name: string;
  readonly argv: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  /** The network namespace's path; absent: the machine's. */
  readonly netns?: string;
  /** A cgroup2 directory to start in: what it leaves behind when it is killed can be found there. */
  readonly cgroup?: string;
  /** Where its output is appended. */
  readonly log: string;
}

export async function readSpecs(runDir: string): Promise<readonly ProcessSpec[]> {
  const text = await readFile(join(runDir, 'processes.json'), 'utf8').catch(() => '[]');
  try {
    return JSON.parse(text) as ProcessSpec[];
  } catch {
    // Torn by a crash of the whole machine; `up` writes it again.
    return [];
  }
}

/** Join tokens are in it: for root alone. */
export async function writeSpecs(runDir: string, specs: readonly ProcessSpec[]): Promise<void> {
  await mkdir(join(runDir, 'proc'), { recursive: true, mode: 0o700 });
  const path = join(runDir, 'processes.json');
  await writeFile(`${path}.tmp`, `${JSON.stringify(specs, null, 2)}\n`, { mode: 0o600 });
  await rename(`${path}.tmp`, path);
}

export function recordPath(runDir: string, name: string): string {
  return join(runDir, 'proc', name);
}

/** The process that wrote the record, whether it lives or not. */
export async function readRecord(runDir: string, name: string): Promise<ProcessId | null> {
  return parseStat(await readFile(recordPath(runDir, name), 'utf8').catch(() => ''));
}

export async function dropRecord(runDir: string, name: string): Promise<void> {
  await rm(recordPath(runDir, name), { force: true });
}

/**
 * The command line that writes the record and then becomes the process. `nsenter --net`, not `ip netns exec`: the latter
 * mounts a /sys of its own, which hides the cgroups.
 */
export function launchLine(runDir: string, spec: ProcessSpec): readonly string[] {
  const inside = spec.netns === undefined ? spec.argv : ['nsenter', `--net=${spec.netns}`, '--', ...spec.argv];
  const join = 'if [ -n "$1" ]; then echo $$ >"$1/cgroup.procs"; fi 2>/dev/null; shift';
  return ['/bin/sh', '-c', `read -r stat </proc/$$/stat; printf "%s\\n" "$stat" >"$0"; ${join}; exec "$@"`, recordPath(runDir, spec.name), spec.cgroup ?? '', ...inside];
}
