/** Which containers somebody wants to see, and so which nodes are to be asked for what. Pure. */
import { isFinal, type Pod } from '../../model/pod.ts';
import { findNode, findTarget } from '../api/targets.ts';
import { allPods, podStatusOf } from '../pods.ts';
import type { Maps } from '../world.ts';

export interface StatsFilter {
  /** Names as people have them: stacks, services, slots, pods. Empty: everything. */
  readonly targets: readonly string[];
  readonly stack?: string | undefined;
  readonly service?: string | undefined;
  /** Id or name. */
  readonly node?: string | undefined;
}

export interface Wanted {
  /** By node id the pods to be asked for; null for all that are there. */
  readonly nodes: ReadonlyMap<string, readonly string[] | null>;
  /** Whether this container is one of them. */
  readonly includes: (pod: Pod, container: string) => boolean;
}

/** `not-found` with a suggestion for a name that means nothing. */
export function wantedStats(maps: Maps, { targets, stack, service, node }: StatsFilter): Wanted {
  const nodeId = node === undefined ? undefined : findNode(maps, node).id;
  const named = targets.map((target) => findTarget(maps, target));
  /** null for all of a pod's. */
  const containers = new Map<string, Set<string> | null>();
  for (const { pods, container } of named) {
    for (const { id } of pods) {
      const known = containers.get(id);
      if (container === undefined || known === null) containers.set(id, null);
      else containers.set(id, (known ?? new Set()).add(container));
    }
  }
  const includes = (pod: Pod, container?: string): boolean => {
    if ((stack !== undefined && pod.stack !== stack) || (service !== undefined && pod.service !== service) || (nodeId !== undefined && pod.node !== nodeId)) return false;
    if (targets.length === 0) return true;
    const only = containers.get(pod.id);
    return only === null || (only !== undefined && (container === undefined || only.has(container)));
  };
  if (targets.length === 0 && stack === undefined && service === undefined) {
    const ids = nodeId === undefined ? [...maps.nodes.keys()] : [nodeId];
    return { nodes: new Map(ids.map((id) => [id, null])), includes };
  }
  const nodes = new Map<string, string[]>();
  for (const pod of allPods(maps)) {
    const status = podStatusOf(maps, pod.id);
    if (pod.node === null || (status && isFinal(status.phase)) || !includes(pod)) continue;
    const ids = nodes.get(pod.node);
    if (ids) ids.push(pod.id);
    else nodes.set(pod.node, [pod.id]);
  }
  for (const ids of nodes.values()) ids.sort();
  return { nodes, includes };
}
