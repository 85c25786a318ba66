/** What a pod that shall run needs next: preparation, containers in their order, starts. */
import { localOf, policyOf, specOf } from './containers.ts';
import { limitsOf } from './limits.ts';
import { currentInit, waitsFor } from './order.ts';
import { least, type Progress } from './progress.ts';
import { delayLeft } from './restart.ts';
import { isHeld } from './stop.ts';
import { type Action, containerId, type ContainerLocal, type Plan, type StepInput, type Timers } from './types.ts';

/** One round. At most one create at a time: the containers of a pod share a shim, and its start must not race with itself. */
export function advance(input: StepInput, plan: Plan, before: Pick<Progress, 'containers' | 'timers'>): Progress {
  const { now, podId, observed } = input;
  const containers = { ...before.containers };
  let timers = before.timers;
  const actions: Action[] = [];
  const wakes: number[] = [];
  if (isHeld(input, plan)) return { containers, timers, actions, wakeIn: undefined };
  const blocked = timers.blocked !== null && now < timers.blocked.until;
  if (blocked && timers.blocked) wakes.push(timers.blocked.until - now);

  let next: string | undefined;
  const init = currentInit(plan, { containers });
  for (const spec of init ? [init] : plan.containers) {
    const { name } = spec;
    const container = localOf({ containers }, name);
    if (container.state === 'done') continue;
    if (container.state === 'waiting') {
      if (waitsFor(input, plan, { containers }, spec) !== null) continue;
      const due = timers.retryAt[name] ?? now + delayLeft(policyOf(plan, name), container, input.wall);
      timers = { ...timers, retryAt: { ...timers.retryAt, [name]: due } };
      if (due > now) wakes.push(due - now);
      else next ??= name;
      continue;
    }
    const found = observed.find((o) => o.id === containerId(podId, name, container.attempt));
    if (container.started && found?.state !== 'created') continue;
    if (found?.state !== 'created') next ??= name;
    else if (!blocked) {
      containers[name] = { ...container, started: true, startedAt: input.wall };
      timers = { ...timers, runningSince: { ...timers.runningSince, [name]: now } };
      actions.push({ kind: 'start', container: name, attempt: container.attempt });
    }
  }
  if (next !== undefined && !blocked) {
    const needed = preparations(input, plan, timers);
    actions.push(...needed.actions);
    const container = localOf({ containers }, next);
    if (needed.complete) {
      const spec = specOf(plan, next);
      const allotted: ContainerLocal = {
        ...(container.state === 'live' ? container : { ...container, state: 'live', attempt: container.attempt + 1, started: false }),
        ...(spec ? { limits: limitsOf(spec) } : {}),
      };
      const { [next]: _due, ...retryAt } = timers.retryAt;
      timers = { ...timers, retryAt };
      containers[next] = allotted;
      actions.push({ kind: 'create', container: next, attempt: allotted.attempt });
    }
  }
  return { containers, timers, actions, wakeIn: least(wakes) };
}

/** Everything of the pod is prepared together, what its init containers need and what comes after them. */
function preparations(input: StepInput, plan: Plan, timers: Timers): { readonly actions: readonly Action[]; readonly complete: boolean } {
  const actions: Action[] = [];
  const attach = plan.networkMode !== 'host' && !timers.attached;
  if (!timers.prepared) actions.push({ kind: 'prepare' });
  if (attach && input.networkReady) actions.push({ kind: 'attach' });
  return { actions, complete: timers.prepared && !attach };
}
