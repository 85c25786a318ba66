/**
 * `depends_on`: pods of a service exist but are not placed before what they depend on is there. Only the first start waits; once
 * a pod of the revision runs, its siblings and successors come and go without asking, as a restart on a single host does.
 */
import { isFinal, type Pod, type PodStatus } from './pod.ts';
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
    const why = missing(dependency, world.service(serviceId(stack, dependency.service)), world);
    return why === null ? [] : [`waiting for ${dependency.service}: ${why}`];
  });
}

function missing({ condition, required }: Dependency, on: Service | undefined, world: GateWorld): string | null {
  if (!on) return required ? 'there is no such service' : null;
  const pods = world.pods(on.id);
  const statuses = pods.flatMap((pod) => (pod.desired === 'running' ? (world.status(pod.id) ?? []) : []));
  switch (condition) {
    case 'service_started':
      return statuses.some(hasStarted) ? null : 'started';
    case 'service_healthy':
      // One is enough to be served; waiting for all would let one bad node hold up the whole stack.
      return statuses.some((status) => status.ready) ? null : 'healthy';
    case 'service_completed_successfully':
      return completion(on, pods, required, world);
  }
}

/** Only runs of the revision in force count: a new migration must have run before what needs it starts. */
function completion(on: Service, pods: readonly Pod[], required: boolean, world: GateWorld): string | null {
  const current = pods.filter((pod) => pod.revision === on.revision).flatMap((pod) => world.status(pod.id) ?? []);
  const done = new Set(pods.filter((pod) => pod.revision === on.revision && world.status(pod.id)?.phase === 'succeeded').map((pod) => pod.slot)).size;
  if (done >= wantedCompletions(on.spec.mode)) return null;
  const failed = current.find((status) => status.phase === 'failed');
  if (!failed) return 'completed successfully';
  return required ? `completed successfully, but it failed${failed.message === '' ? '' : `: ${failed.message}`}` : null;
}

function wantedCompletions(mode: ServiceMode): number {
  return mode.kind === 'replicated-job' ? mode.completions : 1;
}

function hasStarted(status: PodStatus | undefined): boolean {
  return status !== undefined && (status.phase === 'running' || status.phase === 'succeeded' || (status.ready && !isFinal(status.phase)));
}
