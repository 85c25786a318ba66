/** Which of a node's named resources each pod gets. The scheduler has counted them already: there are enough. */
import { takeNames, type GenericAmounts, type GenericNames } from '../../model/generic.ts';
import { isFinal } from '../../model/pod.ts';
import { allPods, podStatusOf } from '../pods.ts';
import type { Maps } from '../world.ts';

/** For one round of placing: what it gave is taken. */
export class NameGiver {
  readonly #maps: Pick<Maps, 'pods' | 'podstatus' | 'staticpods' | 'nodestatus'>;
  /** By node; made when the first pod asks. */
  #held: Map<string, GenericNames[]> | undefined;

  constructor(maps: Pick<Maps, 'pods' | 'podstatus' | 'staticpods' | 'nodestatus'>) {
    this.#maps = maps;
  }

  /** Undefined when nothing that is wanted has names there. */
  give(node: string, wanted: GenericAmounts | undefined): GenericNames | undefined {
    const capacity = this.#maps.nodestatus.get(node)?.value.capacity.generic;
    if (wanted === undefined || capacity === undefined) return undefined;
    const held = this.#holders(node);
    const names = takeNames(capacity, wanted, held);
    if (names === null || Object.keys(names).length === 0) return undefined;
    held.push(names);
    return names;
  }

  #holders(node: string): GenericNames[] {
    if (!this.#held) {
      this.#held = new Map();
      for (const pod of allPods(this.#maps)) {
        // A pod that is being stopped has its own until it has ended.
        const status = podStatusOf(this.#maps, pod.id);
        if (pod.node !== null && pod.generic && !(status && isFinal(status.phase))) this.#of(pod.node).push(pod.generic);
      }
    }
    return this.#of(node);
  }

  #of(node: string): GenericNames[] {
    const known = this.#held?.get(node);
    if (known) return known;
    const fresh: GenericNames[] = [];
    this.#held?.set(node, fresh);
    return fresh;
  }
}
