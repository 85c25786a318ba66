/**
 * `depends_on`: pods of a service exist but are not placed before what they depend on is there. Only the first start waits; once
 * a pod of the revision runs, its siblings and successors come and go without asking, as a restart on a single host does.
 */
import { isFinal, type ContainerStatus, type Pod, type PodStatus } from './pod.ts';
import type { Service } from './service.ts';
import { serviceId, type Dependency, type ServiceMode } from './spec.ts';

export interface GateWorld {
  /** By id, `stack_service`. */
  readonly service: (id: string) => Service | undefined;
  /** All of a service's pods. */
  readonly pods: (service: string) => readonly Pod[];
  readonly status: (pod: string) => PodStatus | undefined;
}

/** What the service waits for, one line each (`waiting for db: healthy`); empty when its pods may be placed. */
export function gate(service: Service, world: GateWorld): readonly string[] {
  const { dependsOn, stack } = service.spec;
  if (dependsOn.length === 0) return [];
  const began = world.pods(service.id).some((pod) => pod.revision === service.revision && hasStarted(world.status(pod.id)));
  if (began) return [];
  return dependsOn.flatMap((dependency) => {
    const on = world.service(serviceId(stack, dependency.service));
    const why = on ? missing(dependency, on, world.pods(on.id), world.status) : dependency.required ? 'there is no such service' : null;
    return why === null ? [] : [line(dependency, why)];
  });
}

export interface RestartGate {
  /** What is waited for still, one line each. */
  readonly waits: readonly string[];
  /** Whether there is anything at all to be restarted after: what is gone or wants no pods now is no reason. */
  readonly due: boolean;
}

/**
 * Whether the service may be restarted after its dependencies (`restart: true`) that an explicit operation changed: every pod of theirs
 * is to be of the revision in force, and these as far as the condition says.
 */
export function restartGate(service: Service, world: GateWorld): RestartGate {
  const waits: string[] = [];
  let due = false;
  for (const dependency of service.spec.dependsOn) {
    const on = world.service(serviceId(service.spec.stack, dependency.service));
    if (!dependency.restart || !on || service.restartAfter?.includes(on.id) !== true) continue;
    const { mode } = on.spec;
    if (mode.kind === 'replicated' && mode.replicas === 0) continue;
    due = true;
    const pods = world.pods(on.id);
    const job = mode.kind === 'replicated-job' || mode.kind === 'global-job';
    const old = !job && pods.some((pod) => pod.desired === 'running' && pod.revision !== on.revision && !isOver(world.status(pod.id)));
    const why = missing({ ...dependency, required: true }, on, pods.filter(({ revision }) => revision === on.revision), world.status) ?? (old ? 'updated' : null);
    if (why !== null) waits.push(line(dependency, why));
  }
  return { waits, due };
}

function line({ service, container }: Dependency, why: string): string {
  return `waiting for ${container ?? service}: ${why}`;
}

type StatusOf = GateWorld['status'];

function missing(dependency: Dependency, on: Service, pods: readonly Pod[], statusOf: StatusOf): string | null {
  const { condition, required } = dependency;
  const wanted = pods.flatMap((pod) => (pod.desired === 'running' ? (statusOf(pod.id) ?? []) : []));
  // What need not be there is not waited for once it has failed.
  const givenUp = !required && wanted.length > 0 && wanted.every((status) => isFailing(dependency, status));
  switch (condition) {
    case 'service_started':
      return givenUp || wanted.some((status) => isStarted(dependency, status)) ? null : 'started';
    case 'service_healthy':
      // One is enough to be served; waiting for all would let one bad node hold up the whole stack.
      return givenUp || wanted.some((status) => isHealthy(dependency, status)) ? null : 'healthy';
    case 'service_completed_successfully':
      return completion(dependency, on, pods, statusOf);
  }
}

/** Only runs of the revision in force count: a new migration must have run before what needs it starts. */
function completion(dependency: Dependency, on: Service, pods: readonly Pod[], statusOf: StatusOf): string | null {
  const current = pods.filter((pod) => pod.revision === on.revision).flatMap((pod) => ({ pod, status: statusOf(pod.id) }));
  const done = new Set(current.filter(({ status }) => hasCompleted(dependency, status)).map(({ pod }) => pod.slot)).size;
  if (done >= wantedCompletions(on.spec.mode)) return null;
  const failed = current.find(({ status }) => hasFailed(dependency, status));
  if (!failed) return 'completed successfully';
  const why = containerOf(dependency, failed.status)?.ended?.at(-1)?.message ?? failed.status?.message ?? '';
  return dependency.required ? `completed successfully, but it failed${why === '' ? '' : `: ${why}`}` : null;
}

function wantedCompletions(mode: ServiceMode): number {
  return mode.kind === 'replicated-job' ? mode.completions : 1;
}

/** The container that is meant, where one is; undefined too where an agent does not tell of each. */
function containerOf({ container }: Dependency, status: PodStatus | undefined): ContainerStatus | undefined {
  const found = container === undefined ? undefined : status?.containers.find(({ name }) => name === container);
  return found?.state === undefined ? undefined : found;
}

function isStarted(dependency: Dependency, status: PodStatus): boolean {
  const own = containerOf(dependency, status);
  return own ? own.state !== 'waiting' : hasStarted(status);
}

function isHealthy(dependency: Dependency, status: PodStatus): boolean {
  return containerOf(dependency, status)?.ready ?? status.ready;
}

function hasCompleted(dependency: Dependency, status: PodStatus | undefined): boolean {
  const own = containerOf(dependency, status);
  return own ? own.state === 'succeeded' : status?.phase === 'succeeded';
}

function hasFailed(dependency: Dependency, status: PodStatus | undefined): boolean {
  const own = containerOf(dependency, status);
  return own ? own.state === 'failed' : status?.phase === 'failed';
}

/** It ran and ended, or is found not to be well. */
function isFailing(dependency: Dependency, status: PodStatus): boolean {
  const meant = containerOf(dependency, status);
  const all = meant ? [meant] : status.containers;
  return status.phase === 'failed' || all.some(({ state, health }) => state === 'restarting' || state === 'failed' || health === 'unhealthy');
}

function isOver(status: PodStatus | undefined): boolean {
  return status !== undefined && isFinal(status.phase);
}

function hasStarted(status: PodStatus | undefined): boolean {
  return status !== undefined && (status.phase === 'running' || status.phase === 'succeeded' || (status.ready && !isFinal(status.phase)));
}
