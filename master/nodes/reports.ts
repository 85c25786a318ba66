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
  /** Written, and at which revision: until that is seen the world says what was before. */
  readonly #written = new Map<string, number>();
  readonly #seen: () => number;
  readonly #loop: Loop;

  /** `seen` says up to which revision the world is true. */
  constructor(options: { store: Store; clock: Clock; log: Log; signal: AbortSignal; seen: () => number }) {
    this.#store = options.store;
    this.#seen = options.seen;
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

  /** Whether something told of it is not in the world yet: a word that is the same as the world's may be news then. */
  isUnsettled(kind: 'podstatus' | 'staticpods', id: string): boolean {
    const key = `${kind}/${id}`;
    return this.#waiting.has(key) || (this.#written.get(key) ?? 0) > this.#seen();
  }

  #add(op: Op): void {
    this.#waiting.set(`${op.kind}/${op.id}`, op);
    this.#loop.mark();
  }

  async #flush(): Promise<void> {
    while (this.#waiting.size > 0) {
      const part = Array.from(this.#waiting).slice(0, batch);
      const { revision } = await commitAll(this.#store, part.map(([, op]) => op));
      for (const [key, at] of this.#written) if (at <= this.#seen()) this.#written.delete(key);
      for (const [key, op] of part) {
        this.#written.set(key, revision);
        if (this.#waiting.get(key) === op) this.#waiting.delete(key);
      }
    }
  }
}
