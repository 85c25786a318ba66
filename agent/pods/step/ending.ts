/**
 * How containers are ended: what began last first, its preStop hooks, the signal, the grace, the kill. The grace is the pod's: it begins
 * with the stop, hooks and those that go first use it up, and each gets a little of it at least.
 */
import { leastGraceMs } from '../../../model/disconnect.ts';
import type { Hook } from '../../../model/spec.ts';
import { isAlive, localOf, specOf } from './containers.ts';
import { hookAgainMs } from './hooks.ts';
import { endsAfter } from './order.ts';
import { least, type Progress } from './progress.ts';
import { type Action, type Answer, type ContainerLocal, containerId, type EndTimer, type Observed, type Plan, type PodLocal, type StepInput, type Timers } from './types.ts';

/** How long a killed container may take to be reported dead before it is killed again. */
const killAgainMs = 5000;

/** One round of ending what shall not run: everything once the pod stops, else condemned attempts and those that are not the live one. */
export function endContainers(input: StepInput, plan: Plan, local: Pick<PodLocal, 'containers' | 'stop'>, before: Timers): Progress {
  const actions: Action[] = [];
  const wakes: (number | undefined)[] = [];
  const { containers } = local;
  if (before.blocked?.ends && input.now < before.blocked.until) return { containers, timers: before, actions, wakeIn: before.blocked.until - input.now };
  let timers = forgetGone(input, local.stop && before.stopSince === null ? { ...before, stopSince: input.now } : before);
  for (const found of input.observed) {
    const name = nameOf(plan, local, input.podId, found.id);
    const container = localOf(local, name);
    const live = container.state === 'live' && containerId(input.podId, name, container.attempt) === found.id;
    if (live && !local.stop && container.condemned === undefined) continue;
    if (isAlive(found) && local.stop && endsAfter(plan, name).some((other) => holdsUp(input, local, timers, other))) continue;
    const ended = endOne(found, { plan, name, container, live, stopping: local.stop !== null }, timers, input.now);
    timers = ended.timers;
    actions.push(...ended.actions);
    wakes.push(ended.wakeIn);
  }
  return { containers, timers, actions, wakeIn: least(wakes) };
}

/** Notes that a preStop hook is over. */
export function takePreStop(answer: Extract<Answer, { kind: 'hook' }>, podId: string, timers: Timers, now: number): Timers {
  const id = containerId(podId, answer.container, answer.attempt);
  const timer = timers.endings[id];
  if (!timer?.hookRunning || timer.hooksDone !== answer.index) return timers;
  // Its failure changes nothing: the container is to end.
  const next: EndTimer = answer.result ? { ...timer, hookRunning: false, hooksDone: timer.hooksDone + 1 } : { ...timer, hookRunning: false, hookDue: now + hookAgainMs };
  return { ...timers, endings: { ...timers.endings, [id]: next } };
}

/** The signal that asks a container to end: the spec's, else the image's, else SIGTERM. */
function stopSignalOf(plan: Plan, name: string, container: ContainerLocal): string {
  return specOf(plan, name)?.stopSignal ?? container.image?.stopSignal ?? 'SIGTERM';
}

interface Condemned {
  readonly plan: Plan;
  readonly name: string;
  readonly container: ContainerLocal;
  /** The attempt under way: only it has hooks to run. */
  readonly live: boolean;
  readonly stopping: boolean;
}

function endOne(found: Observed, { plan, name, container, live, stopping }: Condemned, timers: Timers, now: number): Pick<Progress, 'actions' | 'timers' | 'wakeIn'> {
  const { id } = found;
  if (!isAlive(found)) return { actions: [{ kind: 'remove', id }], timers, wakeIn: undefined };
  const timer = timers.endings[id] ?? { since: now, hooksDone: 0, hookRunning: false, hookDue: now, signalledAt: null, killedAt: null };
  const note = (next: EndTimer): Timers => ({ ...timers, endings: { ...timers.endings, [id]: next } });
  const kill = (): Pick<Progress, 'actions' | 'timers' | 'wakeIn'> =>
    ({ actions: [{ kind: 'signal', id, signal: 'SIGKILL' }], timers: note({ ...timer, signalledAt: timer.signalledAt ?? now, killedAt: now }), wakeIn: killAgainMs });
  const grace = plan.stopGraceMs;
  const least = Math.min(leastGraceMs, grace);
  // No grace means no warning either.
  if (grace <= 0 && timer.killedAt === null) return kill();
  const deadline = Math.max(((stopping ? timers.stopSince : null) ?? timer.since) + grace, timer.since + least);
  if (timer.signalledAt === null) {
    const hook = live ? specOf(plan, name)?.preStop?.[timer.hooksDone] : undefined;
    if (hook && now < deadline) return { ...preStop(hook, { name, attempt: container.attempt, timer, now, deadline }, note) };
    const signalled: EndTimer = { ...timer, signalledAt: now };
    return { actions: [{ kind: 'signal', id, signal: stopSignalOf(plan, name, container) }], timers: note(signalled), wakeIn: Math.max(deadline, now + least) - now };
  }
  const due = timer.killedAt === null ? Math.max(deadline, timer.signalledAt + least) : timer.killedAt + killAgainMs;
  return now < due ? { actions: [], timers: note(timer), wakeIn: due - now } : kill();
}

interface PreStop {
  readonly name: string;
  readonly attempt: number;
  readonly timer: EndTimer;
  readonly now: number;
  readonly deadline: number;
}

function preStop(hook: Hook, { name, attempt, timer, now, deadline }: PreStop, note: (timer: EndTimer) => Timers): Pick<Progress, 'actions' | 'timers' | 'wakeIn'> {
  if (timer.hookRunning) return { actions: [], timers: note(timer), wakeIn: deadline - now };
  if (timer.hookDue > now) return { actions: [], timers: note(timer), wakeIn: Math.min(deadline, timer.hookDue) - now };
  const action: Action = { kind: 'hook', container: name, attempt, at: 'preStop', index: timer.hooksDone, hook };
  return { actions: [action], timers: note({ ...timer, hookRunning: true }), wakeIn: deadline - now };
}

/** It runs, and nothing more can be done about it than has been: then nobody waits for it any longer. */
function holdsUp(input: StepInput, local: Pick<PodLocal, 'containers'>, timers: Timers, name: string): boolean {
  const { attempt } = localOf(local, name);
  const id = containerId(input.podId, name, attempt);
  return input.observed.some((o) => o.id === id && isAlive(o)) && (timers.endings[id]?.killedAt ?? null) === null;
}

/** Of a container that is none of the live attempts: by its id, in which names may hold dots. */
function nameOf(plan: Plan, local: Pick<PodLocal, 'containers'>, podId: string, id: string): string {
  const live = [...plan.containers, ...(plan.initContainers ?? [])].find(({ name }) => containerId(podId, name, localOf(local, name).attempt) === id);
  return live?.name ?? id.split('.').slice(1, -1).join('.');
}

function forgetGone(input: StepInput, timers: Timers): Timers {
  const gone = Object.keys(timers.endings).filter((id) => !input.observed.some((o) => o.id === id));
  if (gone.length === 0) return timers;
  return { ...timers, endings: Object.fromEntries(Object.entries(timers.endings).filter(([id]) => !gone.includes(id))) };
}
