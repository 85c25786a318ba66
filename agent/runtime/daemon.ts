/**
 * A private containerd as a child that outlives the agent: containers, and the daemon that knows them, go on when the agent
 * is replaced. The next agent finds it again by the record it left, or by its arguments when the record is missing.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, openSync } from 'node:fs';
import { mkdir, open, readFile, rename, stat, writeFile } from 'node:fs/promises';
import type { Clock } from '../../lib/clock.ts';
import type { Log } from '../../lib/log.ts';
import { describeError, TsorchError } from '../../model/errors.ts';
import { ContainerdClient } from './client.ts';
import { daemonConfig, type DaemonPaths, daemonPaths } from './daemon-files.ts';
import { findProcesses, identify, isAlive, type ProcessIdentity, signalProcess } from './proc.ts';

export interface DaemonOptions {
  readonly stateDir: string;
  readonly runDir: string;
  /** A containerd that somebody else runs: used as it is, never started, watched or stopped. */
  readonly socket?: string;
  readonly log: Log;
  readonly clock: Clock;
  /** Ends the watching. containerd itself goes on. */
  readonly signal: AbortSignal;
}

export interface Daemon {
  readonly socket: string;
  /** Ours to restart and stop. */
  readonly managed: boolean;
  readonly version: string;
  /** The process now; null for a foreign one. */
  readonly process: () => ProcessIdentity | null;
  /** Resolves when watching has ended. */
  readonly done: Promise<void>;
}

const readyMs = 30_000;
const watchMs = 100;
const mostLog = 16 << 20;

/** Resolves when it answers. Throws `unsupported` without containerd, `unavailable` when it does not come up. */
export async function startContainerd(options: DaemonOptions): Promise<Daemon> {
  const { clock, log, signal } = options;
  if (options.socket !== undefined) {
    const version = await answer(options.socket, 5000, clock).catch((error: unknown) => {
      throw new TsorchError('unavailable', `containerd does not answer at ${options.socket}: ${describeError(error)}`, { cause: error });
    });
    return { socket: options.socket, managed: false, version, process: () => null, done: Promise.resolve() };
  }
  const paths = daemonPaths(options.stateDir, options.runDir);
  let current = await ensureRunning(paths, clock, log);
  const supervise = async () => {
    let backoff = 0;
    while (!signal.aborted) {
      const since = clock.monotonic();
      await current.died(signal);
      if (signal.aborted) return;
      log.warn('containerd died, starting it again', { pid: current.identity.pid, log: paths.log });
      backoff = clock.monotonic() - since > 10_000 ? 0 : Math.min(5000, backoff * 2 + 50);
      await clock.sleep(backoff, signal).catch(() => {});
      while (!signal.aborted) {
        try {
          current = await ensureRunning(paths, clock, log);
          log.info('containerd is back', { pid: current.identity.pid });
          break;
        } catch (error) {
          log.error('containerd does not start', { error, log: paths.log });
          await clock.sleep(1000, signal).catch(() => {});
        }
      }
    }
  };
  return { socket: paths.socket, managed: true, version: current.version, process: () => current.identity, done: supervise() };
}

interface Running {
  readonly identity: ProcessIdentity;
  readonly version: string;
  /** Resolves when it is dead or the signal fires. */
  readonly died: (signal: AbortSignal) => Promise<void>;
}

async function ensureRunning(paths: DaemonPaths, clock: Clock, log: Log): Promise<Running> {
  const found = await findDaemon(paths);
  if (found) {
    try {
      const version = await answer(paths.socket, readyMs / 3, clock);
      await writeRecord(paths, found);
      return { identity: found, version, died: (signal) => deathOf(found, null, clock, signal) };
    } catch (error) {
      // Containers do not mind; a daemon that hangs helps nobody.
      log.warn('containerd runs but does not answer, replacing it', { pid: found.pid, error });
      signalProcess(found.pid, 'SIGKILL');
      await deathOf(found, null, clock, AbortSignal.timeout(5000));
    }
  }
  return await launch(paths, clock);
}

