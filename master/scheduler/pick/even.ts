/**
 * The spread strategy: the node with the fewest pods of this service (of this revision of it), then the fewest pods, then the least load.
 *
 * A `Ranking` orders nodes by all but the first; groups with the same wishes share it for the round, so a service of one pod
 * among thousands costs a few steps in a heap and no look at all nodes. `Even` adds the first: it takes nodes that
 * run pods of its service off the shared heap into layers by their count, uses up one layer after the other and gives all back.
 */
import type { NodeTest } from '../filters/filter.ts';
import type { Room } from '../room.ts';
import { Heap } from './heap.ts';
import type { Picker } from './picker.ts';

export class Ranking {
  readonly heap: Heap<number>;
  readonly less: (a: number, b: number) => boolean;
  readonly #room: Room;
  /** The keys by which the heap is ordered now. The room's only grow in a round, so an old key is found out at the top. */
  readonly #pods: Int32Array;
  readonly #load: Float64Array;

  constructor(room: Room, nodes: readonly number[]) {
    this.#room = room;
    const pods = new Int32Array(room.size);
    const load = new Float64Array(room.size);
    const order = room.state.order();
    this.#pods = pods;
    this.#load = load;
    for (const node of nodes) this.refresh(node);
    this.less = (a, b) => {
      if (pods[a] !== pods[b]) return pods[a]! < pods[b]!;
      if (load[a] !== load[b]) return load[a]! < load[b]!;
      return order[a]! < order[b]!;
    };
    this.heap = new Heap(this.less, [...nodes]);
  }

  /** Takes the node's key from the room; true when it was an old one. */
  refresh(node: number): boolean {
    const pods = this.#room.podCount[node]!;
    const load = this.#room.load(node);
    if (this.#pods[node] === pods && this.#load[node] === load) return false;
    this.#pods[node] = pods;
    this.#load[node] = load;
    return true;
  }
}

export class Even implements Picker {
  readonly #ranking: Ranking;
  readonly #counts: ReadonlyMap<number, number>;
  readonly #fitsRoom: NodeTest;
  readonly #fitsService: NodeTest;
  readonly #layers = new Map<number, Heap<number>>();
  /** Nodes that this service alone may not use. */
  readonly #aside: number[] = [];
  #level = 0;
  #heap: Heap<number>;

  constructor(ranking: Ranking, counts: ReadonlyMap<number, number>, fitsRoom: NodeTest, fitsService: NodeTest) {
    this.#ranking = ranking;
    this.#counts = counts;
    this.#fitsRoom = fitsRoom;
    this.#fitsService = fitsService;
    this.#heap = ranking.heap;
  }

  pick(): number {
    for (;;) {
      const node = this.#heap.top;
      if (node === undefined) {
        if (!this.#nextLayer()) return -1;
      } else if (!this.#fitsRoom(node)) {
        // Full, for every group of this ranking and for the rest of the round.
        this.#heap.pop();
      } else if (this.#ranking.refresh(node)) {
        this.#heap.sink();
      } else if (!this.#fitsService(node)) {
        this.#heap.pop();
        this.#aside.push(node);
      } else if (this.#count(node) > this.#level) {
        this.#heap.pop();
        this.#shelve(node);
      } else return node;
    }
  }

  placed(node: number): void {
    this.#heap.pop();
    this.#ranking.refresh(node);
    this.#shelve(node);
  }

  /** Puts back what was taken off the shared heap. */
  finish(): void {
    for (const layer of this.#layers.values()) for (const node of layer.items) this.#ranking.heap.push(node);
    for (const node of this.#aside) this.#ranking.heap.push(node);
  }

  #count(node: number): number {
    return this.#counts.get(node) ?? 0;
  }

  #shelve(node: number): void {
    const count = this.#count(node);
    const layer = this.#layers.get(count);
    if (layer) layer.push(node);
    else this.#layers.set(count, new Heap(this.#ranking.less, [node]));
  }

  #nextLayer(): boolean {
    this.#layers.delete(this.#level);
    if (this.#layers.size === 0) return false;
    this.#level = Math.min(...this.#layers.keys());
    this.#heap = this.#layers.get(this.#level)!;
    return true;
  }
}
