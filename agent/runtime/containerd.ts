/** The runtime port on containerd's native API. */
import { lstat, mkdir } from 'node:fs/promises';
import { availableParallelism } from 'node:os';
import { setImmediate } from 'node:timers/promises';
import type { Clock } from '../../lib/clock.ts';
import type { Log } from '../../lib/log.ts';
import { isCode, TsorchError } from '../../model/errors.ts';
import type { ContainerSpec } from '../../model/spec.ts';
import { ContainersService } from '../../proto/gen/containerd/containers.ts';
import { Status, TasksService } from '../../proto/gen/containerd/tasks.ts';
import { ensureCgroup2, readCgroupLayout, readHierarchies } from './cgroup.ts';
import { updateBlkio } from './cgroup-limits.ts';
import { cdiDirectories } from './cdi/read.ts';
import { type ContainerdClient, jsonAny } from './client.ts';
import { decodeKnown, getContainer, knownContainer, orNothing, type RuntimeContext } from './context.ts';
import { createContainer } from './create.ts';
import { execInContainer, sweepExecs } from './exec.ts';
import { runtimeFailure } from './failure.ts';
import { openWriter } from './fifo-streams.ts';
import { readHostFacts } from './host.ts';
import { containerdId } from './ids.ts';
import type { AccountCache } from './inputs.ts';
import { Limit } from '../../lib/limit.ts';
import { chooseRuntime, holdControllers } from './oci-runtime.ts';
import type { CreateRequest, ExecProcess, ExecRequest, ExitStatus, Runtime, RuntimeContainer } from './port.ts';
import { PodUsers } from './pod-users.ts';
import { removeContainer } from './remove.ts';
import { specJson } from './spec/oci.ts';
import { SIGKILL } from './spec/signal.ts';
import { resourceUpdate } from './spec/resources.ts';
import type { CgroupUsage } from '../stats/parse.ts';
import { sweepStaging } from './staging.ts';
import { containerState } from './state.ts';
import { endStuckShim } from './stuck.ts';
import { stdinPath } from './task.ts';
import { readUsage } from './usage.ts';
import { waitForExit } from './wait.ts';
import { type WatchHandlers, watchEvents } from './watch.ts';

export interface ContainerdRuntimeOptions {
  readonly client: ContainerdClient;
  /** For pipes; emptied of what an earlier run left. */
  readonly runDir: string;
  readonly clock: Clock;
  readonly log: Log;
  /** Containers are at `/<prefix>/<pod>/<container>` in every cgroup hierarchy; hosts that share a kernel have one each. */
  readonly cgroupPrefix?: string;
  /** `crun`, `runc` or a path; absent: crun when it is there and works. */
  readonly runtime?: string;
  readonly snapshotter?: string;
  readonly cdiDirectories?: readonly string[];
  /** How long a shim may take to have its container killed before it counts as stuck, milliseconds; 30 s unless told. */
  readonly patienceMs?: number;
  /** Creates under way at a time: more only makes each slower. */
  readonly parallel?: number;
}

export const defaultCgroupPrefix = 'tsorch';
export const defaultSnapshotter = 'overlayfs';
const defaultPatienceMs = 30_000;
export const defaultParallel = Math.max(4, 2 * availableParallelism());

/** Makes the host ready and what an earlier run left in order. Throws `unsupported` when there is no OCI runtime. */
export async function openContainerdRuntime(options: ContainerdRuntimeOptions): Promise<ContainerdRuntime> {
  const { client, runDir, clock, log } = options;
  await mkdir(runDir, { recursive: true });
  const oci = await chooseRuntime({ clock, log, ...(options.runtime === undefined ? {} : { prefer: options.runtime }) });
  const hierarchies = await readHierarchies();
  const layout = await readCgroupLayout();
  const cgroupPrefix = options.cgroupPrefix ?? defaultCgroupPrefix;
  await Promise.all([ensureCgroup2(layout, cgroupPrefix), holdControllers(cgroupPrefix, clock)]);
  const context: RuntimeContext = {
    client, oci, layout, hierarchies, cgroupPrefix, runDir, clock, log,
    cdiDirectories: options.cdiDirectories ?? cdiDirectories,
    host: await readHostFacts(layout),
    snapshotter: options.snapshotter ?? defaultSnapshotter,
    known: new Map(),
    users: await PodUsers.open(runDir),
    patienceMs: options.patienceMs ?? defaultPatienceMs,
    stuck: new Set(),
  };
  await sweepStaging(runDir);
  await sweepExecs(context);
  return new ContainerdRuntime(context, options.parallel ?? defaultParallel);
}

