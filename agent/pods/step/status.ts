/** What is told of a pod: phase, readiness and one line of why. */
import type { ContainerStatus, PodPhase, PodStatus } from '../../../model/pod.ts';
import { effectiveCheck } from './health.ts';
import { restartDelay } from './restart.ts';
import { running } from './run.ts';
import { hasFailed } from './stop.ts';
import { type ContainerLocal, containerId, type Plan, type PodLocal, type StepInput, type Timers } from './types.ts';

const rank: Readonly<Record<PodPhase, number>> = { pending: 0, assigned: 1, preparing: 2, starting: 3, running: 4, stopping: 5, succeeded: 6, failed: 6, lost: 6 };

/** The phase now: by what is, but never back. */
export function phaseOf(input: StepInput, plan: Plan, local: PodLocal): PodPhase {
  const phase = currentPhase(input, plan, local);
  return rank[phase] > rank[local.phase] ? phase : local.phase;
}

function currentPhase(input: StepInput, plan: Plan, local: PodLocal): PodPhase {
  const { stop, containers } = local;
  if (stop && local.released && input.observed.length === 0) return hasFailed(stop, plan, containers) ? 'failed' : 'succeeded';
  if (stop) return 'stopping';
  const all = plan.containers.map(({ name }) => ({ name, container: containers[name] }));
  const ran = (name: string, c: ContainerLocal | undefined) => c !== undefined && (c.ended.length > 0 || running(input, name, c) !== undefined);
  if (all.every(({ name, container }) => ran(name, container))) return 'running';
  return all.some(({ container }) => container?.state === 'live') ? 'starting' : 'preparing';
}

/** Every container that shall run does, and is healthy where it has a check. */
export function isReady(input: StepInput, plan: Plan, local: PodLocal): boolean {
  if (local.stop) return false;
  const open = plan.containers.filter(({ name }) => local.containers[name]?.state !== 'done');
  return (
    open.length > 0 &&
    open.every((spec) => {
      const container = local.containers[spec.name];
      if (!container || !running(input, spec.name, container)) return false;
      return !effectiveCheck(spec.healthcheck, container.image?.healthcheck) || container.health === 'healthy';
    })
  );
}

export function statusOf(input: StepInput, plan: Plan, local: PodLocal, timers: Timers): PodStatus {
  return {
    id: input.podId,
    node: input.node,
    phase: local.phase,
    ready: local.ready,
    message: messageOf(input, plan, local, timers),
    restarts: Object.values(local.containers).reduce((sum, c) => sum + Math.max(0, c.attempt - 1), 0),
    since: local.since,
    containers: plan.containers.map((spec) => containerStatus(input, spec, local.containers[spec.name])),
  };
}

function containerStatus(input: StepInput, spec: Plan['containers'][number], container: ContainerLocal | undefined): ContainerStatus {
  const found = container && input.observed.find((o) => o.id === containerId(input.podId, spec.name, container.attempt));
  const alive = container !== undefined && running(input, spec.name, container) !== undefined;
  const last = container?.ended.at(-1);
  return {
    name: spec.name,
    image: spec.image,
    ...(container?.image ? { imageDigest: container.image.digest } : {}),
    ...(alive && found && found.pid > 0 ? { pid: found.pid } : {}),
    ...(alive && container.health ? { health: container.health } : {}),
    ...(!alive && last && last.exitCode !== null ? { exitCode: last.exitCode } : {}),
    ...(!alive && last?.oomKilled ? { oomKilled: true } : {}),
    ...(container?.warnings ? { warnings: container.warnings } : {}),
  };
}

function messageOf(input: StepInput, plan: Plan, local: PodLocal, timers: Timers): string {
  if (timers.blocked && !(local.stop && local.released)) return timers.blocked.message;
  if (local.stop) return local.stop.message;
  for (const { name } of plan.containers) {
    const container = local.containers[name];
    const last = container?.ended.at(-1);
    if (container?.state === 'waiting' && last) return `${last.message}, restarting in ${duration(restartDelay(plan.restart, container.failures))}`;
  }
  if (plan.networkMode !== 'host' && !input.networkReady && !timers.attached && local.phase !== 'running') return 'waiting for the network of this host';
  for (const { name } of plan.containers) {
    const container = local.containers[name];
    const output = timers.probes[name]?.output;
    if (container?.health === 'unhealthy') return output ? `unhealthy: ${output}` : 'unhealthy';
    if (container?.health === 'starting') return output ? `health check has not passed yet: ${output}` : 'waiting for its health check';
  }
  // Nothing else to tell: then what is not as it was asked for.
  return plan.containers.flatMap(({ name }) => local.containers[name]?.warnings ?? [])[0] ?? '';
}

function duration(ms: number): string {
  return ms < 1000 ? `${Math.round(ms)} ms` : `${Number((ms / 1000).toFixed(1))} s`;
}
