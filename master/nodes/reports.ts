/**
 * Observations on their way to the store: coalesced per pod, written in batches, kept until written. A later status of the
 * same pod replaces an earlier one that is still waiting.
 */
import type { PodStatus, StaticPod } from '../../model/pod.ts';
import { Loop } from '../../lib/loop.ts';
import type { Clock } from '../../lib/clock.ts';
import type { Log } from '../../lib/log.ts';
import { commitAll } from '../store/commit.ts';
import type { Op, Store } from '../store/port.ts';

const batch = 100;

export class Reports {
  readonly #store: Store;
  readonly #waiting = new Map<string, Op>();
  readonly #loop: Loop;

  constructor(options: { store: Store; clock: Clock; log: Log; signal: AbortSignal }) {
    this.#store = options.store;
    this.#loop = new Loop({ name: 'status writer', ...options, run: () => this.#flush() });
  }

  /** null: the pod is wholly gone from its host. */
  add(id: string, status: PodStatus | null): void {
    this.#add(status === null ? { op: 'delete', kind: 'podstatus', id } : { op: 'put', kind: 'podstatus', id, value: status });
  }

  /** Likewise, of a pod of the host's own manifests. */
  addStatic(id: string, pod: StaticPod | null): void {
    this.#add(pod === null ? { op: 'delete', kind: 'staticpods', id } : { op: 'put', kind: 'staticpods', id, value: pod });
  }

  #add(op: Op): void {
    this.#waiting.set(`${op.kind}/${op.id}`, op);
    this.#loop.mark();
  }

  async #flush(): Promise<void> {
    while (this.#waiting.size > 0) {
      const part = Array.from(this.#waiting).slice(0, batch);
      await commitAll(this.#store, part.map(([, op]) => op));
      for (const [key, op] of part) if (this.#waiting.get(key) === op) this.#waiting.delete(key);
    }
  }
}
