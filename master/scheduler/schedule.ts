/**
 * Pods without a node → nodes. Pure: the state stays as it is, the caller commits the assignments and feeds back what comes of
 * them. The result follows from the state, the set of pending pods and the random numbers, not from any order of arrival.
 */
import type { FilterReason } from '../../model/api.ts';
import type { Pod } from '../../model/pod.ts';
import type { ServiceSpec } from '../../model/spec.ts';
import { roomiest } from './cluster.ts';
import { explain, type Explanation } from './explain.ts';
import { splitByOthers, splitByOwnNames, waitsForOthers } from './filters/affinities.ts';
import { prepareAll, prepareScope } from './filters/index.ts';
import { reopens } from './filters/operators.ts';
import { bindVolumes, freeVolumes, hasHome, splitByHomes } from './filters/volumes.ts';
import { groupPods, wishesOf, type PendingPod, type PodGroup } from './group.ts';
import { Even, Ranking } from './pick/even.ts';
import { Packed } from './pick/packed.ts';
import { Sequence, type Picker } from './pick/picker.ts';
import { Random } from './pick/random.ts';
import { growTree } from './pick/tree.ts';
import { Room } from './room.ts';
import { hasSoftAffinities, tiersOf, wishesForItself } from './soft.ts';
import type { ClusterState } from './state.ts';

export interface PodAssignment {
  /** Ids. */
  readonly pod: string;
  readonly node: string;
}

export interface UnplacedPod extends Explanation {
  readonly pod: string;
}

export interface ScheduleResult {
  readonly assignments: readonly PodAssignment[];
  /** Volumes that a pod placed here is the first to use: from now on they are on that node. */
  readonly bindings: readonly { readonly volume: string; readonly node: string }[];
  readonly unplaced: readonly UnplacedPod[];
}

export interface ScheduleOptions {
  /** Numbers in [0, 1), for the random strategy; see `seeded`. */
  readonly random: () => number;
}

/** Rankings kept for groups with the same wishes. Each holds a few numbers per node. */
const maxRankings = 32;

export function schedule(state: ClusterState, pending: readonly PendingPod[], options: ScheduleOptions): ScheduleResult {
  return new Round(state, options).run(groupPods(pending));
}

/** Why the pods of a service would not go to some nodes now, whether or not there is one to go to. */
export function explainService(state: ClusterState, service: string, revision: string, spec: ServiceSpec): readonly FilterReason[] {
  const pod: Pod = { id: '', service, stack: spec.stack, slot: 1, revision, desired: 'running', reason: '', node: null, ip: null, createdAt: 0 };
  return groupPods([{ pod, spec }]).flatMap((group) => explain(group, new Room(state)).reasons);
}

class Round {
  readonly #room: Room;
  readonly #random: () => number;
  readonly #rankings = new Map<string, readonly Ranking[]>();
  readonly #assignments: PodAssignment[] = [];
  readonly #unplaced: UnplacedPod[] = [];

  constructor(state: ClusterState, options: ScheduleOptions) {
    this.#room = new Room(state);
    this.#random = options.random;
  }

