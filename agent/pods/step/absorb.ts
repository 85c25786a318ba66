/** Takes what the runtime says into the pod's own record: which attempts run, which have ended and how, and what checks and hooks answered. */
import type { ContainerSpec } from '../../../model/spec.ts';
import { takeCheck } from './checks.ts';
import { hasSucceeded, isAlive, isInit, isUp, localOf, policyOf, running, specsOf } from './containers.ts';
import { takePreStop } from './ending.ts';
import { takeHook } from './hooks.ts';
import { afterEnd, type Ending } from './restart.ts';
import { type ContainerLocal, containerId, newContainer, type Observed, type Plan, type StepInput, type Timers } from './types.ts';

export interface Absorbed {
  readonly containers: Readonly<Record<string, ContainerLocal>>;
  readonly timers: Timers;
}

export function absorb(input: StepInput, plan: Plan): Absorbed {
  let timers = input.timers;
  const containers: Record<string, ContainerLocal> = {};
  for (const spec of specsOf(plan)) {
    const { name } = spec;
    const before = localOf(input.local, name);
    const id = containerId(input.podId, name, before.attempt);
    const found = input.observed.find((o) => o.id === id);
    const after = before.state === 'live' ? absorbOne(name, before, found, input, plan, timers.runningSince[name]) : lateWord(before, input.oomKilled.has(id));
    if (after.state !== 'live' && before.state === 'live') timers = forgetRun(timers, name, hasSucceeded(after));
    if (after.started && !before.started) timers = { ...timers, runningSince: { ...timers.runningSince, [name]: input.now } };
    containers[name] = isRebooted(input) ? onceMore(after, isInit(plan, name), input) : after;
  }
  return takeAnswers(input, plan, { containers, timers });
}

/** Answers about attempts that have ended meanwhile say nothing any more. */
function takeAnswers(input: StepInput, plan: Plan, before: Absorbed): Absorbed {
  let { containers, timers } = before;
  for (const answer of input.answers) {
    const { container: name, attempt } = answer;
    const spec = specsOf(plan).find((other) => other.name === name);
    const container = localOf({ containers }, name);
    if (answer.kind === 'hook' && answer.at === 'preStop') timers = takePreStop(answer, input.podId, timers, input.now);
    else if (spec && container.attempt === attempt && running(input, name, container)) {
      const taken = answer.kind === 'hook' ? hookTaken(answer, spec, container, timers, input.now) : checkTaken(answer, spec, container, timers, input);
      timers = taken.timers;
      if (taken.container !== container) containers = { ...containers, [name]: taken.container };
    }
  }
  return { containers, timers };
}

interface Taken {
  readonly container: ContainerLocal;
  readonly timers: Timers;
}

function hookTaken(answer: Parameters<typeof takeHook>[0], spec: ContainerSpec, container: ContainerLocal, timers: Timers, now: number): Taken {
  const { container: next, timer } = takeHook(answer, spec, container, timers.hooks[spec.name], now);
  return { container: next, timers: timer ? { ...timers, hooks: { ...timers.hooks, [spec.name]: timer } } : timers };
}

function checkTaken(answer: Parameters<typeof takeCheck>[0], spec: ContainerSpec, container: ContainerLocal, timers: Timers, input: StepInput): Taken {
  const known = timers.checks[spec.name];
  if (known?.attempt !== answer.attempt || !isUp(input, spec, container)) return { container, timers };
  const { container: next, checks } = takeCheck(answer, spec, container, known, input.now);
  return { container: next, timers: { ...timers, checks: { ...timers.checks, [spec.name]: checks } } };
}

function absorbOne(name: string, container: ContainerLocal, found: Observed | undefined, input: StepInput, plan: Plan, runningSince: number | undefined): ContainerLocal {
  const rebooted = isRebooted(input);
  if (found && isAlive(found)) return container.started ? container : { ...container, started: true, startedAt: input.wall };
  // Not started yet: it is created, again if need be, under the same id. Not so after a reboot: that it was started may have
  // been lost on the way to the disk.
  if (!container.started && found?.state !== 'stopped' && !rebooted) return container;
  // Created, and the agent went away before it was started: a start was meant, and does no harm twice.
  if (found?.state === 'created' && !rebooted) return container;
  return afterEnd(container, policyOf(plan, name), ending(name, container, found, input, rebooted, runningSince), mayRestart(input));
}

function isRebooted(input: StepInput): boolean {
  return input.local.bootId !== input.bootId;
}

/** What an init container did may be gone with the host's memory, so it runs again before the others do. */
function onceMore(container: ContainerLocal, init: boolean, input: StepInput): ContainerLocal {
  return init && mayRestart(input) && hasSucceeded(container) ? { ...container, state: 'waiting', failures: 0 } : container;
}

function ending(name: string, container: ContainerLocal, found: Observed | undefined, input: StepInput, rebooted: boolean, runningSince: number | undefined): Ending {
  const exit = found?.state === 'stopped' ? found.exit : undefined;
  const endedAt = exit?.at ?? input.wall;
  const oomKilled = input.oomKilled.has(containerId(input.podId, name, container.attempt));
  // The wall clock may have been set meanwhile, so the monotonic time is preferred where this agent saw the start.
  const ranMs = runningSince === undefined ? Math.max(0, endedAt - (container.startedAt ?? endedAt)) : input.now - runningSince;
  if (rebooted && !exit) return { exitCode: null, oomKilled: false, endedAt, message: 'host rebooted', failed: true, ranMs, rebooted: true };
  if (!exit) return { exitCode: null, oomKilled, endedAt, message: container.condemned ?? 'container disappeared', failed: true, ranMs, rebooted: false };
  const message = container.condemned ?? (oomKilled ? outOfMemory(exit.code) : `exit code ${exit.code}`);
  return { exitCode: exit.code, oomKilled, endedAt, message, failed: exit.code !== 0 || container.condemned !== undefined || oomKilled, ranMs, rebooted: false };
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
  return afterEnd(container, policyOf(plan, name), end, mayRestart(input));
}

/** What was prepared may be what failed it; after a success it is good for what comes next. */
function forgetRun(timers: Timers, name: string, succeeded: boolean): Timers {
  const { [name]: _since, ...runningSince } = timers.runningSince;
  const { [name]: _checks, ...checks } = timers.checks;
  const { [name]: _hooks, ...hooks } = timers.hooks;
  return { ...timers, runningSince, checks, hooks, prepared: timers.prepared && succeeded };
}
