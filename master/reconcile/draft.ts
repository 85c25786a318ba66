/** A plan in the making. */
import type { Pod } from '../../model/pod.ts';
import { reasons, type PodAction, type ServiceInput } from './plan.ts';
import { newestFirst, type Slot } from './slots.ts';

/** Ended pods kept for people to look at, per slot. */
const keptAttempts = 5;

export class Draft {
  readonly #input: Pick<ServiceInput, 'pods' | 'nodes'>;
  readonly #actions: PodAction[] = [];
  readonly #done = new Set<string>();
  #wakeAt: number | null = null;

  constructor(input: Pick<ServiceInput, 'pods' | 'nodes'>) {
    this.#input = input;
  }

  get actions(): readonly PodAction[] {
    return this.#actions;
  }

  get wakeAt(): number | null {
    return this.#wakeAt;
  }

  /** Asks for another pass at a time to come. */
  wake(at: number): void {
    if (this.#wakeAt === null || at < this.#wakeAt) this.#wakeAt = at;
  }

  create(slot: number | string, revision: string): void {
    this.#actions.push({ kind: 'create', slot, revision });
  }

  /** Ends a live pod: with a drain when it runs somewhere, otherwise at once. */
  end(pod: Pod, reason: string): void {
    if (this.#done.has(pod.id)) return;
    this.#done.add(pod.id);
    this.#actions.push(pod.node === null ? { kind: 'delete', pod: pod.id, reason } : { kind: 'drain', pod: pod.id, reason });
  }

  delete(pod: Pod, reason: string): void {
    if (this.#done.has(pod.id)) return;
    this.#done.add(pod.id);
    this.#actions.push({ kind: 'delete', pod: pod.id, reason });
  }

  /** A pod on a node that is down is told to stop when its node comes back; one on a node that will not come back is forgotten. */
  abandon(pod: Pod): void {
    if (this.#done.has(pod.id)) return;
    const view = pod.node === null ? undefined : this.#input.nodes.get(pod.node);
    if (!view) return this.delete(pod, reasons.nodeGone);
    this.#done.add(pod.id);
    this.#actions.push({ kind: 'stop', pod: pod.id, reason: reasons.nodeDown(view.node.name) });
  }

  /** Attempts beyond those kept, and records of pods that were told to go on nodes that left the cluster. */
  tidy(slots: Iterable<Slot>, wanted: (slot: number | string) => boolean): void {
    for (const slot of slots) {
      for (const pod of wanted(slot.slot) ? slot.ended.slice(keptAttempts) : slot.ended) this.delete(pod, wanted(slot.slot) ? reasons.old : reasons.scaledDown);
    }
    for (const pod of this.#input.pods.toSorted(newestFirst)) {
      if (pod.desired === 'running') continue;
      if (pod.node === null) this.delete(pod, reasons.unplaced);
      else if (!this.#input.nodes.has(pod.node)) this.delete(pod, reasons.nodeGone);
    }
  }
}
