/**
 * Jobs: each slot runs to success once per revision. Slots are filled from the lowest, `concurrency` at a time; a new revision
 * is a new run of the whole job.
 */
import { awaitCutOff } from './cut-off.ts';
import { Draft } from './draft.ts';
import { reasons, type ServiceInput, type ServicePlan } from './plan.ts';
import { verdictOn } from './restart.ts';
import { isHeld } from './rolling.ts';
import { emptySlot, evict, isCurrent, misplaced, sortIntoSlots } from './slots.ts';
import { canCreate, globalSlots } from './targets.ts';

export function planJob(input: ServiceInput): ServicePlan {
  const { mode } = input.service.spec;
  const draft = new Draft(input);
  const all = evict(sortIntoSlots(input), input, (pod, reason) => draft.end(pod, reason));
  if (isHeld(input)) return { actions: draft.actions, update: null, rollback: null, wakeAt: null };
  const numbers: readonly (number | string)[] = mode.kind === 'replicated-job' ? Array.from({ length: mode.completions }, (_, index) => index + 1) : globalSlots(input);
  const wanted = new Set(numbers);
  const limit = mode.kind === 'replicated-job' && mode.concurrency > 0 ? mode.concurrency : numbers.length;

  awaitCutOff(input.pods, input, draft);
  let running = 0;
  const empty: (number | string)[] = [];
  for (const slot of all.values()) {
    if (wanted.has(slot.slot)) continue;
    for (const pod of slot.live) draft.end(pod, reasons.scaledDown);
    for (const pod of slot.lost) draft.abandon(pod);
  }
  for (const number of numbers) {
    const slot = all.get(number) ?? emptySlot(number);
    const verdict = verdictOn(slot, input, true);
    const [keeper, ...others] = slot.live.filter((pod) => isCurrent(pod, input) && misplaced(pod, input) === null);
    for (const pod of others) draft.end(pod, reasons.duplicate);
    for (const pod of slot.live) if (pod !== keeper) draft.end(pod, misplaced(pod, input) ?? reasons.updated);
    const cutOff = awaitCutOff(slot.lost, input, draft);
    if (keeper || (verdict.kind !== 'settled' && !cutOff)) for (const pod of slot.lost) draft.abandon(pod);
    // A run that is being stopped may still write somewhere: its successor waits for its end.
    if (keeper || slot.leaving.length > 0 || cutOff || slot.live.some((pod) => pod.node !== null)) running++;
    else if (verdict.kind === 'wait') draft.wake(verdict.until);
    else if (verdict.kind === 'create' && canCreate(number, input)) empty.push(number);
  }
  for (const number of empty.slice(0, Math.max(0, limit - running))) draft.create(number, input.service.revision);
  draft.tidy(all.values(), (slot) => wanted.has(slot));
  const done = input.update.state === 'updating' || input.update.state === 'rolling-back';
  return { actions: draft.actions, update: done ? { state: 'completed', message: 'a new run' } : null, rollback: null, wakeAt: draft.wakeAt };
}
