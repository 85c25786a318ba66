/** What a reconciler decides: a value that prints, tests and dry runs compare, and `ops.ts` turns into writes. */
import type { NodeView } from '../../model/node.ts';
import type { Pod, PodStatus } from '../../model/pod.ts';
import type { Service, UpdateStatus } from '../../model/service.ts';
import type { ServiceSpec } from '../../model/spec.ts';
import type { PodTimes } from './times.ts';

export type PodAction =
  | { readonly kind: 'create'; readonly slot: number | string; readonly revision: string }
  /** Take it out of service; it is stopped once no proxy sends to it any more. */
  | { readonly kind: 'drain'; readonly pod: string; readonly reason: string }
  /** Its node cannot be reached: it is to stop as soon as it can be told. */
  | { readonly kind: 'stop'; readonly pod: string; readonly reason: string }
  /** Nothing of it runs anywhere: the record goes. */
  | { readonly kind: 'delete'; readonly pod: string; readonly reason: string };

export interface ServicePlan {
  readonly actions: readonly PodAction[];
  /** Null when it stays as it is. */
  readonly update: UpdateStatus | null;
  /** The service as it is to be when the update failed and is undone. Then there are no actions: the next plan has them. */
  readonly rollback: Service | null;
  /** When to plan again even if nothing changes; by the clock of `now`. */
  readonly wakeAt: number | null;
}

/** All that is known of one service. Order of pods does not matter. */
export interface ServiceInput {
  readonly service: Service;
  readonly update: UpdateStatus;
  /** Specs by revision: at least `service.previous`, and those that its pods name. */
  readonly revisions: ReadonlyMap<string, ServiceSpec>;
  readonly pods: readonly Pod[];
  /** By pod. */
  readonly statuses: ReadonlyMap<string, PodStatus>;
  /** By id: all nodes of the cluster. */
  readonly nodes: ReadonlyMap<string, NodeView>;
  readonly times: (pod: string) => PodTimes | undefined;
  /** Why a pod must leave where it is at once, whatever the settings of updates say; null when it need not. Absent: none must. */
  readonly evicted?: (pod: Pod) => string | null;
  /** When a node that is away was last known to be there, by the clock of `now`; null when that is not known. Absent: it never is. */
  readonly lostAt?: (node: string) => number | null;
  readonly now: number;
  /** It is to be restarted after others, which are not ready for that: until then an update of its own replaces nothing. Absent: none. */
  readonly waitsFor?: readonly string[];
}

/** Reasons as people read them in `tsorch ps`; some tell later plans why a pod went. */
export const reasons = {
  scaledDown: 'scaled down',
  updated: 'updated',
  serviceRemoved: 'service removed',
  duplicate: 'another pod has its slot',
  old: 'more than the last attempts',
  nodeGone: 'its node left the cluster',
  nodeDown: (node: string) => `node ${node} is down`,
  nodeDrained: (node: string) => `node ${node} is drained`,
  unplaced: 'was never placed',
  volumeMoves: (volume: string, node: string) => `its volume ${volume} moves to ${node}`,
  violates: (constraint: string, node: string) => `${node} does not satisfy ${constraint} any more`,
} as const;
