/** Ends a private containerd with all its containers, for `down` and `leave`: nothing of ours runs or is mounted afterwards. */
import { access, readdir, readFile, rm, unlink } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { Clock } from '../../lib/clock.ts';
import { listMounts, unmount } from '../../lib/linux/mount.ts';
import type { Log } from '../../lib/log.ts';
import { type CgroupLayout, cgroupProcesses, readCgroupLayout, removeCgroup } from './cgroup.ts';
import { ContainerdClient } from './client.ts';
import { openContainerdRuntime } from './containerd.ts';
import { findDaemon, startContainerd } from './daemon.ts';
import { type DaemonPaths, daemonPaths } from './daemon-files.ts';
import { Limit } from '../../lib/limit.ts';
import { releaseControllers } from './oci-runtime.ts';
import { findProcesses, isAlive, type ProcessIdentity, signalProcess } from './proc.ts';
import { removeStaleSocket } from './remove.ts';

/** Of the run directory: those in which the runtime mounts. */
const mountDirectories = ['mounts', 'shm', 'userns', 'volumes'];

export interface TeardownOptions {
  readonly stateDir: string;
  readonly runDir: string;
  readonly namespace?: string;
  /** Everything in it is ended, hosts of other state directories included: to be named, so that nobody ends another's by leaving it out. */
  readonly cgroupPrefix: string;
  readonly log: Log;
  readonly clock: Clock;
}

/**
 * Containers first, then containerd, then what a crash may have left. Succeeds when there is nothing. Images and
 * records stay in the state directory, which may be deleted afterwards.
 */
export async function stopContainerd(options: TeardownOptions): Promise<void> {
  const { log, clock } = options;
  const paths = daemonPaths(options.stateDir, options.runDir);
  const prefix = options.cgroupPrefix;
  const sockets = await shimSockets(paths);
  const used = await access(paths.root).then(() => true, () => false);
  if (used) await removeContainers(options).catch((error: unknown) => log.warn('containers could not be removed one by one, ending them all', { error }));
  // Not before: to remove containers a runtime is opened, which may mount controllers.
  const layout = await readCgroupLayout();
  const daemon = await findDaemon(paths);
  if (daemon) await end(daemon, clock);
  await endLeftovers(paths, layout, prefix, clock);
  for (const socket of sockets) await removeStaleSocket(socket);
  for (const target of mountsBelow([paths.root, paths.state, ...mountDirectories.map((name) => join(options.runDir, name))])) unmount(target);
  await removeCgroup(layout, `/${prefix}`, true);
  // Shared by the hosts of one machine; the last one to go removes it.
  if (prefix.includes('/')) await removeCgroup(layout, `/${dirname(prefix)}`);
  await releaseControllers(log);
  await removeRunFiles(paths, options.runDir, log);
}

async function removeContainers(options: TeardownOptions): Promise<void> {
  const { stateDir, runDir, log, clock } = options;
  const watching = new AbortController();
  const daemon = await startContainerd({ stateDir, runDir, log, clock, signal: watching.signal });
  const client = new ContainerdClient({ socket: daemon.socket, ...(options.namespace === undefined ? {} : { namespace: options.namespace }) });
  try {
    const runtime = await openContainerdRuntime({ client, runDir, clock, log, cgroupPrefix: options.cgroupPrefix });
    const limit = new Limit(8);
    const results = await Promise.allSettled((await runtime.list()).map((container) => limit.run(() => runtime.remove(container.id))));
    const failed = results.find((result) => result.status === 'rejected');
    if (failed) throw failed.reason;
  } finally {
    watching.abort();
    await daemon.done;
    client.close();
  }
}

/** Asks, and insists after ten seconds. */
async function end(daemon: ProcessIdentity, clock: Clock): Promise<void> {
  signalProcess(daemon.pid, 'SIGTERM');
  const until = clock.monotonic() + 10_000;
  let insisted = false;
  while (await isAlive(daemon)) {
    if (!insisted && clock.monotonic() > until) insisted = signalProcess(daemon.pid, 'SIGKILL');
    await clock.sleep(20);
  }
}

/** Shims of this containerd, and processes in our cgroups, that nobody answers for any more. */
async function endLeftovers(paths: DaemonPaths, layout: CgroupLayout, prefix: string, clock: Clock): Promise<void> {
  const left = async () => {
    const shims = await findProcesses((argv) => /(^|\/)containerd-shim-/.test(argv[0] ?? '') && argv[argv.indexOf('-address') + 1] === paths.socket);
    return [...shims, ...(await cgroupProcesses(layout, `/${prefix}`))].filter((pid) => pid !== process.pid);
  };
  const until = clock.monotonic() + 10_000;
  for (let pids = await left(); pids.length > 0 && clock.monotonic() < until; pids = await left()) {
    for (const pid of pids) signalProcess(pid, 'SIGKILL');
    await clock.sleep(20);
  }
}

/** Every bundle names the socket of its shim. */
async function shimSockets(paths: DaemonPaths): Promise<readonly string[]> {
  const tasks = join(paths.state, 'io.containerd.runtime.v2.task');
  const namespaces = await readdir(tasks).catch(() => []);
  const bundles = await Promise.all(namespaces.map(async (name) => (await readdir(join(tasks, name)).catch(() => [])).map((id) => join(tasks, name, id, 'address'))));
  const addresses = await Promise.all(bundles.flat().map((file) => readFile(file, 'utf8').catch(() => '')));
  return [...new Set(addresses.map((address) => address.trim().replace(/^unix:\/\//, '')).filter((path) => path.startsWith('/run/containerd/s/')))];
}

/** The deepest first. */
function mountsBelow(directories: readonly string[]): readonly string[] {
  return listMounts()
    .map((mount) => mount.target)
    .filter((target) => directories.some((directory) => target === directory || target.startsWith(`${directory}/`)))
    .sort((a, b) => b.length - a.length);
}

async function removeRunFiles(paths: DaemonPaths, runDir: string, log: Log): Promise<void> {
  if (mountsBelow([paths.state, ...mountDirectories.map((name) => join(runDir, name))]).length > 0) return log.warn('something is still mounted, leaving the directory alone', { directory: paths.state });
  await rm(paths.state, { recursive: true, force: true });
  for (const name of ['exec', 'stdin', ...mountDirectories]) await rm(join(runDir, name), { recursive: true, force: true });
  for (const file of [paths.socket, `${paths.socket}.ttrpc`, paths.record]) await unlink(file).catch(() => {});
}
