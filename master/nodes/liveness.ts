/**
 * Which nodes are there. A node is `ready` while this master holds its session, `unknown` from the moment the session is
 * lost, `down` when the grace is over. After a master's own start every node has the longer `startGraceMs` to come back:
 * a master that was away must not mistake its own absence for theirs.
 *
 * A host whose proxy still speaks to us is not dead, only its agent is: as long as there is such a witness the node has
 * `witnessedGraceMs`, since its pods run and serve.
 */
import type { Clock } from '../../lib/clock.ts';
import type { NodeState } from '../../model/node.ts';

export interface LivenessOptions {
  readonly clock: Clock;
  readonly graceMs: number;
  readonly startGraceMs: number;
  readonly witnessedGraceMs: number;
}

export class Liveness {
  readonly #options: LivenessOptions;
  readonly #startedAt: number;
  readonly #lostAt = new Map<string, number>();
  readonly #connected = new Set<string>();
  /** Streams other than the session, by node. */
  readonly #witnesses = new Map<string, number>();
  readonly #witnessLostAt = new Map<string, number>();

  constructor(options: LivenessOptions) {
    this.#options = options;
    this.#startedAt = options.clock.monotonic();
  }

  connected(node: string): void {
    this.#connected.add(node);
    this.#lostAt.delete(node);
  }

  lost(node: string): void {
    if (this.#connected.delete(node)) this.#lostAt.set(node, this.#options.clock.monotonic());
  }

  /** Another stream of the host began or ended. */
  witness(node: string, began: boolean): void {
    const left = (this.#witnesses.get(node) ?? 0) + (began ? 1 : -1);
    if (left > 0) this.#witnesses.set(node, left);
    else {
      this.#witnesses.delete(node);
      this.#witnessLostAt.set(node, this.#options.clock.monotonic());
    }
  }

  forget(node: string): void {
    this.#connected.delete(node);
    this.#lostAt.delete(node);
    this.#witnessLostAt.delete(node);
  }

  state(node: string): NodeState {
    if (this.#connected.has(node)) return 'ready';
    return this.#options.clock.monotonic() < this.#deadline(node) ? 'unknown' : 'down';
  }

  /**
   * When it was last known to be there, or may have been for all this master knows: since its own start, if it has not seen it. Null
   * while it is.
   */
  lostAt(node: string): number | null {
    return this.#connected.has(node) ? null : (this.#lostAt.get(node) ?? this.#startedAt);
  }

  /** Milliseconds until the next of these nodes goes down; undefined when none is waiting for it. */
  nextChange(nodes: Iterable<string>): number | undefined {
    const now = this.#options.clock.monotonic();
    let next: number | undefined;
    for (const node of nodes) {
      if (this.#connected.has(node)) continue;
      const left = this.#deadline(node) - now;
      if (left > 0 && (next === undefined || left < next)) next = left;
    }
    return next;
  }

  #deadline(node: string): number {
    const { graceMs, startGraceMs, witnessedGraceMs } = this.#options;
    const lost = this.#lostAt.get(node);
    const last = lost === undefined ? this.#startedAt + witnessedGraceMs : lost + witnessedGraceMs;
    if (this.#witnesses.has(node)) return last;
    const plain = lost === undefined ? this.#startedAt + startGraceMs : lost + graceMs;
    return Math.min(last, Math.max(plain, (this.#witnessLostAt.get(node) ?? 0) + graceMs));
  }
}
