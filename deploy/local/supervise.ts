/**
 * Keeps the processes of processes.json running, and is itself nothing they depend on: they have sessions and log files of
 * their own, so when it is killed they do not notice, and when it comes back it finds them by their records.
 */
import { spawn } from 'node:child_process';
import { closeSync, mkdirSync, openSync } from 'node:fs';
import { dirname } from 'node:path';
import type { Clock } from '../../lib/clock.ts';
import type { Log } from '../../lib/log.ts';
import { boundLog } from './log-file.ts';
import { endProcess, isAlive, type ProcessId } from './process.ts';
import { dropRecord, launchLine, readRecord, readSpecs, type ProcessSpec } from './run-file.ts';

export interface SuperviseOptions {
  readonly runDir: string;
  readonly clock: Clock;
  readonly log: Log;
  /** Ends the supervision, not the processes. */
  readonly signal: AbortSignal;
  /** Called with a function that asks to read processes.json again. */
  readonly onReload?: (reload: () => void) => void;
  /** A file larger than this is rotated. */
  readonly maxLogBytes?: number;
}

/** A run this long was a healthy one: the next restart is immediate again. */
const healthyMs = 10_000;
const firstBackoffMs = 100;
const mostBackoffMs = 5000;

/** Runs until the signal fires. */
export async function supervise(options: SuperviseOptions): Promise<void> {
  const { runDir, log, signal } = options;
  const keepers = new Map<string, { readonly spec: string; readonly stop: AbortController; readonly done: Promise<void> }>();
  let reload: (() => void) | undefined;
  options.onReload?.(() => reload?.());
  while (!signal.aborted) {
    const again = new Promise<void>((resolve) => {
      reload = resolve;
      signal.addEventListener('abort', () => resolve(), { once: true });
    });
    const specs = await readSpecs(runDir);
    for (const [name, keeper] of keepers) {
      if (specs.some((spec) => spec.name === name && JSON.stringify(spec) === keeper.spec)) continue;
      // Changed or gone from the list: this one is ended; a changed one starts anew below.
      keeper.stop.abort();
      await keeper.done;
      keepers.delete(name);
      const left = await readRecord(runDir, name);
      if (left) await endProcess(left, 10_000).catch((error: unknown) => log.warn(`${name} does not end`, { error }));
      await dropRecord(runDir, name);
    }
    for (const spec of specs) {
      if (keepers.has(spec.name)) continue;
      const stop = new AbortController();
      const both = AbortSignal.any([stop.signal, signal]);
      keepers.set(spec.name, { spec: JSON.stringify(spec), stop, done: keep(spec, options, both) });
    }
    await again;
  }
  await Promise.all(Array.from(keepers.values(), (keeper) => keeper.done));
}

/** Keeps one process: waits for its end, starts it again. */
async function keep(spec: ProcessSpec, options: SuperviseOptions, signal: AbortSignal): Promise<void> {
  const { runDir, clock, log } = options;
  let backoff = 0;
  while (!signal.aborted) {
    const started = clock.monotonic();
    try {
      const found = await readRecord(runDir, spec.name);
      if (found && (await isAlive(found))) {
        log.info(`${spec.name} runs`, { pid: found.pid });
        await watch(found, spec, options, signal);
      } else {
        await startAndWait(spec, options, signal);
      }
    } catch (error) {
      if (!signal.aborted) log.warn(`${spec.name} cannot be started`, { error });
    }
    if (signal.aborted) return;
    backoff = clock.monotonic() - started >= healthyMs ? 0 : backoff;
    log.warn(`${spec.name} ended, starting it again`, { ms: backoff });
    if (backoff > 0) await clock.sleep(backoff, signal).catch(() => {});
    backoff = Math.min(Math.max(firstBackoffMs, backoff * 2), mostBackoffMs);
  }
}

function startAndWait(spec: ProcessSpec, options: SuperviseOptions, signal: AbortSignal): Promise<void> {
  mkdirSync(dirname(spec.log), { recursive: true });
  boundLog(spec.log, options.maxLogBytes);
  const [file = '', ...args] = launchLine(options.runDir, spec);
  // Appending, so that truncating the file behind its back leaves no hole.
  const output = openSync(spec.log, 'a', 0o640);
  return new Promise((resolve, reject) => {
    const child = spawn(file, args, { detached: true, stdio: ['ignore', output, output], env: { ...process.env, ...spec.env }, cwd: '/' });
    closeSync(output);
    const timer = setInterval(() => boundLog(spec.log, options.maxLogBytes), 5000);
    const finish = (settle: () => void) => {
      clearInterval(timer);
      signal.removeEventListener('abort', onAbort);
      settle();
    };
    const onAbort = () => finish(() => {
      child.unref();
      resolve();
    });
    signal.addEventListener('abort', onAbort, { once: true });
    child.once('spawn', () => options.log.info(`${spec.name} started`, { pid: child.pid }));
    child.once('error', (error) => finish(() => reject(error)));
    child.once('exit', (code, killed) => finish(() => {
      options.log.warn(`${spec.name} ended`, { pid: child.pid, code: code ?? undefined, signal: killed ?? undefined });
      resolve();
    }));
  });
}

/** The end of a process that is not our child can only be looked for. */
async function watch(id: ProcessId, spec: ProcessSpec, options: SuperviseOptions, signal: AbortSignal): Promise<void> {
  for (let ticks = 1; await isAlive(id); ticks++) {
    if (ticks % 50 === 0) boundLog(spec.log, options.maxLogBytes);
    await options.clock.sleep(100, signal);
  }
}
