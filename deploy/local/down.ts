/**
 * `tsorch down`: takes a cluster off this machine. The orderly way first (hosts stop their pods), then whatever is left by
 * namespace, cgroup, mount point and name. Works on any half of a cluster; the data stays unless purged.
 */
import { openSync, closeSync, mkdirSync } from 'node:fs';
import { readdir, rm, rmdir } from 'node:fs/promises';
import { spawn } from 'node:child_process';
import { dirname, join } from 'node:path';
import { TsorchError } from '../../model/errors.ts';
import { unmountBelow } from './mounts.ts';
import { forgetOtherBoot } from './boot.ts';
import { checkRoot } from './checks.ts';
import { removeForwarding } from './forwarding.ts';
import { takeLock } from './lock.ts';
import { clusterNames, hostNames, type ClusterNames } from './names.ts';
import { clusterNamespaces, removeNetwork } from './network.ts';
import { endProcess } from './process.ts';
import { programFile } from '../compiled/program.ts';
import { ensureHostPlaces, teardownArguments } from './programs.ts';
import { readRecord, readSpecs } from './run-file.ts';
import { readCluster, runningStateDir } from './saved.ts';
import type { ClusterSpec } from './spec.ts';
import type { Steps } from './steps.ts';
import { endSupervisor } from './supervisor-control.ts';
import { sweep } from './sweep.ts';
import { exists } from './up.ts';

export interface DownOptions {
  readonly name: string;
  readonly stateDir?: string;
  readonly purge: boolean;
  readonly steps: Steps;
  readonly signal: AbortSignal;
}

/** Whether there was anything to remove. */
export async function down(options: DownOptions): Promise<boolean> {
  const { steps, signal } = options;
  checkRoot(process.getuid?.(), 'tsorch down');
  const asked = clusterNames(options.name, options.stateDir);
  const names = clusterNames(options.name, (await runningStateDir(asked.runDir)) ?? asked.stateDir);
  const lock = await takeLock(`cluster/${names.cluster}`, signal);
  try {
    const spec = await readCluster(names.stateDir);
    const there = spec !== null || (await exists(names.runDir)) || (await clusterNamespaces(names)).length > 0;
    if (!there) return false;
    if (await exists(names.runDir)) await forgetOtherBoot(names.runDir);
    await endSupervisor(names.runDir);
    // The master first: it would see one host after the other go and move pods to those that are left.
    const master = await readRecord(names.runDir, 'master');
    if (master) await endProcess(master, 10_000);
    if (spec) await steps.step('pods', () => stopHosts(names, spec), (hosts) => `stopped on ${hosts} host${hosts === 1 ? '' : 's'}`);
    await steps.step('processes', () => endProcesses(names));
    await steps.step('leftovers', () => sweep(names), ({ processes, mounts }) => `${processes} processes, ${mounts} mounts`);
    await steps.step('network', async () => {
      await removeNetwork(names);
      await removeForwarding(names);
      await rm(names.runDir, { recursive: true, force: true });
      await rmdir(dirname(names.runDir)).catch(() => {});
    });
    if (options.purge) {
      await steps.step('data', async () => {
        await unmountBelow(names.stateDir);
        await rm(names.stateDir, { recursive: true, force: true });
        if (asked.stateDir !== names.stateDir) await rm(asked.stateDir, { recursive: true, force: true });
      }, () => `${names.stateDir} removed`);
    }
    return true;
  } finally {
    await lock.release();
  }
}

/** Ends each host's programs, which leaves its pods running, and has the host take them down. Returns how many hosts there were. */
async function stopHosts(names: ClusterNames, spec: ClusterSpec): Promise<number> {
  const records = await readSpecs(names.runDir);
  const present = new Set(await clusterNamespaces(names));
  const program = await programFile();
  let hosts = 0;
  await Promise.all(
    spec.hosts.map(async (host) => {
      const { netns } = hostNames(names, spec.subnet, host.index);
      if (!present.has(netns)) return;
      for (const record of records.filter((each) => each.netns === `/run/netns/${netns}`)) {
        const id = await readRecord(names.runDir, record.name);
        if (id) await endProcess(id, 10_000);
      }
      hosts += 1;
      // A host that cannot is swept; its log says why.
      await runLogged(teardownArguments(names, spec, host, await ensureHostPlaces(names, host), program), `${names.logDir}/${host.name}.log`, 60_000);
    }),
  );
  return hosts;
}

function runLogged(argv: readonly string[], log: string, timeoutMs: number): Promise<void> {
  const [file = '', ...args] = argv;
  mkdirSync(join(log, '..'), { recursive: true });
  const output = openSync(log, 'a', 0o640);
  return new Promise((resolve) => {
    const child = spawn(file, args, { stdio: ['ignore', output, output], timeout: timeoutMs, killSignal: 'SIGKILL' });
    closeSync(output);
    child.once('error', () => resolve());
    child.once('exit', () => resolve());
  });
}

/** Everything with a record, whether it is on the list or not. */
async function endProcesses(names: ClusterNames): Promise<void> {
  const recorded = await readdir(join(names.runDir, 'proc')).catch(() => []);
  await Promise.all(
    recorded.map(async (name) => {
      const id = await readRecord(names.runDir, name);
      if (!id) return;
      await endProcess(id, 15_000).catch((error: unknown) => {
        throw new TsorchError('timeout', `${name} does not end`, { cause: error });
      });
    }),
  );
}
