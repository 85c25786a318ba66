/**
 * How long what a master waits for may wait for company. One pod that begins or ends is told of at once; of fifty that begin together,
 * each told alone would cost every master, every proxy and whoever watches as much as all of them told together.
 */
import { isFinal, type PodStatus } from '../model/pod.ts';

/** Fewer on their way than this are no burst. */
const few = 4;
/** One that has not moved for so long waits for something else: an image, its backoff, its health check. Milliseconds. */
const freshMs = 3000;

export class Pace {
  /** Pods on their way up or down, by when they last moved, the latest last. */
  readonly #underWay = new Map<string, number>();

  /** `now`: monotonic milliseconds. */
  moved(status: PodStatus, now: number): void {
    this.#underWay.delete(status.id);
    if (status.phase !== 'running' && !isFinal(status.phase)) this.#underWay.set(status.id, now);
  }

  gone(podId: string): void {
    this.#underWay.delete(podId);
  }

  /** More news of the same kind is about to come. */
  burst(now: number): boolean {
    let fresh = 0;
    for (const at of [...this.#underWay.values()].slice(-few)) if (now - at < freshMs) fresh++;
    return fresh === few;
  }
}