  run(groups: readonly PodGroup[]): ScheduleResult {
    let waiting = groups.flatMap((group) => splitByOwnNames(group, this.#room));
    for (;;) {
      // Those who want to be beside pods that have no place yet come after them.
      const later = new Set(waiting.filter((group) => waitsForOthers(group, this.#room)));
      const stuck = later.size === waiting.length;
      for (const group of waiting) {
        if (stuck || !later.has(group)) for (const part of splitByOthers(group, this.#room).flatMap((each) => splitByHomes(each, this.#room))) this.#placeGroup(part);
      }
      if (stuck) break;
      waiting = [...later];
    }
    const bindings = Array.from(this.#room.bindings, ([volume, node]) => ({ volume, node: this.#id(node) }));
    return { assignments: this.#assignments, bindings, unplaced: this.#unplaced };
  }

  #placeGroup(group: PodGroup): void {
    if (group.global) this.#placeGlobal(group);
    else if (hasHome(group, this.#room)) this.#placeWithVolumes(group);
    else this.#placeFree(group);
  }

  #id(node: number): string {
    return this.#room.state.views[node]?.node.id ?? '';
  }

  #place(pod: Pod, node: number, group: PodGroup): void {
    this.#room.place(node, group, pod);
    bindVolumes(group, pod.slot, node, this.#room);
    this.#assignments.push({ pod: pod.id, node: this.#id(node) });
  }

  #giveUp(pods: readonly Pod[], explanation: Explanation): void {
    for (const pod of pods) this.#unplaced.push({ pod: pod.id, reasons: explanation.reasons, summary: explanation.summary });
  }

  /** The slot of a global service's pod is the node it belongs to. */
  #placeGlobal(group: PodGroup): void {
    const fits = prepareAll(group, this.#room);
    for (const pod of group.pods) {
      const node = this.#room.state.index.get(String(pod.slot));
      if (node === undefined) this.#giveUp([pod], { reasons: [], summary: `its node ${pod.slot} is not in the cluster` });
      else if (fits(node)) this.#place(pod, node, group);
      else this.#giveUp([pod], explain(group, this.#room, [node]));
    }
  }

  /** The first pod chooses for all: its volumes are made where it goes, and the others follow them. */
  #placeWithVolumes(group: PodGroup): void {
    const free = freeVolumes(group, this.#room);
    let rest = group;
    const [first, ...others] = group.pods;
    if (free.length > 0 && first !== undefined) {
      const node = this.#ownPicker(group).pick();
      if (node < 0) {
        this.#giveUp(group.pods, explain(group, this.#room));
        return;
      }
      this.#place(first, node, group);
      rest = { ...group, pods: others };
    }
    if (rest.pods.length > 0) this.#placeOwn(rest);
  }

  #placeFree(group: PodGroup): void {
    const { placement } = group.spec;
    const room = this.#room;
    if (placement.strategy !== 'spread' || placement.spread.length > 0 || placement.operators !== undefined || hasSoftAffinities(group, room)) {
      this.#placeOwn(group);
      return;
    }
    const fitsRoom = prepareScope('room', group, room);
    const fitsService = prepareScope('service', group, room);
    const tiers = this.#rankingsFor(group).map((ranking) => new Even(ranking, room.counts(group.key), fitsRoom, fitsService));
    this.#placeAll(group, tiers.length === 1 ? tiers[0]! : new Sequence(tiers.map((tier) => () => tier)));
    for (const tier of tiers) tier.finish();
  }

  /** By a ranking of its own; by a new one for each pod when what is best changes with each. */
  #placeOwn(group: PodGroup): void {
    if (group.pods.length < 2 || !(reopens(group) || wishesForItself(group, this.#room))) {
      this.#placeAll(group, this.#ownPicker(group));
      return;
    }
    for (const [index, pod] of group.pods.entries()) {
      const one = { ...group, pods: [pod] };
      const node = this.#ownPicker(index === 0 ? group : one).pick();
      if (node < 0) {
        const left = group.pods.slice(index);
        this.#giveUp(left, explain({ ...group, pods: left }, this.#room));
        return;
      }
      this.#place(pod, node, one);
    }
  }

  #placeAll(group: PodGroup, picker: Picker): void {
    for (const [index, pod] of group.pods.entries()) {
      const node = picker.pick();
      if (node < 0) {
        const left = group.pods.slice(index);
        this.#giveUp(left, explain({ ...group, pods: left }, this.#room));
        return;
      }
      this.#place(pod, node, group);
      picker.placed(node);
    }
  }

  /** Shared by all groups of the same constraints and demand. */
  #rankingsFor(group: PodGroup): readonly Ranking[] {
    const key = wishesOf(group);
    const known = this.#rankings.get(key);
    if (known) return known;
    const rankings = tiersOf(group, this.#room, this.#candidates(group)).map((tier) => new Ranking(this.#room, tier));
    const oldest = this.#rankings.size >= maxRankings ? this.#rankings.keys().next().value : undefined;
    if (oldest !== undefined) this.#rankings.delete(oldest);
    this.#rankings.set(key, rankings);
    return rankings;
  }

  #ownPicker(group: PodGroup): Picker {
    const room = this.#room;
    const fitsRoom = prepareScope('room', group, room);
    const fitsService = prepareScope('service', group, room);
    const fits = (node: number) => fitsRoom(node) && fitsService(node);
    const { strategy, spread } = group.spec.placement;
    const leaf = (nodes: readonly number[]): Picker => {
      switch (strategy) {
        case 'spread': return new Even(new Ranking(room, nodes), room.counts(group.key), fitsRoom, fitsService);
        case 'binpack': return new Packed(room, nodes, fits);
        case 'random': return new Random(this.#sorted(nodes), fits, this.#random);
      }
    };
    const subjects = spread.map((preference) => preference.subject);
    const tiers = tiersOf(group, room, roomiest(group, room, this.#candidates(group).filter(fits)));
    return new Sequence(tiers.map((tier) => () => growTree(subjects, tier, room, room.counts(group.key), leaf)));
  }

  /** By name, where the order would show in the result. */
  #sorted(nodes: readonly number[]): readonly number[] {
    const order = this.#room.state.order();
    return nodes.toSorted((a, b) => order[a]! - order[b]!);
  }

  #candidates(group: PodGroup): readonly number[] {
    const nodes: number[] = [];
    const fits = prepareScope('node', group, this.#room);
    for (const node of this.#room.state.index.values()) if (fits(node)) nodes.push(node);
    return nodes;
  }
}
