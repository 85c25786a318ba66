/**
 * A pod: one or more containers that share a network namespace on one node, in one slot of a service. It moves forward
 * only and is never resurrected; a replacement takes its slot.
 *
 * Two records, two writers: `Pod` is the leader's word (what shall be), `PodStatus` the agent's (what is).
 */
import type { GenericNames } from './generic.ts';
import type { AllocatedPort } from './service.ts';
import type { Resources } from './spec.ts';

export type PodDesired =
  /** Run it. */
  | 'running'
  /** Take it out of every proxy's table, but let it serve what it has. */
  | 'draining'
  /** Stop it: signal, grace, kill. */
  | 'stopped';

export interface Pod {
  /** Unique for ever: `x7k2m9qd0c`. */
  readonly id: string;
  /** Service id, `stack_service`. */
  readonly service: string;
  readonly stack: string;
  /** From 1 for replicated services; the node's id for global ones. */
  readonly slot: number | string;
  /** Digest of the service spec this pod was made from; see ServiceRevision. */
  readonly revision: string;
  readonly desired: PodDesired;
  /** Why `desired` left `running`: `scaled down`, `updated`, `node down`, … Empty while it runs. */
  readonly reason: string;
  /** Node id once scheduled. */
  readonly node: string | null;
  /** Address on the overlay; null for host and none network mode and before scheduling. */
  readonly ip: string | null;
  /** Which of its node's named resources are this pod's, by kind. Absent: none have names. */
  readonly generic?: GenericNames;
  /** Milliseconds since the epoch, by the leader's clock; for people only, nothing is decided by it. */
  readonly createdAt: number;
}

export type PodPhase = 'pending' | 'assigned' | 'preparing' | 'starting' | 'running' | 'stopping' | 'succeeded' | 'failed' | 'lost';

export interface PodStatus {
  readonly id: string;
  readonly node: string;
  readonly phase: PodPhase;
  /** Serving: an endpoint as long as the leader wants it running. */
  readonly ready: boolean;
  /** One line for people: `pulling image`, `waiting for db: healthy`, `exit code 1, restarting in 400 ms`. */
  readonly message: string;
  readonly restarts: number;
  /** Milliseconds since the epoch, by the node's clock. */
  readonly since: number;
  readonly containers: readonly ContainerStatus[];
}

export interface ContainerStatus {
  readonly name: string;
  readonly image: string;
  /** Digest of the image's manifest, once resolved. */
  readonly imageDigest?: string;
  readonly pid?: number;
  readonly health?: 'starting' | 'healthy' | 'unhealthy';
  readonly exitCode?: number;
  readonly oomKilled?: boolean;
  /** Runs to its end before the first of the pod's own containers is created. These come after the others in the list. */
  readonly init?: true;
  /**
   * `waiting` for its turn, `running`, `restarting`: it ended and will be begun again, `succeeded` or `failed` for good. Absent in what
   * agents before these fields said, as are those that follow.
   */
  readonly state?: 'waiting' | 'running' | 'restarting' | 'succeeded' | 'failed';
  /** It runs, and its checks pass. */
  readonly ready?: boolean;
  /** The attempt under way, or the last; from 1, absent before the first. */
  readonly attempt?: number;
  /** How its last attempts ended, oldest first, at most five. */
  readonly ended?: readonly ContainerEnd[];
  /** What the host could not give as asked for, such as a ulimit above its own. Absent: nothing. */
  readonly warnings?: readonly string[];
}

/** How one attempt of a container ended. */
export interface ContainerEnd {
  readonly attempt: number;
  /** null when it never ran, or nobody saw it end. */
  readonly exitCode: number | null;
  readonly oomKilled: boolean;
  /** Milliseconds since the epoch, by the node's clock; null when it never ran. */
  readonly startedAt: number | null;
  readonly endedAt: number;
  /** `exit code 1`, `out of memory (exit code 137)`, `unhealthy`, `host rebooted`, … */
  readonly message: string;
}

/** A pod that no master decides over: a host has it from a manifest of its own, and tells of it. */
export interface StaticPod {
  readonly pod: Pod;
  /** The manifest: `/etc/tsorch/manifests/web.yml`, `https://config.example.com/edge.yml`. */
  readonly origin: string;
  /** Of its first container. */
  readonly image: string;
  readonly reservations: Resources;
  /** Published on its host alone. */
  readonly ports: readonly AllocatedPort[];
  readonly status: PodStatus;
}

/** Phases that end a pod. */
export function isFinal(phase: PodPhase): boolean {
  return phase === 'succeeded' || phase === 'failed' || phase === 'lost';
}

/** `voting_vote.1`, as people call a pod. Global pods go by their node's name. */
export function podName(service: string, slot: number | string): string {
  return `${service}.${slot}`;
}
