/** The one line that says why a pod is as it is: what failed, what it waits for. Empty when there is nothing to say. */
import { hasFailed, isInit, localOf, policyOf, running, specsOf } from './containers.ts';
import { currentInit, waitsFor } from './order.ts';
import { restartDelay } from './restart.ts';
import { isHeld } from './stop.ts';
import type { Plan, PodLocal, StepInput, Timers } from './types.ts';

export function messageOf(input: StepInput, plan: Plan, local: PodLocal, timers: Timers): string {
  if (timers.blocked && !(local.stop && local.released)) return timers.blocked.message;
  if (local.stop) return local.stop.message;
  if (isHeld(input, plan) && local.phase !== 'running') return 'waiting for a master: another pod may have its place by now';
  const init = currentInit(plan, local);
  if (init && hasStartedInit(plan, local)) return initMessage(plan, local, init.name);
  const restarting = restartMessage(plan, local);
  if (restarting) return restarting;
  if (plan.networkMode !== 'host' && !input.networkReady && !timers.attached && local.phase !== 'running') return 'waiting for the network of this host';
  for (const spec of plan.containers) {
    const said = containerMessage(input, plan, local, timers, spec.name);
    if (said) return said;
  }
  // Nothing else to tell: then what is not as it was asked for.
  return specsOf(plan).flatMap(({ name }) => localOf(local, name).warnings ?? [])[0] ?? '';
}

function hasStartedInit(plan: Plan, local: PodLocal): boolean {
  return plan.initContainers?.some(({ name }) => localOf(local, name).attempt > 0) ?? false;
}

function initMessage(plan: Plan, local: PodLocal, name: string): string {
  const all = plan.initContainers ?? [];
  const head = `initialising ${all.findIndex((spec) => spec.name === name) + 1}/${all.length}: ${name}`;
  const container = localOf(local, name);
  const last = container.ended.at(-1);
  return container.state === 'waiting' && last && last.failed ? `${head}: ${last.message}, restarting in ${duration(restartDelay(policyOf(plan, name), container.failures))}` : head;
}

function restartMessage(plan: Plan, local: PodLocal): string {
  for (const { name } of plan.containers) {
    const container = localOf(local, name);
    const last = container.ended.at(-1);
    if (container.state === 'waiting' && last) return `${which(plan, name)}${last.message}, restarting in ${duration(restartDelay(policyOf(plan, name), container.failures))}`;
  }
  return '';
}

function containerMessage(input: StepInput, plan: Plan, local: PodLocal, timers: Timers, name: string): string {
  const spec = specsOf(plan).find((other) => other.name === name);
  const container = localOf(local, name);
  if (!spec) return '';
  if (hasFailed(container)) return `container ${name} failed: ${container.ended.at(-1)?.message ?? ''}`;
  if (container.state === 'waiting') {
    const on = waitsFor(input, plan, local, spec);
    return on === null ? '' : `${name} is waiting for ${on}`;
  }
  if (!running(input, name, container)) return '';
  if (container.condemned !== undefined) return `${which(plan, name)}${container.condemned}`;
  const hooks = spec.postStart?.length ?? 0;
  const hook = container.hooksDone ?? 0;
  if (hook < hooks) return `${which(plan, name)}running post_start hook${hooks > 1 ? ` ${hook + 1}/${hooks}` : ''}`;
  const output = (check: 'health' | 'startup' | 'readiness') => timers.checks[name]?.states[check]?.output;
  const waits = (what: string, said: string | undefined) => `${which(plan, name)}${said ? `${what} has not passed yet: ${said}` : `waiting for its ${what}`}`;
  if (spec.startupProbe && !container.startupPassed) return waits('startup probe', output('startup'));
  if (container.health === 'starting') return waits('health check', output('health'));
  if (spec.readinessProbe && container.probedReady !== true) {
    return container.probedReady === undefined ? waits('readiness probe', output('readiness')) : `${which(plan, name)}not ready: ${output('readiness') ?? ''}`;
  }
  return '';
}

/** Said only where there are several. */
function which(plan: Plan, name: string): string {
  return plan.containers.length > 1 || isInit(plan, name) ? `${name}: ` : '';
}

function duration(ms: number): string {
  return ms < 1000 ? `${Math.round(ms)} ms` : `${Number((ms / 1000).toFixed(1))} s`;
}