/** The OCI runtime's words for a container that is past its start, which only crun's or runc's own state knows of. */
function ranBefore(error: unknown): boolean {
  return error instanceof TsorchError && /exec\.fifo.*: No such file or directory|cannot start an already running container/.test(error.message);
}

export class ContainerdRuntime implements Runtime {
  readonly context: RuntimeContext;
  readonly #creates: Limit;
  readonly #accounts: AccountCache = new Map();

  constructor(context: RuntimeContext, parallel: number) {
    this.context = context;
    this.#creates = new Limit(parallel);
  }

  async list(): Promise<readonly RuntimeContainer[]> {
    const { client } = this.context;
    const [{ containers }, { tasks }] = await Promise.all([client.call(ContainersService.list, { filters: [] }), client.call(TasksService.list, { filter: '' })]);
    const processes = new Map(tasks.map((process) => [process.id, process]));
    return containers.flatMap((container) => {
      const known = decodeKnown(this.context, container);
      return known ? [containerState(this.context, known, processes.get(container.id))] : [];
    });
  }

  create(request: CreateRequest): Promise<RuntimeContainer> {
    return this.#creates.run(() => createContainer(this.context, this.#accounts, request));
  }

  async start(id: string): Promise<void> {
    const containerId = containerdId(id);
    const { client } = this.context;
    try {
      await client.call(TasksService.start, { containerId, execId: '' }, { deadlineMs: 60_000 });
    } catch (error) {
      if (isCode(error, 'not-found') || isCode(error, 'unavailable') || isCode(error, 'timeout')) throw error;
      // Started before, by a call whose answer was lost.
      const reply = await client.call(TasksService.get, { containerId, execId: '' });
      if (reply.process && reply.process.status !== Status.CREATED && reply.process.status !== Status.UNKNOWN) return;
      const known = await knownContainer(this.context, id);
      if (known && reply.process && ranBefore(error)) {
        known.startedUnseen = true;
        return;
      }
      throw runtimeFailure(error, `container ${id}`);
    }
  }

  async kill(id: string, signal: number): Promise<void> {
    const containerId = containerdId(id);
    const { client, patienceMs } = this.context;
    try {
      await orNothing(client.call(TasksService.kill, { containerId, execId: '', signal, all: false }, { deadlineMs: patienceMs }));
    } catch (error) {
      if (signal !== SIGKILL || !(await endStuckShim(this.context, containerId, error))) throw error;
    }
  }

  remove(id: string): Promise<void> {
    return removeContainer(this.context, id);
  }

  async wait(id: string, signal: AbortSignal): Promise<ExitStatus> {
    await getContainer(this.context, id);
    return await waitForExit(this.context, containerdId(id), '', signal);
  }

  exec(id: string, request: ExecRequest): Promise<ExecProcess> {
    return execInContainer(this.context, id, request);
  }

  async input(id: string): Promise<NodeJS.WritableStream | null> {
    const path = stdinPath(this.context, containerdId(id));
    const stat = await lstat(path).catch(() => null);
    // The shim keeps its own end open: whoever writes may leave, and the container's input does not end.
    return stat?.isFIFO() ? openWriter(path, () => Promise.resolve()) : null;
  }

  async resize(id: string, width: number, height: number): Promise<void> {
    await orNothing(this.context.client.call(TasksService.resizePty, { containerId: containerdId(id), execId: '', width, height }));
  }

  watch(handlers: WatchHandlers, signal: AbortSignal): void {
    void watchEvents(this.context, handlers, () => this.list(), signal);
  }

  async update(id: string, limits: ContainerSpec['limits'], blkio?: ContainerSpec['blkio']): Promise<readonly string[]> {
    const { client, host, layout } = this.context;
    const { resources, warnings } = resourceUpdate(limits, host);
    try {
      await client.call(TasksService.update, { containerId: containerdId(id), resources: jsonAny('LinuxResources', specJson(resources)) });
    } catch (error) {
      if (isCode(error, 'not-found')) throw new TsorchError('conflict', `container ${id} is not running`, { cause: error });
      throw runtimeFailure(error, `container ${id}`);
    }
    const known = await knownContainer(this.context, id);
    return [...warnings, ...(known ? await updateBlkio(layout, known.cgroup, blkio) : [])];
  }

  async usage(id: string): Promise<CgroupUsage | null> {
    const known = await knownContainer(this.context, id);
    // Among many containers everybody else gets a turn.
    await setImmediate();
    return known && readUsage(this.context.layout, known.cgroup);
  }

  async users(podId: string): Promise<string> {
    return (await this.context.users.of(podId)).path;
  }

  release(podId: string): Promise<void> {
    return this.context.users.release(podId);
  }
}
