/** The order of a pod's containers: init containers one after the other, then the others by `after`; to an end the other way round. */
import type { ContainerSpec } from '../../../model/spec.ts';
import { hasFailed, hasSucceeded, isServing, isUp, localOf, specOf } from './containers.ts';
import type { ContainerLocal, Plan, PodLocal, StepInput } from './types.ts';

/** The init container whose turn it is; undefined when all are through, or the pod has none. */
export function currentInit(plan: Plan, local: Pick<PodLocal, 'containers'>): ContainerSpec | undefined {
  return plan.initContainers?.find((spec) => !hasSucceeded(localOf(local, spec.name)));
}

/**
 * What the container still waits for before its first attempt, as `web: healthy`; null when it may begin. Only the first attempt since
 * the host's start waits: one that is restarted later comes back without asking, as services do.
 */
export function waitsFor(input: StepInput, plan: Plan, local: Pick<PodLocal, 'containers'>, spec: ContainerSpec): string | null {
  const last = localOf(local, spec.name).ended.at(-1);
  if (last && !last.rebooted) return null;
  for (const { container: name, condition } of spec.after ?? []) {
    const on = plan.containers.find((other) => other.name === name);
    if (!on) return `${name}, which is not in this pod`;
    const container = localOf(local, name);
    switch (condition) {
      case 'service_started':
        if (!isUp(input, on, container) && !hasRun(container)) return `${name}: started`;
        break;
      case 'service_healthy':
        if (!isServing(input, on, container)) return `${name}: healthy`;
        break;
      case 'service_completed_successfully':
        if (hasFailed(container)) return `${name}: completed successfully, but it failed: ${container.ended.at(-1)?.message ?? ''}`;
        if (!hasSucceeded(container)) return `${name}: completed successfully`;
    }
  }
  return null;
}

/** The container that it waits for in vain: one that was to complete and has failed for good. */
export function inVain(plan: Plan, local: Pick<PodLocal, 'containers'>, spec: ContainerSpec): string | undefined {
  const container = localOf(local, spec.name);
  if (container.state !== 'waiting' || container.ended.length > 0) return undefined;
  return spec.after?.find(({ container: name, condition }) => condition === 'service_completed_successfully' && specOf(plan, name) && hasFailed(localOf(local, name)))?.container;
}

/**
 * Containers that are to be gone before this one is told to end: those that began after it. Where `after` goes in a circle, which a
 * stack file cannot say but a record may, nobody in it waits.
 */
export function endsAfter(plan: Plan, name: string): readonly string[] {
  const followers = plan.containers.filter((spec) => spec.after?.some((after) => after.container === name));
  if (followers.length === 0) return [];
  const circle = inCircles(plan);
  return followers.filter((spec) => !circle.has(spec.name)).map((spec) => spec.name);
}

/** Containers that wait for themselves in the end, and those that wait for one of them. */
function inCircles(plan: Plan): ReadonlySet<string> {
  const left = new Map(plan.containers.map((spec) => [spec.name, spec]));
  for (let before = -1; before !== left.size; ) {
    before = left.size;
    for (const [name, { after }] of left) if (!after?.some((on) => left.has(on.container))) left.delete(name);
  }
  return new Set(left.keys());
}

function hasRun(container: ContainerLocal): boolean {
  const last = container.ended.at(-1);
  return last !== undefined && !last.rebooted;
}
