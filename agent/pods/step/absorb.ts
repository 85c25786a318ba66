/** Takes what the runtime says into the pod's own record: which attempts run, and which have ended and how. */
import { afterEnd, type Ending } from './restart.ts';
import { type ContainerLocal, containerId, newContainer, type Observed, type Plan, type StepInput, type Timers } from './types.ts';

export interface Absorbed {
  readonly containers: Readonly<Record<string, ContainerLocal>>;
  readonly timers: Timers;
}

export function absorb(input: StepInput, plan: Plan): Absorbed {
  let timers = input.timers;
  const containers: Record<string, ContainerLocal> = {};
  for (const { name } of plan.containers) {
    const before = input.local.containers[name] ?? newContainer;
    const id = containerId(input.podId, name, before.attempt);
    const found = input.observed.find((o) => o.id === id);
    const after = before.state === 'live' ? absorbOne(name, before, found, input, plan, timers.runningSince[name]) : lateWord(before, input.oomKilled.has(id));
    if (after.state !== 'live' && before.state === 'live') timers = forgetRun(timers, name);
    if (after.started && !before.started) timers = { ...timers, runningSince: { ...timers.runningSince, [name]: input.now } };
    containers[name] = after;
  }
  return { containers, timers };
}

function absorbOne(name: string, container: ContainerLocal, found: Observed | undefined, input: StepInput, plan: Plan, runningSince: number | undefined): ContainerLocal {
  const rebooted = input.local.bootId !== input.bootId;
  if (found?.state === 'running' || (found?.state === 'unknown' && found.pid > 0)) {
    return container.started ? container : { ...container, started: true, startedAt: input.wall };
  }
  // Not started yet: it is created, again if need be, under the same id. Not so after a reboot: that it was started may have
  // been lost on the way to the disk.
  if (!container.started && found?.state !== 'stopped' && !rebooted) return container;
  // Created, and the agent went away before it was started: a start was meant, and does no harm twice.
  if (found?.state === 'created' && !rebooted) return container;
  return afterEnd(container, plan.restart, ending(name, container, found, input, rebooted, runningSince), mayRestart(input));
}

function ending(name: string, container: ContainerLocal, found: Observed | undefined, input: StepInput, rebooted: boolean, runningSince: number | undefined): Ending {
  const exit = found?.state === 'stopped' ? found.exit : undefined;
  const endedAt = exit?.at ?? input.wall;
  const oomKilled = input.oomKilled.has(containerId(input.podId, name, container.attempt));
  // The wall clock may have been set meanwhile, so the monotonic time is preferred where this agent saw the start.
  const ranMs = runningSince === undefined ? Math.max(0, endedAt - (container.startedAt ?? endedAt)) : input.now - runningSince;
  const unhealthy = container.health === 'unhealthy';
  if (rebooted && !exit) return { exitCode: null, oomKilled: false, endedAt, message: 'host rebooted', failed: true, ranMs, rebooted: true };
  if (!exit) return { exitCode: null, oomKilled, endedAt, message: 'container disappeared', failed: true, ranMs, rebooted: false };
  const message = unhealthy ? 'unhealthy' : oomKilled ? outOfMemory(exit.code) : `exit code ${exit.code}`;
  return { exitCode: exit.code, oomKilled, endedAt, message, failed: exit.code !== 0 || unhealthy || oomKilled, ranMs, rebooted: false };
}

/** The exit was seen before the word that memory had run out. */
function lateWord(container: ContainerLocal, oomKilled: boolean): ContainerLocal {
  const last = container.ended.at(-1);
  if (!oomKilled || !last || last.oomKilled || last.attempt !== container.attempt || last.exitCode === null) return container;
  return { ...container, ended: [...container.ended.slice(0, -1), { ...last, oomKilled: true, failed: true, message: outOfMemory(last.exitCode) }] };
}

function outOfMemory(code: number): string {
  return `out of memory (exit code ${code})`;
}

/** A pod that serves its last requests, or is on its way out, is not begun again. */
export function mayRestart(input: StepInput): boolean {
  return !input.removed && input.local.stop === null && input.assignment?.pod.desired === 'running';
}

/** The container as it is when its attempt could not be created or started, for a reason that is its own. */
export function attemptFailed(input: StepInput, plan: Plan, name: string, message: string): ContainerLocal {
  const container = input.local.containers[name] ?? newContainer;
  const end: Ending = { exitCode: null, oomKilled: false, endedAt: input.wall, message, failed: true, ranMs: 0, rebooted: false };
  return afterEnd(container, plan.restart, end, mayRestart(input));
}

function forgetRun(timers: Timers, name: string): Timers {
  const { [name]: _since, ...runningSince } = timers.runningSince;
  const { [name]: _probe, ...probes } = timers.probes;
  return { ...timers, runningSince, probes, prepared: false };
}
