/** What a pod that shall run needs next: preparation, containers, starts, health checks. */
import { effectiveCheck, healthOf, newProbe } from './health.ts';
import { restartDelay } from './restart.ts';
import { endContainer, stopSignalOf } from './stop.ts';
import { type Action, type ContainerLocal, containerId, type Observed, type Plan, type StepInput, type Timers } from './types.ts';

export interface Progress {
  readonly containers: Readonly<Record<string, ContainerLocal>>;
  readonly timers: Timers;
  readonly actions: readonly Action[];
  readonly wakeIn: number | undefined;
}

/** One round. At most one create at a time: the containers of a pod share a shim, and its start must not race with itself. */
export function advance(input: StepInput, plan: Plan, before: Pick<Progress, 'containers' | 'timers'>): Progress {
  const { now, podId, observed } = input;
  const containers = { ...before.containers };
  let timers = before.timers;
  const actions: Action[] = [];
  const wakes: number[] = [];
  const blocked = timers.blocked !== null && now < timers.blocked.until;
  if (blocked && timers.blocked) wakes.push(timers.blocked.until - now);

  let next: string | undefined;
  for (const { name } of plan.containers) {
    const container = containers[name];
    if (!container || container.state === 'done') continue;
    if (container.state === 'waiting') {
      const due = timers.retryAt[name] ?? now + restartDelay(plan.restart, container.failures);
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
    const container = containers[next];
    if (needed.complete && container) {
      const allotted = container.state === 'live' ? container : { ...container, state: 'live' as const, attempt: container.attempt + 1, started: false };
      const { [next]: _due, ...retryAt } = timers.retryAt;
      timers = { ...timers, retryAt };
      containers[next] = allotted;
      actions.push({ kind: 'create', container: next, attempt: allotted.attempt });
    }
  }
  return { containers, timers, actions, wakeIn: least(wakes) };
}

function preparations(input: StepInput, plan: Plan, timers: Timers): { readonly actions: readonly Action[]; readonly complete: boolean } {
  const actions: Action[] = [];
  const attach = plan.networkMode !== 'host' && !timers.attached;
  if (!timers.prepared) actions.push({ kind: 'prepare' });
  if (attach && input.networkReady) actions.push({ kind: 'attach' });
  return { actions, complete: timers.prepared && !attach };
}

/** Health checks of what runs; an unhealthy container is ended, and its restart policy decides what follows. */
export function checkHealth(input: StepInput, plan: Plan, before: Pick<Progress, 'containers' | 'timers'>): Progress {
  const containers = { ...before.containers };
  let timers = before.timers;
  const actions: Action[] = [];
  const wakes: number[] = [];
  for (const spec of plan.containers) {
    const container = containers[spec.name];
    const found = container && running(input, spec.name, container);
    if (!container || !found) continue;
    const check = effectiveCheck(spec.healthcheck, container.image?.healthcheck);
    if (!check) continue;
    const known = timers.probes[spec.name];
    let probe = known?.attempt === container.attempt ? known : newProbe(check, container.attempt, input.now);
    const health = healthOf(probe, check, container.health);
    containers[spec.name] = { ...container, health };
    if (health === 'unhealthy') {
      const ended = endContainer(found, stopSignalOf(plan, containers, spec.name), plan.stopGraceMs, timers, input.now);
      timers = ended.timers;
      actions.push(...ended.actions);
      if (ended.wakeIn !== undefined) wakes.push(ended.wakeIn);
    } else if (!probe.running && probe.due <= input.now) {
      probe = { ...probe, running: true };
      actions.push({ kind: 'probe', container: spec.name, attempt: container.attempt, check });
    } else if (!probe.running) wakes.push(probe.due - input.now);
    timers = { ...timers, probes: { ...timers.probes, [spec.name]: probe } };
  }
  return { containers, timers, actions, wakeIn: least(wakes) };
}

/** The container's live attempt as the runtime sees it, if it runs. */
export function running(input: StepInput, name: string, container: ContainerLocal): Observed | undefined {
  if (container.state !== 'live') return undefined;
  const id = containerId(input.podId, name, container.attempt);
  return input.observed.find((o) => o.id === id && (o.state === 'running' || (o.state === 'unknown' && o.pid > 0)));
}

export function least(times: readonly (number | undefined)[]): number | undefined {
  const known = times.filter((time) => time !== undefined);
  return known.length === 0 ? undefined : Math.max(0, Math.min(...known));
}
