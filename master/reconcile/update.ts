/** The state of a rolling update, from the pods: it begins when a pod of another revision runs, and ends when none does. */
import { podName, type Pod } from '../../model/pod.ts';
import type { Service, UpdateStatus } from '../../model/service.ts';
import type { ServiceInput } from './plan.ts';
import { configOf, isHeld } from './rolling.ts';
import { isCurrent, isReady, type Slot } from './slots.ts';

export interface UpdateView {
  /** Slots the service has. */
  readonly slots: readonly Slot[];
  /** Slots that have nothing more to do, by their number. */
  readonly settled: ReadonlySet<number | string>;
  /** Something is still to be replaced or made. */
  readonly pending: boolean;
}

export interface UpdateVerdict {
  readonly update: UpdateStatus;
  readonly rollback: Service | null;
  /** When the watch over the last pods ends. */
  readonly wakeAt: number | null;
}

export function judgeUpdate(view: UpdateView, input: ServiceInput): UpdateVerdict {
  const { update } = input;
  const stale = view.slots.some((slot) => slot.live.some((pod) => !isCurrent(pod, input)));
  const active = update.state === 'updating' || update.state === 'rolling-back';
  if (update.state === 'paused') return keep(update);
  if (isHeld(input)) return keep({ state: active ? update.state : 'updating', message: input.waitsFor?.join(', ') ?? '' });
  if (!active) return stale ? progress({ state: 'updating', message: '' }, view, input) : keep(update);

  const failed = view.slots.filter((slot) => failedIn(slot, input) !== undefined);
  const config = configOf(input);
  if (failed.length > 0 && failed.length / Math.max(1, view.slots.length) > config.maxFailureRatio && config.failureAction !== 'continue') {
    const [slot] = failed;
    const pod = slot && failedIn(slot, input);
    return fail(pod ? `${podName(input.service.id, pod.slot)} failed${detail(pod, input)}` : 'pods failed', input);
  }
  return progress(update, view, input);
}

function keep(update: UpdateStatus): UpdateVerdict {
  return { update, rollback: null, wakeAt: null };
}

function progress(update: UpdateStatus, view: UpdateView, input: ServiceInput): UpdateVerdict {
  const finished = view.slots.filter((slot) => view.settled.has(slot.slot) || slot.live.some((pod) => isCurrent(pod, input) && isReady(pod, input)));
  const clean = finished.filter((slot) => !slot.live.some((pod) => !isCurrent(pod, input)));
  if (clean.length < view.slots.length || view.pending) {
    const waiting = view.slots.find((slot) => slot.live.some((pod) => isCurrent(pod, input) && !isReady(pod, input)));
    const message = `${clean.length} of ${view.slots.length} updated${waiting ? `, waiting for ${podName(input.service.id, waiting.slot)}` : ''}`;
    return { update: { state: update.state, message }, rollback: null, wakeAt: null };
  }
  const since = view.slots.flatMap((slot) => slot.live.map((pod) => input.times(pod.id)?.readySince ?? -Infinity));
  const until = Math.max(-Infinity, ...since) + configOf(input).monitorMs;
  if (until > input.now) {
    return { update: { state: update.state, message: `${clean.length} of ${view.slots.length} updated, watching` }, rollback: null, wakeAt: until };
  }
  const state = update.state === 'rolling-back' ? 'rolled-back' : 'completed';
  return keep({ state, message: `${clean.length} of ${view.slots.length} updated` });
}

/** The pod of the new revision that failed in the slot while it was watched, and has not been well for as long since. */
function failedIn(slot: Slot, input: ServiceInput): Pod | undefined {
  return [...slot.live, ...slot.ended].find((pod) => {
    if (!isCurrent(pod, input)) return false;
    const times = input.times(pod.id);
    if (times === undefined || times.failedAt === null) return false;
    const { monitorMs } = configOf(input);
    if (times.readySince !== null && input.now - times.readySince >= Math.max(1, monitorMs)) return false;
    return times.firstReady === null || times.failedAt - times.firstReady < monitorMs;
  });
}

function detail(pod: Pod, input: ServiceInput): string {
  const message = input.statuses.get(pod.id)?.message ?? '';
  return message === '' ? '' : `: ${message}`;
}

function fail(message: string, input: ServiceInput): UpdateVerdict {
  const { service, update } = input;
  const before = service.previous === null ? undefined : input.revisions.get(service.previous);
  const wanted = configOf(input).failureAction === 'rollback' && update.state === 'updating';
  if (!wanted || before === undefined || service.previous === null) {
    return keep({ state: 'paused', message: wanted ? `${message}; there is no earlier revision to go back to` : message });
  }
  return {
    update: { state: 'rolling-back', message },
    // How many there are is not part of what is undone.
    rollback: { ...service, spec: { ...before, mode: service.spec.mode }, revision: service.previous, previous: service.revision },
    wakeAt: null,
  };
}
