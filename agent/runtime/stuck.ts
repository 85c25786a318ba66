/**
 * A shim that answers nobody any more, deadlocked or stopped: containerd would wait for it for ever, and nothing could end its containers.
 * Once it is dead itself, containerd kills them and cleans up.
 */
import { readFile } from 'node:fs/promises';
import { isCode } from '../../model/errors.ts';
import { ContainersService } from '../../proto/gen/containerd/containers.ts';
import { Status, TasksService } from '../../proto/gen/containerd/tasks.ts';
import { cgroupProcesses } from './cgroup.ts';
import { decodeKnown, layoutNow, type RuntimeContext } from './context.ts';
import { containerdId } from './ids.ts';
import { findProcesses, signalProcess } from './proc.ts';

/**
 * After containerd did not answer in time when this container was to be killed or removed: ends its shim, if that is why, and if all its
 * containers are to go. False: the failure has another reason, or others need the shim, and stands.
 */
export async function endStuckShim(context: RuntimeContext, containerId: string, failure: unknown): Promise<boolean> {
  const { client, log } = context;
  if (!isCode(failure, 'timeout') || !(await isSilent(context, containerId))) return false;
  context.stuck.add(containerId);
  const { containers } = await client.call(ContainersService.list, { filters: [] });
  const all = containers.flatMap((container) => decodeKnown(context, container) ?? []);
  const own = all.find(({ id }) => containerdId(id) === containerId);
  if (!own || all.some(({ id, podId }) => podId === own.podId && !context.stuck.has(containerdId(id)))) return false;
  const shims = await shimsOf(context, containerId, own.cgroup);
  for (const pid of shims) signalProcess(pid, 'SIGKILL');
  if (shims.length > 0) log.warn('a shim did not answer any more and was ended', { pod: own.podId, container: own.id, shims });
  return shims.length > 0;
}

/** containerd gives shims two seconds for this question. What a shim that answers cannot end, such as a process in the kernel, its death would only hide. */
async function isSilent({ client }: RuntimeContext, containerId: string): Promise<boolean> {
  try {
    const { process } = await client.call(TasksService.get, { containerId, execId: '' });
    return process === undefined || process.status === Status.UNKNOWN;
  } catch (error) {
    return isCode(error, 'timeout');
  }
}

/** Parents of the container's processes, or the one that was started for it. */
async function shimsOf(context: RuntimeContext, containerId: string, cgroup: string): Promise<readonly number[]> {
  const { client } = context;
  const members = await cgroupProcesses(await layoutNow(context), cgroup);
  const parents = new Set(await Promise.all(members.map(parentOf)));
  const ours = (argv: readonly string[]) => /(^|\/)containerd-shim-/.test(argv[0] ?? '') && valueOf(argv, '-address') === client.socket && valueOf(argv, '-namespace') === client.namespace;
  const begun = new Set(await findProcesses((argv) => ours(argv) && valueOf(argv, '-id') === containerId));
  return (await findProcesses(ours)).filter((pid) => parents.has(pid) || begun.has(pid));
}

function valueOf(argv: readonly string[], flag: string): string | undefined {
  const at = argv.indexOf(flag);
  return at < 0 ? undefined : argv[at + 1];
}

async function parentOf(pid: number): Promise<number | undefined> {
  const parent = /^PPid:\s+(\d+)/m.exec(await readFile(`/proc/${pid}/status`, 'utf8').catch(() => ''))?.[1];
  return parent === undefined ? undefined : Number(parent);
}
