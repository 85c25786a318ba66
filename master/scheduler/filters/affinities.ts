/**
 * The hard affinities: a group's own, and those of pods that are there already and keep it away. All pods of a group are alike to
 * them: one that is named by its slot has a group of its own (see `splitByOwnNames`).
 */
import type { Affinity } from '../../../model/constraint/types.ts';
import { countNodes } from '../../../model/constraint/explain.ts';
import type { PodGroup } from '../group.ts';
import { matchesPod, type Repeller } from '../neighbours.ts';
import type { Room } from '../room.ts';
import { namesOf, type Filter, type NodeTest } from './filter.ts';

export const affinities: Filter = {
  scope: 'service',
  prepare(group, room) {
    const tests = [
      ...(group.spec.placement.affinities ?? []).filter(({ soft }) => !soft).map((affinity) => ownTest(affinity, group, room)),
      ...keptAway(group, room, false).map(({ repeller }) => repellerTest(repeller, room)),
    ];
    const [first] = tests;
    if (first === undefined) return null;
    return tests.length === 1 ? first : (node) => tests.every((test) => test(node));
  },
  explain(group, room, nodes) {
    const own = (group.spec.placement.affinities ?? []).filter(({ soft }) => !soft).flatMap((affinity) => {
      const test = ownTest(affinity, group, room);
      const failing = nodes.filter((node) => !test(node));
      if (failing.length === 0) return [];
      const { counts } = room.affinity(affinity, group.spec.stack);
      const there = [...counts.keys()].map((node) => room.name(node)).sort();
      const where = there.length === 0 ? 'no pod anywhere matches' : `pods that match are on ${countNodes(there)}`;
      const message = affinity.op === '==' ? where : `${countNodes(namesOf(room, failing))} ${failing.length === 1 ? 'runs' : 'run'} pods that match`;
      return [{ filter: `affinity ${affinity.source}`, message, nodes: namesOf(room, failing) }];
    });
    const others = keptAway(group, room, false).flatMap(({ repeller, affinity }) => {
      const test = repellerTest(repeller, room);
      const failing = nodes.filter((node) => !test(node));
      if (failing.length === 0) return [];
      return [{ filter: `affinity of ${repeller.service}`, message: `${repeller.service} on ${countNodes(namesOf(room, failing))} keeps away what is ${affinity.source.replace('!=', '==')}`, nodes: namesOf(room, failing) }];
    });
    return [...own, ...others];
  },
};

/** Whether the node has (or, with `!=`, lacks) pods that match. */
export function ownTest(affinity: Affinity, group: PodGroup, room: Room): NodeTest {
  const count = counter(affinity, group, room);
  if (affinity.op === '!=') return (node) => count.at(node) === 0;
  // Nobody matches yet, and its own pods would: the first of them may go anywhere.
  return (node) => count.at(node) > 0 || (count.self && count.none());
}

/** The affinity asks for pods that are nowhere, and that this group does not bring itself. */
export function waitsForOthers(group: PodGroup, room: Room): boolean {
  return (group.spec.placement.affinities ?? []).some((affinity) => {
    if (affinity.soft || affinity.op === '!=') return false;
    const count = counter(affinity, group, room);
    return !count.self && count.none();
  });
}

interface Counter {
  readonly at: (node: number) => number;
  readonly none: () => boolean;
  /** The group's own pods match. */
  readonly self: boolean;
}

function counter(affinity: Affinity, group: PodGroup, room: Room): Counter {
  const { matcher, counts } = room.affinity(affinity, group.spec.stack);
  const self = matcher.service(group.neighbour.target) || group.pods.some((pod) => matcher.pod(group.neighbour.target, pod.slot, pod.id));
  if (!group.neighbour.besideOldSelf || !matcher.service(group.neighbour.target)) return { at: (node) => counts.get(node) ?? 0, none: () => counts.size === 0, self };
  const service = room.state.counts(group.service);
  const before = room.state.counts(group.key);
  const at = (node: number) => (counts.get(node) ?? 0) - (service.get(node) ?? 0) + (before.get(node) ?? 0);
  return { at, none: () => [...counts.keys()].every((node) => at(node) <= 0), self };
}

/** The pods, and their affinities, that do not want this group beside them; never in the order they came. */
export function keptAway(group: PodGroup, room: Room, soft: boolean): readonly { readonly repeller: Repeller; readonly affinity: Affinity }[] {
  return room.repellers().flatMap((repeller) => {
    if (repeller.service === group.service && group.neighbour.besideOldSelf && repeller.key !== group.key) return [];
    const affinity = repeller.neighbour.repels.find((each) => each.soft === soft && repelsAny(each, repeller, group, room));
    return affinity === undefined ? [] : [{ repeller, affinity }];
  }).sort((a, b) => (a.repeller.key < b.repeller.key ? -1 : 1));
}

function repelsAny(affinity: Affinity, repeller: Repeller, group: PodGroup, room: Room): boolean {
  const { matcher } = room.affinity(affinity, repeller.neighbour.target.stack);
  return group.pods.some((pod) => matchesPod(matcher, { id: pod.id, slot: pod.slot, neighbour: group.neighbour }));
}

export function repellerTest(repeller: Repeller, room: Room): NodeTest {
  const counts = room.counts(repeller.key);
  return (node) => !counts.has(node);
}

/** The group in parts whose pods are alike to the service's own affinities, which may name one of them. */
export function splitByOwnNames(group: PodGroup, room: Room): readonly PodGroup[] {
  const { affinities: own = [] } = group.spec.placement;
  return own.length === 0 ? [group] : split(group, own.map((affinity) => [affinity, group.spec.stack]), room);
}

/** Likewise to the affinities of those that keep some of them away by name. */
export function splitByOthers(group: PodGroup, room: Room): readonly PodGroup[] {
  const repellers = room.repellers();
  return repellers.length === 0 ? [group] : split(group, repellers.flatMap(({ neighbour }) => neighbour.repels.map((affinity) => [affinity, neighbour.target.stack] as const)), room);
}

function split(group: PodGroup, list: readonly (readonly [Affinity, string])[], room: Room): readonly PodGroup[] {
  if (group.pods.length < 2) return [group];
  const matchers = list.filter(([{ subject }]) => subject.kind === 'container').map(([affinity, stack]) => room.affinity(affinity, stack).matcher).filter((matcher) => !matcher.service(group.neighbour.target));
  if (matchers.length === 0) return [group];
  const parts = Map.groupBy(group.pods, (pod) => matchers.map((matcher) => (matcher.pod(group.neighbour.target, pod.slot, pod.id) ? 1 : 0)).join(''));
  return parts.size === 1 ? [group] : Array.from(parts.values(), (pods) => ({ ...group, pods }));
}
