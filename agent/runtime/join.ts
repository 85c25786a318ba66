/** Containers that share namespaces: finds the processes and the memory of those that one joins. */
import { TsorchError } from '../../model/errors.ts';
import { Status, TasksService } from '../../proto/gen/containerd/tasks.ts';
import { sharedMemory, sharesMemory } from './assets.ts';
import { orNothing, type RuntimeContext } from './context.ts';
import { containerdId } from './ids.ts';
import type { CreateRequest } from './port.ts';
import { ipcSharing, joinedContainers } from './spec/namespaces.ts';

/** Pids by container name. `unavailable` while one does not run: it may be about to. */
export async function joinedProcesses(context: RuntimeContext, request: CreateRequest): Promise<Readonly<Record<string, number>>> {
  const names = joinedContainers(request.spec);
  const found = await Promise.all(names.map(async (name) => [name, await processOf(context, name, request.peers?.[name])] as const));
  return Object.fromEntries(found);
}

/** The host's directory for its /dev/shm; null when nobody else has it. */
export function sharedShm(context: RuntimeContext, request: CreateRequest): string | null {
  if (offersIpc(request)) return sharedMemory(context.runDir, containerdId(request.id));
  const sharing = ipcSharing(request.spec.ipc);
  const peer = sharing.kind === 'container' ? request.peers?.[sharing.name] : undefined;
  if (sharing.kind !== 'container' || peer === undefined) return null;
  const id = containerdId(peer);
  if (!sharesMemory(context.runDir, id)) throw new TsorchError('invalid', `container ${sharing.name} does not share its ipc`, { hint: 'give it `ipc: shareable`' });
  return sharedMemory(context.runDir, id);
}

export function offersIpc(request: Pick<CreateRequest, 'spec' | 'sharesIpc'>): boolean {
  const { kind } = ipcSharing(request.spec.ipc);
  return kind === 'shareable' || (kind === 'own' && request.sharesIpc === true);
}

async function processOf(context: RuntimeContext, name: string, id: string | undefined): Promise<number> {
  const task = id === undefined ? undefined : await orNothing(context.client.call(TasksService.get, { containerId: containerdId(id), execId: '' }));
  const process = task?.process;
  if (!process || (process.status !== Status.RUNNING && process.status !== Status.CREATED)) throw new TsorchError('unavailable', `waiting for container ${name}, whose namespace it joins`);
  return process.pid;
}
