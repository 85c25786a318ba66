/** A detached process that may outlive us: known by its pid and the time it was started, since pids are given out again. */
import { spawn } from 'node:child_process';
import { mkdir, open, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { readFileSync } from 'node:fs';
import { dirname } from 'node:path';
import type { Clock } from '../../../lib/clock.ts';
import { TsorchError } from '../../../model/errors.ts';

export interface ProcessRecord {
  readonly pid: number;
  /** Clock ticks since boot. */
  readonly startTime: string;
  /** What it was started with: a process that runs with something else is not the one wanted. */
  readonly command: readonly string[];
}

/** Null when there is no such process, or it is only waiting to be reaped. */
export function startTimeOf(pid: number): string | null {
  try {
    const line = readFileSync(`/proc/${pid}/stat`, 'utf8');
    // The name, in parentheses, may hold anything.
    const fields = line.slice(line.lastIndexOf(')') + 2).split(' ');
    return fields[0] === 'Z' || fields[0] === 'X' ? null : (fields[19] ?? null);
  } catch {
    return null;
  }
}

export function isAlive(record: ProcessRecord): boolean {
  return startTimeOf(record.pid) === record.startTime;
}

export function sendSignal(record: ProcessRecord, signal: NodeJS.Signals): void {
  if (!isAlive(record)) return;
  try {
    process.kill(record.pid, signal);
  } catch {
    // Gone in between.
  }
}

/** Starts it with a log file of its own, and writes the record. Throws `unsupported` when the program is not there. */
export async function startDetached(command: readonly string[], env: NodeJS.ProcessEnv, logFile: string, recordFile: string): Promise<ProcessRecord> {
  await rotate(logFile);
  const log = await open(logFile, 'a', 0o640);
  try {
    const [program = '', ...args] = command;
    const child = spawn(program, args, { detached: true, cwd: '/', stdio: ['ignore', log.fd, log.fd], env });
    await new Promise<void>((resolve, reject) => {
      child.once('spawn', resolve);
      child.once('error', (cause) => reject(new TsorchError('unsupported', `cannot run ${program}: ${cause.message}`, { cause, hint: `install ${program} (Debian: etcd-server), or give --etcd-endpoints` })));
    });
    child.on('error', () => {});
    child.unref();
    const pid = child.pid!;
    const record: ProcessRecord = { pid, startTime: startTimeOf(pid) ?? '', command };
    await mkdir(dirname(recordFile), { recursive: true });
    await writeFile(`${recordFile}.new`, JSON.stringify(record), { mode: 0o600 });
    await rename(`${recordFile}.new`, recordFile);
    return record;
  } finally {
    await log.close();
  }
}

/** The process of an earlier life, if it lives. */
export async function findRecorded(recordFile: string): Promise<ProcessRecord | null> {
  try {
    const record = JSON.parse(await readFile(recordFile, 'utf8')) as ProcessRecord;
    return typeof record.pid === 'number' && record.startTime !== '' && isAlive(record) ? record : null;
  } catch {
    return null;
  }
}

/** SIGTERM, the grace, SIGKILL. Resolves when it is gone. */
export async function endProcess(record: ProcessRecord, clock: Clock, graceMs: number): Promise<void> {
  sendSignal(record, 'SIGTERM');
  const kill = clock.monotonic() + graceMs;
  const giveUp = kill + 5000;
  for (let killed = false; isAlive(record);) {
    const now = clock.monotonic();
    if (now >= giveUp) throw new TsorchError('timeout', `process ${record.pid} does not end even when killed`);
    if (now >= kill && !killed) {
      killed = true;
      sendSignal(record, 'SIGKILL');
    }
    await clock.sleep(10);
  }
}

export async function forget(recordFile: string): Promise<void> {
  await rm(recordFile, { force: true });
}

const maxLog = 16 << 20;

async function rotate(logFile: string): Promise<void> {
  const size = await stat(logFile).then((found) => found.size, () => 0);
  if (size > maxLog) await rename(logFile, `${logFile}.1`);
}
