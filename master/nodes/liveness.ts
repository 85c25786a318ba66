/**
 * Which nodes are there. A node is `ready` while this master holds its session, `unknown` from the moment the session is
 * lost, `down` when the grace is over. After a master's own start every node has the longer `startGraceMs` to come back:
 * a master that was away must not mistake its own absence for theirs.
 */
import type { Clock } from '../../lib/clock.ts';
import type { NodeState } from '../../model/node.ts';

export interface LivenessOptions {
  readonly clock: Clock;
  readonly graceMs: number;
  readonly startGraceMs: number;
}

export class Liveness {
  readonly #options: LivenessOptions;
  readonly #startedAt: number;
  readonly #lostAt = new Map<string, number>();
  readonly #connected = new Set<string>();

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

  forget(node: string): void {
    this.#connected.delete(node);
    this.#lostAt.delete(node);
  }

  state(node: string): NodeState {
    if (this.#connected.has(node)) return 'ready';
    return this.#options.clock.monotonic() < this.#deadline(node) ? 'unknown' : 'down';
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
    const lost = this.#lostAt.get(node);
    return lost === undefined ? this.#startedAt + this.#options.startGraceMs : lost + this.#options.graceMs;
  }
}
