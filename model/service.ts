/** A service as the master keeps it: the spec the user gave, and what the leader made of it. */
import type { ServiceSpec } from './spec.ts';

export interface Service {
  /** `stack_service`. */
  readonly id: string;
  readonly spec: ServiceSpec;
  /** Digest of the parts of the spec that need new pods: names the ServiceRevision. */
  readonly revision: string;
  /** The revision before, for rollback; null at first. */
  readonly previous: string | null;
  /** Services it depends on with `restart: true` that were changed by hand: it is restarted once they are well again. Absent: none. */
  readonly restartAfter?: readonly string[];
}

/** Immutable; kept as long as a pod or a rollback refers to it. Key: `<service>.<revision>`. */
export interface ServiceRevision {
  readonly service: string;
  readonly revision: string;
  readonly spec: ServiceSpec;
}

/** The leader's allocations for a service. */
export interface ServiceStatus {
  readonly id: string;
  readonly vips: readonly { readonly network: string; readonly ip: string }[];
  readonly ports: readonly AllocatedPort[];
  readonly update: UpdateStatus;
}

export interface AllocatedPort {
  readonly target: number;
  readonly published: number;
  readonly protocol: 'tcp' | 'udp';
  readonly mode: 'ingress' | 'host';
  readonly hostIp?: string;
}

export interface UpdateStatus {
  readonly state: 'none' | 'updating' | 'paused' | 'completed' | 'rolling-back' | 'rolled-back';
  readonly message: string;
}

/** A user-defined network: an isolation group. `group` is a small integer, unique and never reused while it exists. */
export interface Network {
  readonly name: string;
  readonly group: number;
  readonly internal: boolean;
  readonly stack: string | null;
  readonly labels: Readonly<Record<string, string>>;
}

/** A named volume is a fact about a node: it is bound to the first node that made it. */
export interface Volume {
  readonly name: string;
  readonly stack: string | null;
  readonly driver: string;
  readonly driverOpts: Readonly<Record<string, string>>;
  readonly labels: Readonly<Record<string, string>>;
  /** Id of the node its data is on; null: nowhere yet, or wherever its pods are (see `nodes`). */
  readonly node: string | null;
  /** Besides `node`, nodes that have something of this name: every global pod's, every one that has mounted it from the network. */
  readonly nodes?: readonly string[];
  /** Made for one slot of a service that mounts `of` per replica. */
  readonly slotOf?: { readonly volume: string; readonly slot: number };
  /** Milliseconds since the epoch, for people. */
  readonly createdAt?: number;
  /** Its data is being removed, and the record after it: no pod may have it any more. `forced`: nodes that are away keep theirs. */
  readonly removing?: 'asked' | 'forced';
  /** Under way to another node: no pod may have it meanwhile. */
  readonly move?: VolumeMove;
  /** Copies that count no more and are deleted as soon as their nodes can be told. */
  readonly stale?: readonly StaleCopy[];
}

export interface VolumeMove {
  /** Shared by volumes that move together: all of them arrive or none. */
  readonly id: string;
  /** Node ids. */
  readonly from: string;
  readonly to: string;
  /** `stopping`: pods that have it are ending. `copying`. `copied`: the copy is complete and verified, those that move along are not. */
  readonly phase: 'stopping' | 'copying' | 'copied';
}

export interface StaleCopy {
  readonly node: string;
  /** What this move brought there, and nothing else; absent: the whole volume. */
  readonly move?: string;
}

export interface Stack {
  readonly name: string;
  /** Service names inside the stack, sorted. */
  readonly services: readonly string[];
  readonly networks: readonly string[];
  readonly volumes: readonly string[];
  readonly secrets: readonly string[];
  readonly configs: readonly string[];
}
