/** Limits of containers that run follow the leader's word in place. */
import { canonical } from '../../../model/canonical.ts';
import type { ContainerSpec } from '../../../model/spec.ts';
import { running, specsOf } from './containers.ts';
import type { Progress } from './progress.ts';
import type { Action, Plan, StepInput } from './types.ts';

/** What of a spec can be changed while it runs, as a text to compare. */
export function limitsOf(spec: Pick<ContainerSpec, 'limits' | 'blkio'>): string {
  return canonical([spec.limits, spec.blkio ?? null]);
}

/** A container of an agent before this one has no note of its limits: it keeps them until its next attempt. */
export function followLimits(input: StepInput, plan: Plan, so: Pick<Progress, 'containers' | 'timers'>): Progress {
  const blocked = so.timers.blocked !== null && input.now < so.timers.blocked.until;
  const actions = specsOf(plan).flatMap((spec): Action[] => {
    const container = so.containers[spec.name];
    if (blocked || container?.limits === undefined || container.limits === limitsOf(spec) || !running(input, spec.name, container)) return [];
    return [{ kind: 'limit', container: spec.name, attempt: container.attempt }];
  });
  return { ...so, actions, wakeIn: undefined };
}
