/** The pods of a service, sorted into its slots by what is left of them. */
import { matches } from '../../model/constraint/match.ts';
import { targetOf } from '../../model/constraint/target.ts';
import { isFinal, type Pod } from '../../model/pod.ts';
import { type CutOffInput, mayRunUntil } from './cut-off.ts';
import { reasons, type ServiceInput } from './plan.ts';

export interface Slot {
  readonly slot: number | string;
  /** Wanted, and running or on the way there as far as anybody knows. */
  readonly live: readonly Pod[];
  /** Told to go, not gone yet. */
  readonly leaving: readonly Pod[];
  /** Ended by themselves, the latest first: the slot's attempts. */
  readonly ended: readonly Pod[];
  /** On nodes that are down or out of the cluster, wanted until now. */
  readonly lost: readonly Pod[];
}

/** What became of a pod. `over`: told to go, and nothing of it is left but the record. */
export type Life = 'live' | 'leaving' | 'ended' | 'lost' | 'over';

export function lifeOf(pod: Pod, input: Pick<ServiceInput, 'statuses' | 'nodes'> & Partial<CutOffInput>): Life {
  const status = input.statuses.get(pod.id);
  const wanted = pod.desired === 'running';
  if (status && isFinal(status.phase)) return wanted ? 'ended' : 'over';
  if (pod.node === null) return wanted ? 'live' : 'over';
  const node = input.nodes.get(pod.node);
  if (!node || node.state === 'down') return wanted ? 'lost' : mayRunUntil(pod, input) === null ? 'over' : 'leaving';
  return wanted ? 'live' : 'leaving';
}

/** In the order of the slots. */
export function sortIntoSlots(input: ServiceInput): ReadonlyMap<number | string, Slot> {
  const slots = new Map<number | string, Slot>();
  const pods = input.pods.toSorted(newestFirst);
  const bySlot = [...Map.groupBy(pods, (pod) => pod.slot)].sort(([a], [b]) => compareSlots(a, b));
  for (const [slot, own] of bySlot) {
    const by = Map.groupBy(own, (pod) => lifeOf(pod, input));
    slots.set(slot, { slot, live: by.get('live') ?? [], leaving: by.get('leaving') ?? [], ended: by.get('ended') ?? [], lost: by.get('lost') ?? [] });
  }
  return slots;
}

/** The slots without the live pods that must leave at once: these are told to. */
export function evict(slots: ReadonlyMap<number | string, Slot>, input: ServiceInput, end: (pod: Pod, reason: string) => void): ReadonlyMap<number | string, Slot> {
  const { evicted } = input;
  if (!evicted) return slots;
  return new Map(Array.from(slots, ([number, slot]) => {
    const [stay, leave] = [slot.live.filter((pod) => evicted(pod) === null), slot.live.filter((pod) => evicted(pod) !== null)];
    for (const pod of leave) end(pod, evicted(pod) ?? '');
    return [number, leave.length === 0 ? slot : { ...slot, live: stay, leaving: [...leave, ...slot.leaving] }];
  }));
}

export function emptySlot(slot: number | string): Slot {
  return { slot, live: [], leaving: [], ended: [], lost: [] };
}

export function isReady(pod: Pod, input: ServiceInput): boolean {
  return input.statuses.get(pod.id)?.ready === true;
}

export function isCurrent(pod: Pod, input: ServiceInput): boolean {
  return pod.revision === input.service.revision;
}

/**
 * Why a pod may not stay where it is, or null. A drained node keeps none. Constraints are checked on active nodes only: a paused
 * node is one that somebody works on.
 */
export function misplaced(pod: Pod, input: ServiceInput): string | null {
  const view = pod.node === null ? undefined : input.nodes.get(pod.node);
  if (!view) return null;
  if (view.node.availability === 'drain') return reasons.nodeDrained(view.node.name);
  if (view.node.availability !== 'active') return null;
  const target = targetOf(view);
  const broken = input.service.spec.placement.constraints.find((constraint) => !constraint.soft && !matches(constraint, target));
  return broken ? reasons.violates(broken.source, view.node.name) : null;
}

export function newestFirst(a: Pod, b: Pod): number {
  return b.createdAt - a.createdAt || (a.id < b.id ? 1 : -1);
}

/** Numbers as numbers. */
export function compareSlots(a: number | string, b: number | string): number {
  if (typeof a === 'number' && typeof b === 'number') return a - b;
  return String(a) < String(b) ? -1 : String(a) > String(b) ? 1 : 0;
}
