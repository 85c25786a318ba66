/** Replicated and global services: every slot has one good pod, for ever. */
import type { Pod } from '../../model/pod.ts';
import { awaitCutOff } from './cut-off.ts';
import { Draft } from './draft.ts';
import { reasons, type ServiceInput, type ServicePlan } from './plan.ts';
import { verdictOn } from './restart.ts';
import { configOf, keepsData, replaceSome, resolveSurge, revisionAfter, startsFirst, type Candidate } from './rolling.ts';
import { scaleTo } from './scale.ts';
import { emptySlot, evict, isReady, misplaced, sortIntoSlots, type Slot } from './slots.ts';
import { canCreate, globalSlots } from './targets.ts';
import { judgeUpdate } from './update.ts';

export function planService(input: ServiceInput): ServicePlan {
  const draft = new Draft(input);
  const all = evict(sortIntoSlots(input), input, (pod, reason) => draft.end(pod, reason));
  awaitCutOff(input.pods, input, draft);
  const wanted = slotsOf(all, input, draft);
  const outcome = fillSlots(wanted, input, draft);
  const numbers = new Set(wanted.map((slot) => slot.slot));
  draft.tidy(all.values(), (slot) => numbers.has(slot));

  const verdict = judgeUpdate(outcome, input);
  const { state, message } = verdict.update;
  const update = state === input.update.state && message === input.update.message ? null : verdict.update;
  if (verdict.rollback) return { actions: [], update, rollback: verdict.rollback, wakeAt: null };
  // A pass that begins or pauses an update already acts by it.
  if (state !== input.update.state) {
    const plan = planService({ ...input, update: verdict.update });
    return { ...plan, update: plan.update ?? update };
  }
  if (verdict.wakeAt !== null) draft.wake(verdict.wakeAt);
  return { actions: draft.actions, update, rollback: null, wakeAt: draft.wakeAt };
}

/** The slots the service is to have; pods in others are ended. */
function slotsOf(all: ReadonlyMap<number | string, Slot>, input: ServiceInput, draft: Draft): readonly Slot[] {
  const { mode } = input.service.spec;
  const numbers: readonly (number | string)[] = mode.kind === 'replicated' ? scaleTo(mode.replicas, all, input) : globalSlots(input);
  const keep = new Set(numbers);
  for (const slot of all.values()) {
    if (keep.has(slot.slot)) continue;
    for (const pod of slot.live) draft.end(pod, (mode.kind === 'global' ? misplaced(pod, input) : null) ?? reasons.scaledDown);
    for (const pod of slot.lost) draft.abandon(pod);
  }
  return numbers.map((number) => all.get(number) ?? emptySlot(number));
}

interface Outcome {
  /** Slots that something can be done about: not those of a global service on nodes that are away. */
  readonly slots: readonly Slot[];
  readonly settled: ReadonlySet<number | string>;
  readonly pending: boolean;
}

function fillSlots(wanted: readonly Slot[], input: ServiceInput, draft: Draft): Outcome {
  const candidates: Candidate[] = [];
  const slots: Slot[] = [];
  const settled = new Set<number | string>();
  const busy = { slots: 0, starting: 0 };
  let pending = false;
  for (const slot of wanted) {
    const { good, bad } = resolveSurge(slot, input, draft);
    if (good || bad) for (const pod of slot.lost) draft.abandon(pod);
    // A global pod's successor can only be where it is: on a node that takes none now, the old one stays.
    const replaceable = canCreate(slot.slot, input) ? 'bad' : 'away';
    const state = good ? stateOf(good, bad, input, draft) : bad ? replaceable : fillEmpty(slot, input, draft);
    if (state !== 'away') slots.push(slot);
    switch (state) {
      case 'settled': settled.add(slot.slot); break;
      case 'away':
      case 'ready': break;
      case 'bad':
        pending = true;
        if (bad) candidates.push({ slot: slot.slot, pod: bad });
        break;
      case 'starting':
        busy.starting++;
        busy.slots++;
        pending ||= !good;
        break;
      case 'broken': busy.slots++;
    }
  }
  replaceSome(candidates, busy, input, draft);
  return { slots, settled, pending };
}

/** Of a slot with a good pod. `broken`: it ran or tried to, and is not ready now. */
function stateOf(good: Pod, bad: Pod | undefined, input: ServiceInput, draft: Draft): 'ready' | 'starting' | 'broken' {
  const times = input.times(good.id);
  if (isReady(good, input)) {
    const until = (times?.readySince ?? -Infinity) + configOf(input).delayMs;
    const updating = input.update.state === 'updating' || input.update.state === 'rolling-back';
    if (!updating || until <= input.now) return 'ready';
    draft.wake(until);
    return 'starting';
  }
  const tried = times !== undefined && (times.failedAt !== null || times.firstReady !== null);
  return tried && bad === undefined ? 'broken' : 'starting';
}

/** A slot with no live pod. `away`: nothing can be done about it now, and nobody waits for it. */
function fillEmpty(slot: Slot, input: ServiceInput, draft: Draft): 'settled' | 'starting' | 'broken' | 'away' {
  const verdict = verdictOn(slot, input, false);
  if (verdict.kind === 'settled') return 'settled';
  // It stops by itself, and is not replaced before. Should its node come back in time, it runs on.
  const replaceable = canCreate(slot.slot, input);
  if (replaceable && awaitCutOff(slot.lost, input, draft)) return 'starting';
  for (const pod of slot.lost) draft.abandon(pod);
  if (!replaceable) return 'away';
  // Stop first: the one before must be gone. One that left because there were too many was not in this pod's place, but has its data.
  if (!startsFirst(input) && slot.leaving.some((pod) => pod.reason !== reasons.scaledDown || keepsData(input))) return 'starting';
  if (verdict.kind === 'wait') {
    draft.wake(verdict.until);
    return 'broken';
  }
  draft.create(slot.slot, revisionAfter([...slot.lost, ...slot.leaving, ...slot.ended][0], input));
  return 'starting';
}
