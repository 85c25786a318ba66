/** What is told of a pod: phase, readiness, and how each container is. */
import type { ContainerEnd, ContainerStatus, PodPhase, PodStatus } from '../../../model/pod.ts';
import type { ContainerSpec } from '../../../model/spec.ts';
import { hasFailed, hasSucceeded, isInit, isServing, localOf, running, specsOf } from './containers.ts';
import { messageOf } from './message.ts';
import { isFailure } from './stop.ts';
import { containerId, keptAttempts, type Plan, type PodLocal, type StepInput, type Timers } from './types.ts';

const rank: Readonly<Record<PodPhase, number>> = { pending: 0, assigned: 1, preparing: 2, starting: 3, running: 4, stopping: 5, succeeded: 6, failed: 6, lost: 6 };

/** The phase now: by what is, but never back. */
export function phaseOf(input: StepInput, plan: Plan, local: PodLocal): PodPhase {
  const phase = currentPhase(input, plan, local);
  return rank[phase] > rank[local.phase] ? phase : local.phase;
}

function currentPhase(input: StepInput, plan: Plan, local: PodLocal): PodPhase {
  const { stop, containers } = local;
  if (stop && local.released && input.observed.length === 0) return stop.cause === 'alone' ? 'lost' : isFailure(stop, plan, containers) ? 'failed' : 'succeeded';
  if (stop) return 'stopping';
  const hasBegun = ({ name }: ContainerSpec) => localOf(local, name).ended.length > 0 || running(input, name, localOf(local, name)) !== undefined;
  if (plan.containers.every(hasBegun)) return 'running';
  return specsOf(plan).some(({ name }) => localOf(local, name).state === 'live') ? 'starting' : 'preparing';
}

/**
 * Every container that shall run does, and its checks pass. One beside the main one that has done its work is not missed; one that has
 * failed for good is.
 */
export function isReady(input: StepInput, plan: Plan, local: PodLocal): boolean {
  if (local.stop) return false;
  const open = plan.containers.filter(({ name }) => !hasSucceeded(localOf(local, name)));
  return open.length > 0 && open.every((spec) => isServing(input, spec, localOf(local, spec.name)));
}

export function statusOf(input: StepInput, plan: Plan, local: PodLocal, timers: Timers): PodStatus {
  const all = [...plan.containers, ...(plan.initContainers ?? [])];
  // A status has a size that it may not exceed.
  const kept = Math.max(1, Math.min(keptAttempts, Math.floor(60 / Math.max(1, all.length))));
  return {
    id: input.podId,
    node: input.node,
    phase: local.phase,
    ready: local.ready,
    message: messageOf(input, plan, local, timers),
    restarts: restartsOf(plan, local),
    since: local.since,
    containers: all.map((spec) => containerStatus(input, plan, local, spec, kept)),
  };
}

/** Of its containers together. An init container that ran again after a reboot counts as well. */
export function restartsOf(plan: Plan | null, local: Pick<PodLocal, 'containers'>): number {
  const names = plan ? specsOf(plan).map(({ name }) => name) : Object.keys(local.containers);
  return names.reduce((sum, name) => sum + Math.max(0, localOf(local, name).attempt - 1), 0);
}

function containerStatus(input: StepInput, plan: Plan, local: PodLocal, spec: ContainerSpec, kept: number): ContainerStatus {
  const container = localOf(local, spec.name);
  const found = input.observed.find((o) => o.id === containerId(input.podId, spec.name, container.attempt));
  const alive = running(input, spec.name, container) !== undefined;
  const last = container.ended.at(-1);
  return {
    name: spec.name,
    image: spec.image,
    ...(container.image ? { imageDigest: container.image.digest } : {}),
    ...(alive && found && found.pid > 0 ? { pid: found.pid } : {}),
    ...(alive && container.health ? { health: container.health } : {}),
    ...(!alive && last && last.exitCode !== null ? { exitCode: last.exitCode } : {}),
    ...(!alive && last?.oomKilled ? { oomKilled: true } : {}),
    ...(container.warnings ? { warnings: container.warnings } : {}),
    ...(isInit(plan, spec.name) ? { init: true } : {}),
    state: stateOf(local, spec.name, alive),
    ready: !local.stop && isServing(input, spec, container),
    ...(container.attempt > 0 ? { attempt: container.attempt } : {}),
    ...(container.ended.length > 0 ? { ended: container.ended.slice(-kept).map(toldEnd) } : {}),
  };
}

function stateOf(local: PodLocal, name: string, alive: boolean): NonNullable<ContainerStatus['state']> {
  const container = localOf(local, name);
  if (alive) return 'running';
  if (hasFailed(container)) return 'failed';
  if (hasSucceeded(container)) return 'succeeded';
  const last = container.ended.at(-1);
  if (!last) return 'waiting';
  return !local.stop ? 'restarting' : last.failed ? 'failed' : 'succeeded';
}

function toldEnd({ attempt, exitCode, oomKilled, startedAt, endedAt, message }: PodLocal['containers'][string]['ended'][number]): ContainerEnd {
  return { attempt, exitCode, oomKilled, startedAt, endedAt, message: message.slice(0, 200) };
}
