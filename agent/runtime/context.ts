/** What the parts of the containerd runtime share. */
import type { Clock } from '../../lib/clock.ts';
import type { Log } from '../../lib/log.ts';
import { isCode, TsorchError } from '../../model/errors.ts';
import { type Container, ContainersService } from '../../proto/gen/containerd/containers.ts';
import type { Any, Timestamp } from '../../proto/gen/containerd/types.ts';
import { type CgroupLayout, readCgroupLayout, readHierarchies } from './cgroup.ts';
import type { ContainerdClient } from './client.ts';
import { containerdId } from './ids.ts';
import type { OciRuntime } from './oci-runtime.ts';
import type { PodUsers } from './pod-users.ts';
import type { HostFacts } from './spec/facts.ts';

export interface RuntimeContext {
  readonly client: ContainerdClient;
  readonly host: HostFacts;
  /** As last read; see `layoutNow`. */
  layout: CgroupLayout;
  /** The hierarchies that `layout` was read with. */
  hierarchies: string;
  readonly oci: OciRuntime;
  readonly snapshotter: string;
  readonly cgroupPrefix: string;
  /** Where CDI devices are described, the later outranking the earlier. */
  readonly cdiDirectories: readonly string[];
  readonly runDir: string;
  readonly clock: Clock;
  readonly log: Log;
  /** Containers met so far, by containerd's id. */
  readonly known: Map<string, Known>;
  readonly users: PodUsers;
  /** How long containerd may take to have a container killed. */
  readonly patienceMs: number;
  /** Containers, by containerd's id, that could not be killed since their shim is silent. */
  readonly stuck: Set<string>;
}

export interface Known {
  readonly id: string;
  readonly podId: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly cgroup: string;
  /** What it has besides layer, record and process; absent: nothing. */
  readonly assets?: Assets;
  /** An OOM kill was reported; the second sign of the same one is not. */
  oom: boolean;
  /** It runs, and its shim does not know: it was killed, or called off, between the OCI runtime's start and its own note of it. */
  startedUnseen?: true;
}

/** Things of a container's own that its removal takes away. Noted before they are made. */
export interface Assets {
  /** A directory in memory that other containers share as /dev/shm. */
  readonly shm?: true;
  /** How many images it has mounted. */
  readonly images?: number;
  /** The quota project of its writable layer, and how many bytes that may take. */
  readonly project?: number;
  readonly layerSize?: number;
}

const extension = 'tsorch.container';

/** The cgroup hierarchies of now: what is to be removed may be in one that was mounted later. */
export async function layoutNow(context: RuntimeContext): Promise<CgroupLayout> {
  const hierarchies = await readHierarchies();
  if (hierarchies !== context.hierarchies) {
    context.layout = await readCgroupLayout();
    context.hierarchies = hierarchies;
  }
  return context.layout;
}

/** Kept with the record in an extension, because labels are limited to 4 KiB. */
export function encodeKnown(known: Omit<Known, 'oom'>): Record<string, Any> {
  const { id, podId, labels, cgroup, assets } = known;
  return { [extension]: { typeUrl: extension, value: Buffer.from(JSON.stringify({ id, podId, labels, cgroup, assets })) } };
}

/** Remembers it too. null for a record that is not ours. */
export function decodeKnown(context: RuntimeContext, container: Container): Known | null {
  const met = context.known.get(container.id);
  if (met) return met;
  const value = container.extensions[extension]?.value;
  if (value === undefined) return null;
  const known: Known = { ...(JSON.parse(value.toString('utf8')) as Omit<Known, 'oom'>), oom: false };
  context.known.set(container.id, known);
  return known;
}

/** The record of a container by our id; `not-found` when there is none. */
export async function getContainer(context: RuntimeContext, id: string): Promise<Container> {
  const { container } = await context.client.call(ContainersService.get, { id: containerdId(id) });
  if (!container) throw new TsorchError('not-found', `there is no container ${id}`);
  return container;
}

/** What is remembered of a container by our id; null when there is none. */
export async function knownContainer(context: RuntimeContext, id: string): Promise<Known | null> {
  const known = context.known.get(containerdId(id));
  if (known) return known;
  const reply = await orNothing(context.client.call(ContainersService.get, { id: containerdId(id) }));
  return reply?.container ? decodeKnown(context, reply.container) : null;
}

/** `undefined` instead of a `not-found` error. */
export async function orNothing<T>(result: Promise<T>): Promise<T | undefined> {
  try {
    return await result;
  } catch (error) {
    if (isCode(error, 'not-found')) return undefined;
    throw error;
  }
}

/** Milliseconds since the epoch; `fallback` when containerd does not know. */
export function milliseconds(time: Timestamp | undefined, fallback: number): number {
  // The zero time of Go lies before the epoch.
  if (!time || time.seconds <= 0) return fallback;
  return time.seconds * 1000 + Math.floor(time.nanos / 1e6);
}