/** The daemon of these paths that runs now, whoever started it. */
export async function findDaemon(paths: DaemonPaths): Promise<ProcessIdentity | null> {
  const recorded = await readFile(paths.record, 'utf8').then((text) => JSON.parse(text) as ProcessIdentity, () => null);
  if (recorded && (await isAlive(recorded))) return recorded;
  const [pid] = await findProcesses((argv) => argv[0]?.endsWith('containerd') === true && argv[1] === '--config' && argv[2] === paths.config);
  return pid === undefined ? null : await identify(pid);
}

async function launch(paths: DaemonPaths, clock: Clock): Promise<Running> {
  await mkdir(paths.root, { recursive: true, mode: 0o711 });
  await mkdir(paths.state, { recursive: true, mode: 0o711 });
  await writeFile(paths.config, daemonConfig(paths));
  await rotateLog(paths.log);
  const output = openSync(paths.log, 'a', 0o600);
  const child = spawn('containerd', ['--config', paths.config], {
    detached: true,
    cwd: '/',
    stdio: ['ignore', output, output],
    // Little of ours: a NOTIFY_SOCKET of the agent's, for one, would make it speak to systemd in our name.
    env: { PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin' },
  });
  closeSync(output);
  child.unref();
  const failed = new Promise<never>((_, reject) => {
    child.once('error', (error: NodeJS.ErrnoException) => {
      reject(error.code === 'ENOENT' ? new TsorchError('unsupported', 'containerd is not installed', { cause: error, hint: 'install the package "containerd"' }) : error);
    });
    child.once('exit', (code, signal) => {
      void logTail(paths.log).then((tail) => reject(new TsorchError('unavailable', `containerd ended at once (${signal ?? `exit code ${code}`}): ${tail}`, { hint: `see ${paths.log}` })));
    });
  });
  failed.catch(() => {});
  const ready = async () => {
    const identity = child.pid === undefined ? null : await identify(child.pid);
    // Dead already, or never there: `failed` says why.
    if (!identity) return await failed;
    await writeRecord(paths, identity);
    return { identity, version: await answer(paths.socket, readyMs, clock) };
  };
  const { identity, version } = await Promise.race([ready(), failed]);
  return { identity, version, died: (signal) => deathOf(identity, child, clock, signal) };
}

/** A child's death is told at once; another's is looked for. */
async function deathOf(identity: ProcessIdentity, child: ChildProcess | null, clock: Clock, signal: AbortSignal): Promise<void> {
  const told = new AbortController();
  child?.once('exit', () => told.abort());
  const either = AbortSignal.any([told.signal, signal]);
  while (!either.aborted && (await isAlive(identity))) await clock.sleep(child ? 1000 : watchMs, either).catch(() => {});
}

async function answer(socket: string, ms: number, clock: Clock): Promise<string> {
  const client = new ContainerdClient({ socket });
  const until = clock.monotonic() + ms;
  try {
    for (;;) {
      try {
        return await client.version(Math.min(1000, ms));
      } catch (error) {
        if (clock.monotonic() >= until) throw error;
        await clock.sleep(10);
      }
    }
  } finally {
    client.close();
  }
}

async function writeRecord(paths: DaemonPaths, identity: ProcessIdentity): Promise<void> {
  const temporary = `${paths.record}.${process.pid}`;
  await writeFile(temporary, `${JSON.stringify(identity)}\n`);
  await rename(temporary, paths.record);
}

async function rotateLog(path: string): Promise<void> {
  const size = await stat(path).then((info) => info.size, () => 0);
  if (size > mostLog) await rename(path, `${path}.1`);
}

async function logTail(path: string): Promise<string> {
  const file = await open(path, 'r').catch(() => null);
  if (!file) return 'no log';
  try {
    const { size } = await file.stat();
    const buffer = Buffer.alloc(Math.min(size, 4096));
    await file.read(buffer, 0, buffer.length, size - buffer.length);
    return buffer.toString('utf8').trim().split('\n').slice(-2).join(' | ');
  } finally {
    await file.close();
  }
}
