/**
 * One step of a pod's life, decided purely: what the leader wants, what the runtime says and what the agent remembers go in,
 * the next actions come out. Called again after every action and every event until nothing is left to do.
 *
 * Two promises hang on the order of things, and the caller keeps them by writing `local` before it acts: a container is
 * created at most once per attempt, and nothing is created or started once `stop` is set.
 */
import { isFinal } from '../../../model/pod.ts';
import { absorb } from './absorb.ts';
import { runChecks } from './checks.ts';
import { endContainers } from './ending.ts';
import { runHooks } from './hooks.ts';
import { followLimits } from './limits.ts';
import { inTurn, least } from './progress.ts';
import { advance } from './run.ts';
import { isReady, phaseOf, statusOf } from './status.ts';
import { leftAlone, stopOf } from './stop.ts';
import type { Action, Plan, PodLocal, StepInput, StepResult, Timers } from './types.ts';

export function step(input: StepInput): StepResult {
  if (!input.assignment && !input.removed) return waitForWord(input);
  const plan: Plan = input.assignment?.template ?? unknownPlan;
  const absorbed = absorb(input, plan);
  const stop = stopOf(input, plan, absorbed.containers);
  const based: PodLocal = { ...input.local, containers: absorbed.containers, stop, bootId: input.bootId };

  const progress = inTurn(
    absorbed,
    (so) => endContainers(input, plan, { ...based, containers: so.containers }, so.timers),
    ...(stop ? [] : [runHooks, runChecks, advance, followLimits].map((part) => (so: Parameters<typeof advance>[2]) => part(input, plan, so))),
  );
  const moved: PodLocal = { ...based, containers: progress.containers };
  const phase = phaseOf(input, plan, moved);
  const ready = isReady(input, plan, moved);
  const since = phase === input.local.phase && ready === input.local.ready ? moved.since : input.wall;
  const local: PodLocal = { ...moved, phase, ready, since };
  const clearing = stop ? clear(input, plan, local, progress.timers) : [];
  return {
    local,
    timers: progress.timers,
    actions: [...progress.actions, ...clearing],
    wakeIn: stop ? progress.wakeIn : least([progress.wakeIn, leftAlone(input, plan)]),
    status: statusOf(input, plan, local, progress.timers),
  };
}

/** What remains of a pod whose containers are gone. */
function clear(input: StepInput, plan: Plan, local: PodLocal, timers: Timers): readonly Action[] {
  if (input.observed.length > 0 || (timers.blocked?.ends && input.now < timers.blocked.until)) return [];
  if (!local.released) return [...(plan.networkMode === 'host' ? [] : [{ kind: 'detach' } as const]), { kind: 'release' }];
  return input.removed && isFinal(local.phase) ? [{ kind: 'forget' }] : [];
}

/** Containers without a record: they are left alone until a master has said whose they are. */
function waitForWord(input: StepInput): StepResult {
  const { local, timers, podId, node, observed } = input;
  const ready = observed.some((o) => o.state === 'running');
  const status = { id: podId, node, phase: local.phase, ready, message: 'found without a record', restarts: 0, since: local.since, containers: [] };
  return { local, timers, actions: [], wakeIn: undefined, status };
}

const unknownPlan: Plan = { containers: [], restart: { condition: 'none', delayMs: 0, maxAttempts: 0, windowMs: 0 }, stopGraceMs: 10_000, networkMode: 'pod' };
