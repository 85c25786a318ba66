/**
 * Desired and observed state, keyed `<kind>/<id>` under `/tsorch/v1/`. `etcd.ts` is the truth, `memory.ts` the fake; both
 * pass test/contract/store.
 *
 * Readers see the store through an informer (`watch`), writers through one `commit()` that is atomic, guarded by the
 * revisions the decision was based on and by the leader's epoch.
 */
import type { Node, NodeStatus } from '../../model/node.ts';
import type { Pod, PodStatus, StaticPod } from '../../model/pod.ts';
import type { Network, Service, ServiceRevision, ServiceStatus, Stack, Volume } from '../../model/service.ts';
import type { RegistryRecord } from '../../model/registry.ts';
import type { FileObjectSpec } from '../../model/spec.ts';

/** Every kind and its value. Spec and status live under different kinds because they have different writers. */
export interface Kinds {
  /** `cluster/config`: CIDRs and the like, written once. */
  readonly cluster: ClusterConfig;
  /** `ca/ca`: the cluster's certificate authority. */
  readonly ca: CaRecord;
  readonly tokens: TokenRecord;
  readonly stacks: Stack;
  readonly services: Service;
  /** Key: `<service>.<revision>`. */
  readonly revisions: ServiceRevision;
  readonly servicestatus: ServiceStatus;
  readonly pods: Pod;
  readonly podstatus: PodStatus;
  /** Pods of hosts' own manifests, as their agents tell of them; nobody decides over them here. */
  readonly staticpods: StaticPod;
  readonly nodes: Node;
  readonly nodestatus: NodeStatus;
  /** A node's session, on the lease of the master that holds it: gone when that master is. */
  readonly sessions: SessionRecord;
  readonly networks: Network;
  readonly volumes: Volume;
  /** Key: `<name>.<first 16 hex digits of the digest>`. */
  readonly secrets: FileObjectSpec;
  readonly configs: FileObjectSpec;
  /** A stack's credentials for a registry; key: see `registryKey`. */
  readonly registries: RegistryRecord;
  readonly events: EventRecord;
  /** `leader/leader`: the master that leads, on its lease. Its epoch is the revision of this key; see master/leader.ts. */
  readonly leader: LeaderRecord;
}

export type Kind = keyof Kinds;

export interface ClusterConfig {
  readonly id: string;
  readonly podCidr: string;
  /** Prefix length of each node's part of podCidr. */
  readonly nodePrefix: number;
  readonly serviceCidr: string;
  readonly underlay: 'auto' | 'vxlan' | 'route';
}

export interface CaRecord {
  /** PEM. */
  readonly certificate: string;
  readonly privateKey: string;
}

export interface TokenRecord {
  readonly id: string;
  /** sha256 of the secret part, hex: the store never holds a usable token. */
  readonly hash: string;
  readonly role: 'node' | 'admin' | 'viewer';
  readonly createdAt: number;
  readonly expiresAt: number | null;
}

export interface SessionRecord {
  readonly node: string;
  readonly master: string;
}

export interface LeaderRecord {
  /** The master's id. */
  readonly master: string;
  /** Random, one per attempt to lead: tells an own write with a lost reply from somebody else's. */
  readonly term: string;
  /** Milliseconds since the epoch, for people. */
  readonly since: number;
  /** Where other masters and people reach it, such as `https://10.0.0.1:7700`. */
  readonly address?: string;
}

export interface EventRecord {
  readonly id: string;
  readonly at: number;
  /** `pod/x7k2`, `node/n1`, `service/voting_vote`. */
  readonly subject: string;
  readonly message: string;
}

export interface Entry<K extends Kind> {
  readonly kind: K;
  readonly id: string;
  readonly value: Kinds[K];
  /** Revision of its last change: what a commit guards against. */
  readonly revision: number;
}

export type AnyEntry = { [K in Kind]: Entry<K> }[Kind];

export type Change = { [K in Kind]: { readonly kind: K; readonly id: string; readonly entry: Entry<K> | null } }[Kind];

export type Op = { [K in Kind]: { readonly op: 'put'; readonly kind: K; readonly id: string; readonly value: Kinds[K]; readonly guard?: Guard; readonly lease?: string } | { readonly op: 'delete'; readonly kind: K; readonly id: string; readonly guard?: Guard } }[Kind];

/** The revision the key must still have; 0: it must not exist. Without a guard, last writer wins. */
export type Guard = number;

export interface Store {
  /**
   * Applies all or none. Throws `conflict` when a guard fails, `fenced` when the epoch is not in force any more,
   * `unknown-outcome` when the reply was lost (read before deciding), `unavailable` when nothing was sent.
   * `not-found` when the lease of a put is gone. At most 100 operations and 1 MB, each key once: `commitAll` in commit.ts
   * splits longer plans. `revision` is that of the changes, 0 when there were none (only deletes of what was not there).
   */
  commit(ops: readonly Op[], epoch?: Epoch): Promise<{ readonly revision: number }>;
  get<K extends Kind>(kind: K, id: string): Promise<Entry<K> | null>;
  list<K extends Kind>(kind: K): Promise<readonly Entry<K>[]>;
  /**
   * An informer over all of the kinds: first everything there is, then every change exactly once and in order, through
   * cuts, compaction and restarts of etcd. After a gap it lists again and emits the difference, deletes included.
   */
  watch(kinds: readonly Kind[], handler: WatchHandler, signal: AbortSignal): void;
  /** A lease that is kept alive until the signal fires; keys put on it vanish with it. */
  lease(ttlMs: number, signal: AbortSignal): Promise<{ readonly id: string; readonly lost: AbortSignal }>;
  close(): Promise<void>;
}

export interface WatchHandler {
  /** One consistent step: all changes up to and including `revision`. `synced` is true from the first full list on. */
  changes(changes: readonly Change[], revision: number): void;
  /** Whether the watch is connected now; the cache stays usable either way. */
  connected?(connected: boolean): void;
}

/** A leader's term, from master/leader: every write of a leader carries it. */
export interface Epoch {
  /** `<kind>/<id>`. */
  readonly key: string;
  /** Revision of the write that created the term; nothing else touches the key while the term lasts. Grows from term to term. */
  readonly createRevision: number;
}
