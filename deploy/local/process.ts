/** Processes by pid and start time: a pid alone may have been given to somebody else since. */
import { spawn } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { systemClock } from '../../lib/clock.ts';
import { TsorchError } from '../../model/errors.ts';

export interface ProcessId {
  readonly pid: number;
  /** Clock ticks since boot, field 22 of /proc/PID/stat. */
  readonly startTime: string;
}

/** The process of a /proc/PID/stat line; null when the line is torn or it is a zombie. The name in it may hold anything, even `)`. */
export function parseStat(line: string): ProcessId | null {
  const close = line.lastIndexOf(')');
  const fields = line.slice(close + 2).trim().split(' ');
  const pid = Number(line.slice(0, line.indexOf(' ')));
  const startTime = fields[19];
  if (close < 0 || !Number.isInteger(pid) || pid <= 1 || !startTime || fields[0] === 'Z' || fields[0] === 'X') return null;
  return { pid, startTime };
}

export async function processOf(pid: number): Promise<ProcessId | null> {
  const line = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '');
  return parseStat(line);
}

export async function isAlive(id: ProcessId): Promise<boolean> {
  const now = await processOf(id.pid);
  return now !== null && now.startTime === id.startTime;
}

/** Sends a signal unless the process is gone. */
export async function signalProcess(id: ProcessId, signal: NodeJS.Signals): Promise<void> {
  if (!(await isAlive(id))) return;
  try {
    process.kill(id.pid, signal);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}

/** Whether it was gone within the time. */
export async function waitGone(id: ProcessId, timeoutMs: number): Promise<boolean> {
  const end = systemClock.monotonic() + timeoutMs;
  while (await isAlive(id)) {
    if (systemClock.monotonic() >= end) return false;
    await systemClock.sleep(20);
  }
  return true;
}

/** SIGTERM, the grace, then SIGKILL. */
export async function endProcess(id: ProcessId, graceMs: number): Promise<void> {
  await signalProcess(id, 'SIGTERM');
  if (await waitGone(id, graceMs)) return;
  await signalProcess(id, 'SIGKILL');
  if (!(await waitGone(id, 5000))) throw new TsorchError('timeout', `process ${id.pid} does not end even when killed`);
}

export interface CommandResult {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs a short command to its end. Never through a shell. */
export function runCommand(argv: readonly string[], options: { readonly input?: string; readonly timeoutMs?: number } = {}): Promise<CommandResult> {
  const [file = '', ...args] = argv;
  return new Promise((resolve, reject) => {
    const child = spawn(file, args, { stdio: ['pipe', 'pipe', 'pipe'], timeout: options.timeoutMs ?? 30_000, killSignal: 'SIGKILL' });
    const out: Buffer[] = [];
    const err: Buffer[] = [];
    child.stdout.on('data', (chunk: Buffer) => out.push(chunk));
    child.stderr.on('data', (chunk: Buffer) => err.push(chunk));
    child.stdin.on('error', () => {});
    child.on('error', (error) => reject(new TsorchError('unsupported', `cannot run ${file}: ${error.message}`, { cause: error })));
    child.on('close', (code) => resolve({ code: code ?? 137, stdout: Buffer.concat(out).toString(), stderr: Buffer.concat(err).toString() }));
    child.stdin.end(options.input ?? '');
  });
}

/** As runCommand, but a failure is an error unless its message matches `unless`. */
export async function mustRun(argv: readonly string[], options: { readonly input?: string; readonly unless?: RegExp } = {}): Promise<string> {
  const result = await runCommand(argv, options);
  if (result.code !== 0 && !options.unless?.test(result.stderr)) {
    throw new TsorchError('internal', `${argv.join(' ')}: ${result.stderr.trim() || `exit code ${result.code}`}`);
  }
  return result.stdout;
}
