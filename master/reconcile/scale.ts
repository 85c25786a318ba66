/** Which slots a replicated service has: as many as asked for, those in use first, then the lowest free numbers. */
import { keepsData } from './rolling.ts';
import { reasons, type ServiceInput } from './plan.ts';
import { compareSlots, isCurrent, isReady, type Slot } from './slots.ts';

/** Slot numbers, sorted. */
export function scaleTo(count: number, slots: ReadonlyMap<number | string, Slot>, input: ServiceInput): readonly number[] {
  const used = [...slots.values()].filter((slot) => typeof slot.slot === 'number' && slot.slot > 0 && isUsed(slot));
  const surplus = new Set(chooseSurplus(used, used.length - count, input));
  const kept = used.filter((slot) => !surplus.has(slot)).map((slot) => Number(slot.slot));
  const taken = new Set(kept);
  for (let number = 1; kept.length < count; number++) {
    if (taken.has(number)) continue;
    taken.add(number);
    kept.push(number);
  }
  return kept.sort((a, b) => a - b);
}

/** A slot between two pods keeps its number: what is left of the one before holds it, unless that left for good. */
function isUsed(slot: Slot): boolean {
  return slot.live.length > 0 || slot.lost.length > 0 || slot.ended.length > 0 || slot.leaving.some((pod) => pod.reason !== reasons.scaledDown);
}

/** What is missed least goes first: slots that run nothing, not ready, of another revision, on the most crowded node, newest. */
function chooseSurplus(used: readonly Slot[], count: number, input: ServiceInput): readonly Slot[] {
  if (count <= 0) return [];
  // Whoever keeps data by slot expects what came last to go first, and to be back first.
  if (keepsData(input)) return used.toSorted((a, b) => compareSlots(b.slot, a.slot)).slice(0, count);
  const crowd = new Map<string, number>();
  for (const slot of used) for (const { node } of slot.live) if (node !== null) crowd.set(node, (crowd.get(node) ?? 0) + 1);
  const keys = new Map(used.map((slot) => [slot, { rank: rank(slot, input), born: Math.max(0, ...slot.live.map((pod) => pod.createdAt)) }]));
  const crowding = (slot: Slot) => Math.max(0, ...slot.live.map(({ node }) => (node === null ? 0 : (crowd.get(node) ?? 0))));
  const before = (a: Slot, b: Slot) => {
    const left = keys.get(a)!;
    const right = keys.get(b)!;
    return left.rank - right.rank || crowding(b) - crowding(a) || right.born - left.born || compareSlots(b.slot, a.slot);
  };
  const left = new Set(used);
  const chosen: Slot[] = [];
  while (chosen.length < count) {
    const next = [...left].reduce((a, b) => (before(a, b) <= 0 ? a : b));
    left.delete(next);
    chosen.push(next);
    for (const { node } of next.live) if (node !== null) crowd.set(node, (crowd.get(node) ?? 1) - 1);
  }
  return chosen;
}

function rank(slot: Slot, input: ServiceInput): number {
  if (slot.live.length === 0) return 0;
  if (slot.live.every((pod) => pod.node === null)) return 1;
  if (!slot.live.some((pod) => isReady(pod, input))) return 2;
  return slot.live.some((pod) => isCurrent(pod, input)) ? 4 : 3;
}
