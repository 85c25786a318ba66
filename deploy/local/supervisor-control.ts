/** Starting, telling and ending the supervisor of a cluster. */
import { spawn } from 'node:child_process';
import { closeSync, mkdirSync, openSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { systemClock } from '../../lib/clock.ts';
import { TsorchError } from '../../model/errors.ts';
import { nodeEnv, nodeFlags, type ProgramFile } from '../compiled/program.ts';
import type { ClusterNames } from './names.ts';
import { endProcess, isAlive, signalProcess, type ProcessId } from './process.ts';

export async function supervisorOf(runDir: string): Promise<ProcessId | null> {
  try {
    const id = JSON.parse(await readFile(join(runDir, 'supervisor'), 'utf8')) as ProcessId;
    return (await isAlive(id)) ? id : null;
  } catch {
    return null;
  }
}

/** Tells the running supervisor to read processes.json again, or starts one. Whether it had to be started. */
export async function ensureSupervisor(names: ClusterNames, program: ProgramFile): Promise<boolean> {
  const running = await supervisorOf(names.runDir);
  if (running) {
    await signalProcess(running, 'SIGHUP');
    return false;
  }
  mkdirSync(names.logDir, { recursive: true });
  const logFile = join(names.logDir, 'supervisor.log');
  const output = openSync(logFile, 'a', 0o640);
  const child = spawn(process.execPath, [...nodeFlags('supervisor'), program.supervisor, names.runDir, logFile], { detached: true, stdio: ['ignore', output, output], env: { ...process.env, ...nodeEnv }, cwd: '/' });
  closeSync(output);
  child.unref();
  for (let tries = 0; tries < 200; tries++) {
    if (await supervisorOf(names.runDir)) return true;
    await systemClock.sleep(50);
  }
  throw new TsorchError('timeout', 'the supervisor does not start', { hint: `see ${logFile}` });
}

export async function endSupervisor(runDir: string): Promise<void> {
  const running = await supervisorOf(runDir);
  if (running) await endProcess(running, 5000);
}
