/**
 * What a killed containerd leaves of a container that it was just making: a bundle that it neither takes up nor removes when it comes
 * back, and perhaps a shim that nobody knows the address of. As long as they are there the container cannot be made.
 */
import { execFile } from 'node:child_process';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { listMounts, unmountAll } from '../../lib/linux/mount.ts';
import { cgroupProcesses } from './cgroup.ts';
import type { RuntimeContext } from './context.ts';
import { findProcesses, signalProcess } from './proc.ts';

const bundle = /mkdir (\/\S+\/io\.containerd\.runtime\.v2\.task\/[^/\s]+\/[^/\s:]+): file exists/;

/** The bundle that stands in the way, when that is what the error says. */
export function bundleIn(error: unknown): string | null {
  const path = bundle.exec(error instanceof Error ? error.message : '')?.[1];
  return path === undefined || path.includes('/../') ? null : path;
}

/** Ends and removes it. Only for a container that containerd has no task of, and that was never started. */
export async function removeStaleBundle(context: RuntimeContext, id: string, directory: string): Promise<void> {
  const { client, layout, oci, log } = context;
  log.info('removing what a killed containerd left of a container', { container: id });
  const cgroup = context.known.get(id)?.cgroup;
  const shims = await findProcesses((argv) => /(^|\/)containerd-shim-/.test(argv[0] ?? '') && argv[argv.indexOf('-id') + 1] === id && argv[argv.indexOf('-address') + 1] === client.socket);
  for (const pid of [...shims, ...(cgroup === undefined ? [] : await cgroupProcesses(layout, cgroup))]) signalProcess(pid, 'SIGKILL');
  // It may have got as far as the OCI runtime, whose state would refuse the same name.
  if (oci.binary !== null) await promisify(execFile)(oci.binary, ['--root', join('/run/containerd/runc', client.namespace), 'delete', '--force', id], { timeout: 20_000 }).catch(() => {});
  for (const { target } of listMounts().toReversed()) if (target.startsWith(`${directory}/`)) unmountAll(target);
  if (listMounts().some(({ target }) => target.startsWith(`${directory}/`))) return;
  await rm(directory, { recursive: true, force: true });
}
