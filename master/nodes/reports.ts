/**
 * Observations on their way to the store: coalesced per pod, written in batches, kept until written. A later status of the
 * same pod replaces an earlier one that is still waiting.
 */
import type { PodStatus } from '../../model/pod.ts';
import { Loop } from '../../lib/loop.ts';
import type { Clock } from '../../lib/clock.ts';
import type { Log } from '../../lib/log.ts';
import { commitAll } from '../store/commit.ts';
import type { Op, Store } from '../store/port.ts';

const batch = 100;

export class Reports {
  readonly #store: Store;
  readonly #waiting = new Map<string, PodStatus | null>();
  readonly #loop: Loop;

  constructor(options: { store: Store; clock: Clock; log: Log; signal: AbortSignal }) {
    this.#store = options.store;
    this.#loop = new Loop({ name: 'status writer', ...options, run: () => this.#flush() });
  }

  /** null: the pod is wholly gone from its host. */
  add(id: string, status: PodStatus | null): void {
    this.#waiting.set(id, status);
    this.#loop.mark();
  }

  async #flush(): Promise<void> {
    while (this.#waiting.size > 0) {
      const part = Array.from(this.#waiting).slice(0, batch);
      const ops = part.map(([id, value]): Op => (value === null ? { op: 'delete', kind: 'podstatus', id } : { op: 'put', kind: 'podstatus', id, value }));
      await commitAll(this.#store, ops);
      for (const [id, value] of part) if (this.#waiting.get(id) === value) this.#waiting.delete(id);
    }
  }
}
