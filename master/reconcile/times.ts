/**
 * When things happened to pods, by the clock of the one who watches: a leader's own monotonic clock, never the nodes'. A new
 * leader starts from what it sees, so waits may begin anew, and never end early.
 */
import { isFinal, type PodStatus } from '../../model/pod.ts';

export interface PodTimes {
  /** Ready without a break since; null while it is not ready. */
  readonly readySince: number | null;
  /** Ready for the first time. */
  readonly firstReady: number | null;
  /** The first failure seen: it ended badly or was restarted. */
  readonly failedAt: number | null;
  /** Its end was seen. */
  readonly endedAt: number | null;
  /** Restarts that were seen, to tell new ones. */
  readonly restarts: number;
}

/** The times after a status was seen at `now`; the same object when nothing new happened. */
export function observePod(before: PodTimes | undefined, status: PodStatus, now: number): PodTimes {
  const ready = status.ready && !isFinal(status.phase);
  const failed = status.phase === 'failed' || status.restarts > (before?.restarts ?? (ready ? status.restarts : 0));
  const times: PodTimes = {
    readySince: ready ? (before?.readySince ?? now) : null,
    firstReady: before?.firstReady ?? (ready ? now : null),
    failedAt: before?.failedAt ?? (failed ? now : null),
    endedAt: isFinal(status.phase) ? (before?.endedAt ?? now) : null,
    restarts: status.restarts,
  };
  return before && before.readySince === times.readySince && before.firstReady === times.firstReady && before.failedAt === times.failedAt
    && before.endedAt === times.endedAt && before.restarts === times.restarts ? before : times;
}

/** Keeps the times of all pods. */
export class PodClock {
  readonly #times = new Map<string, PodTimes>();

  observe(status: PodStatus, now: number): void {
    this.#times.set(status.id, observePod(this.#times.get(status.id), status, now));
  }

  forget(pod: string): void {
    this.#times.delete(pod);
  }

  get(pod: string): PodTimes | undefined {
    return this.#times.get(pod);
  }
}
