/** What containers and nodes use right now: what agents tell, what masters make of it, and how the one follows from the other. */
import type { NodeListItem } from './api.ts';

/** Of a container, as its host tells it. */
export interface ContainerUsage {
  readonly podId: string;
  readonly container: string;
  readonly attempt: number;
  /** Percent of one CPU between two readings, so 200 is two CPUs; null while there was only one. Seconds are since it began. */
  readonly cpu: { readonly percent: number | null; readonly seconds: number };
  /** Bytes, without file cache that the kernel could drop. `limit` is null where there is none. */
  readonly memory: { readonly used: number; readonly limit: number | null };
  /** Processes and threads. */
  readonly pids: { readonly current: number; readonly limit: number | null };
  /** Bytes from and to block devices. */
  readonly block: { readonly read: number; readonly written: number };
  /** Bytes of its pod's interface. A pod has one for all of its containers: null for all but the first, and without an interface. */
  readonly network: { readonly received: number; readonly sent: number } | null;
}

/** Of a whole host, whatever on it uses them. */
export interface HostUsage {
  /** CPUs in use between two readings. */
  readonly cpus: number;
  /** Bytes that are not available. */
  readonly memory: number;
}

/** One message of an agent's `stats` stream. */
export interface AgentStats {
  readonly host: HostUsage;
  readonly containers: readonly ContainerUsage[];
}

/** Parameters of that stream. */
export interface StatsStreamParams {
  /** Only containers of these pods; null for all that run there. */
  readonly pods: readonly string[] | null;
  /** Milliseconds between two messages; absent: one message, and the end. */
  readonly everyMs?: number;
}

/** One line of `tsorch stats`. */
export interface ContainerStats extends Omit<ContainerUsage, 'memory'> {
  /** `voting_vote.1`, and `voting_vote.1/log` in pods of several containers. */
  readonly name: string;
  readonly pod: string;
  readonly stack: string;
  readonly service: string;
  readonly slot: number | string;
  /** Name of its node. */
  readonly node: string;
  /** Told of those that do not run, which use nothing and are in the answer only where all were asked for: a state of `ContainerStatus`, or the phase of a pod without any. */
  readonly state?: string;
  /** Percent is of the limit, or of the node's memory where there is none. */
  readonly memory: { readonly used: number; readonly limit: number | null; readonly percent: number };
}

export interface NodeStats extends Pick<NodeListItem, 'id' | 'name' | 'state' | 'capacity' | 'allocated' | 'pods'> {
  /** null: it does not say, see `message`. */
  readonly used: HostUsage | null;
  /** Why nothing is known of its use; empty otherwise. */
  readonly message: string;
}

/** GET /v1/stats. */
export interface Stats {
  /** Milliseconds since the epoch, by the master's clock. */
  readonly at: number;
  /** Nodes that were asked, in order of their names. */
  readonly nodes: readonly NodeStats[];
  /** In order of their names. */
  readonly containers: readonly ContainerStats[];
}

/** How often a stream may tell. */
export const statsEvery = { leastMs: 500, mostMs: 60_000, usualMs: 1000 } as const;
